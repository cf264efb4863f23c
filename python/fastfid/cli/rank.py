"""`fastfid rank REAL A B C...`: which generator has the lowest FID, and which cannot be told apart."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict

from ..options import OF_SCORES, names
from ..terminal import check_stdout, show
from .parser import IMAGES, Parser, add_option, add_options, add_silence, given_options, silence


def command(arguments: Sequence[str]) -> None:
    """Run the command."""
    from ..rank import rank

    parser = _make_parser()
    typed = parser.parse_args(arguments)
    if len(typed.generated) < 2:
        parser.error("give the real images and at least two generators")
    silence(typed)
    check_stdout()
    result = rank(typed.real, *typed.generated, **{**given_options(typed, "compare"), "paired": typed.paired})
    pairs = result.pairs() if typed.all_pairs else ()
    if typed.json:
        show(json.dumps({**result.as_dict(), **({"pairs": [asdict(gap) for gap in pairs]} if typed.all_pairs else {})}))
        return
    for line in str(result).split("\n"):
        show(line)
    if typed.all_pairs:
        show(f"Every two generators, with limits for all {len(pairs)} differences together:")
        for line in result.table_of_pairs().split("\n"):
            show(line)


def _make_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="fastfid rank",
        usage="fastfid rank [options] REAL A B [C ...]",
        description="Rank generators by their FID to the same real images, and say which of them cannot be told apart.",
    )
    parser.add_argument("real", metavar="REAL", help=f"{IMAGES}; or a statistics file, which counts as exactly known")
    parser.add_argument(
        "generated",
        nargs="+",
        metavar="A B C",
        help="the same for the images of each generator, at least two; one that is given as statistics without "
        "features gets a FID, but no verdict",
    )
    parser.add_argument(
        "--paired",
        action="store_true",
        help="image i of each generator was made from the same seed, which makes differences surer; files must have "
        "the same names",
    )
    parser.add_argument(
        "--all-pairs",
        action="store_true",
        help="also print the difference of every two generators, not to the best only",
    )
    add_level_and_options(parser, "of all limits and verdicts")
    return parser


def add_level_and_options(parser: argparse.ArgumentParser, of: str) -> None:
    """Add --level, the options about the images and the run, and --json."""
    add_option(parser, "level", f"confidence level {of}, from 0.5 to 0.9999")
    add_options(parser, (name for name in names("compare") if name not in OF_SCORES))
    add_silence(parser)
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
