"""`fastfid reference`: writes a reference file for another tool."""

import argparse
from collections.abc import Sequence

from ..options import names
from ..terminal import say
from .parser import IMAGES, Parser, add_options, given_options


def command(arguments: Sequence[str]) -> None:
    """Run the command."""
    from .. import reference

    parser = Parser(
        prog="fastfid reference",
        description="Write a reference file for ADM's evaluator, which holds statistics and images.",
    )
    parser.add_argument("source", help=f"{IMAGES}; all of one size")
    parser.add_argument("out", help="the .npz to write")
    parser.add_argument("--protocol", choices=("adm",), default="adm", help="the tool that reads it (default: adm)")
    parser.add_argument(
        "--images", default=argparse.SUPPRESS, type=int, metavar="N", help="how many images it holds (default: 10000)"
    )
    parser.add_argument("--force", action="store_true", help="replace an existing file")
    add_options(parser, names("reference"))
    typed = parser.parse_args(arguments)
    options = {name: getattr(typed, name) for name in ("images",) if name in typed}
    target = reference(typed.source, typed.out, overwrite=typed.force, **options, **given_options(typed, "reference"))
    say(f"wrote {target}")
