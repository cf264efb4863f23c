"""`fastfid diff FIRST SECOND`: why two numbers differ."""

import json
from collections.abc import Sequence

from ..difference import diff
from ..terminal import check_stdout, show
from .parser import Parser


def command(arguments: Sequence[str]) -> None:
    """Run the command."""
    parser = Parser(
        prog="fastfid diff",
        description="Say why two numbers differ: each difference in how they were made, its likely effect with the "
        "sizes that were measured, and what to run to remove it.",
    )
    parser.add_argument("first", help="a result that `fastfid A B --json` printed, or a statistics file")
    parser.add_argument("second", help="the same for the other number")
    parser.add_argument("--json", action="store_true", help="print the answer as one JSON object")
    typed = parser.parse_args(arguments)
    check_stdout()
    found = diff(typed.first, typed.second)
    if typed.json:
        show(json.dumps(found.as_dict()))
    else:
        for line in found.lines():
            show(line)
