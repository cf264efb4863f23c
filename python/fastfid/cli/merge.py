"""`fastfid merge`: merges the statistics of several sets into one file."""

from collections.abc import Sequence

from ..errors import InputError
from ..metrics.moments import Statistics
from .parser import Parser
from .save_stats import check_target, say_saved


def command(arguments: Sequence[str]) -> None:
    """Run the command."""
    parser = Parser(prog="fastfid merge", description="Merge the statistics of disjoint sets of images.")
    parser.add_argument("out", help="the .npz to write")
    parser.add_argument("inputs", nargs="+", metavar="in", help="the .npz files to merge, in this order")
    parser.add_argument("--force", action="store_true", help="replace an existing file")
    typed = parser.parse_args(arguments)
    check_target(typed.out, typed.force)
    merged = None
    for path in typed.inputs:
        part = Statistics.load(path)
        if part.n is None:
            raise InputError(f"{path} cannot be merged: it has no n, the number of images")
        merged = part if merged is None else merged.merge(part)
    assert merged is not None
    say_saved(merged, merged.save(typed.out, overwrite=typed.force))
