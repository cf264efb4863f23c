"""`fastfid rank REAL A B C...`: which generator has the lowest FID, and which cannot be told apart."""

import argparse
import json
from collections.abc import Sequence

from ..checks import level_number
from ..metrics.certainty import LEVEL
from ..options import OF_SCORES, names
from ..terminal import check_stdout, show
from .parser import IMAGES, Parser, add_option, add_silence, given_options, passing, silence


def command(arguments: Sequence[str]) -> None:
    """Run the command."""
    from ..rank import rank

    parser = _make_parser()
    typed = parser.parse_args(arguments)
    if len(typed.generated) < 2:
        parser.error("give the real images and at least two generators")
    silence(typed)
    check_stdout()
    options = {name: value for name, value in given_options(typed, "compare").items() if name not in OF_SCORES}
    result = rank(typed.real, *typed.generated, level=typed.level, paired=typed.paired, **options)
    if typed.json:
        show(json.dumps(result.as_dict()))
        return
    for line in (*result.table().splitlines(), *result.conclusion, result.citation):
        show(line)


def _make_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="fastfid rank",
        description="Rank generators by their FID to the same real images, and say which of them cannot be told apart.",
    )
    parser.add_argument("real", help=f"{IMAGES}; or a statistics file, which counts as exactly known")
    parser.add_argument("generated", nargs="+", help="the same for the images of each generator, at least two")
    parser.add_argument(
        "--paired",
        action="store_true",
        help="image i of each generator was made from the same seed; files must have the same names",
    )
    add_level_and_options(parser, "the limits and verdicts")
    return parser


def add_level_and_options(parser: argparse.ArgumentParser, of: str) -> None:
    """Add --level, the options about the images and the run, and --json."""
    parser.add_argument(
        "--level",
        type=passing(_level_text),
        default=LEVEL,
        metavar="P",
        help=f"confidence level of {of}, from 0.5 to 0.9999 (default: {LEVEL})",
    )
    for name in names("compare"):
        if name not in OF_SCORES:
            add_option(parser, name)
    add_silence(parser)
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")


def _level_text(text: str) -> float:
    """Read a confidence level from text, or raise `InputError`."""
    try:
        return level_number(float(text))
    except ValueError:
        return level_number(text)
