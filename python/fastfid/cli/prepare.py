"""`fastfid prepare`: makes a data set as a protocol wants it."""

import argparse
from collections.abc import Sequence

from ..protocols import check_protocol
from ..terminal import say
from .parser import IMAGES, Parser, add_option, add_silence, passing, silence

_OPTIONS = (
    *("limit", "seed", "num_workers", "on_error", "recursive", "endings"),
    *("image_key", "value_range", "quantise", "storage_options", "progress"),
)


def command(arguments: Sequence[str]) -> None:
    """Run the command."""
    from .. import prepare

    typed = _make_parser().parse_args(arguments)
    silence(typed)
    options = {name: getattr(typed, name) for name in _OPTIONS if name in typed}
    made = prepare(typed.source, typed.out, protocol=typed.protocol, overwrite=typed.force, **options)
    what = f"{made.n} images of {made.size}x{made.size} pixels ({made.crop})"
    say(f"wrote {what} to {typed.out}; SHA-256 of their listing {made.listing}")


def _make_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="fastfid prepare",
        description="Crop and resize images as the authors of a protocol did, and write them as PNG files.",
    )
    parser.add_argument("source", help=IMAGES)
    parser.add_argument("out", help="the folder to make, or a .zip")
    parser.add_argument("--protocol", required=True, type=passing(_name), metavar="NAME", help="whose crop and size")
    parser.add_argument("--force", action="store_true", help="replace what an earlier run made")
    for name in _OPTIONS:
        add_option(parser, name)
    add_silence(parser)
    return parser


def _name(text: str) -> str:
    check_protocol(text)
    return text
