"""`fastfid plan A B --sd NUMBER`: how many images a FID needs."""

import argparse
import json
from collections.abc import Sequence

from ..arguments import spelled
from ..checks import real_number, shown, whole_number, whole_text
from ..errors import InputError
from ..terminal import check_stdout, show
from .parser import IMAGES, Parser, given_options, passing, silence
from .rank import add_level_and_options


def command(arguments: Sequence[str]) -> None:
    """Run the command."""
    from ..plan import plan

    parser = _make_parser()
    typed = parser.parse_args(arguments)
    if len(typed.path) not in (0, 2):
        parser.error(f"give the generated and the real images of a pilot, or --fid alone; not {len(typed.path)} paths")
    silence(typed)
    check_stdout()
    a, b = typed.path or (None, None)
    own = {name: getattr(typed, name) for name in ("fid", "sd", "half_width", "reference")}
    result = plan(a, b, **{**given_options(typed, "compare"), **own})  # its --reference is not that of a protocol
    if typed.json:
        show(json.dumps(result.as_dict()))
        return
    for line in str(result).split("\n"):
        show(line)


def _make_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="fastfid plan",
        usage="fastfid plan [options] A B, or fastfid plan --fid NUMBER [options]",
        description="How many images a FID needs to be as sure as you want, and what the FID of fewer or more images "
        "will read; from a pilot, which is some generated and some real images, or else by a rule of thumb.",
    )
    parser.add_argument(
        "path", nargs="*", metavar="A B", help=f"the pilot, generated images first, then real ones; each {IMAGES}"
    )
    for flag, text in (
        ("--fid", "instead of a pilot: about what FID you expect with 50,000 images on each side"),
        ("--sd", "the standard deviation that the FID is to have at most, if the images are drawn again"),
        ("--half-width", "instead of --sd: the limits of the FID are to be plus or minus this"),
    ):
        parser.add_argument(flag, type=passing(_number), metavar="NUMBER", help=text)
    parser.add_argument(
        "--reference",
        type=passing(_reference),
        metavar="N",
        help="there are N real images and no more, and only the generated images grow (default: both sides have "
        "equally many)",
    )
    add_level_and_options(parser, "of --half-width")
    return parser


def _number(text: str) -> float:
    try:
        return real_number(float(text))
    except ValueError:
        raise InputError(f"must be a number, got {shown(text)}") from None


def _reference(text: str) -> int:
    return whole_number(spelled("reference"), whole_text(text), 2)
