"""`fastfid fdr A B --network NAME=DIVISOR`: Fréchet distances by several networks, as a table."""

import argparse
import json
from collections.abc import Sequence

from ..errors import InputError, UsageError
from ..terminal import check_stdout, show
from .parser import IMAGES, Parser, add_options, add_silence, given_options, passing, silence

# Options about the images and the run; those about one network are in its file.
_OPTIONS = (
    *("method", "batch_size", "device", "precision", "num_workers", "limit", "seed", "on_error", "recursive"),
    *("endings", "force", "progress"),
)


def command(arguments: Sequence[str]) -> None:
    """Run the command."""
    from ..fdr import fdr

    typed = _make_parser().parse_args(arguments)
    silence(typed)
    check_stdout()
    networks = dict(typed.network)
    if len(networks) < len(typed.network):
        raise UsageError("--network names a network twice")
    result = fdr(typed.generated, typed.real, networks, **given_options(typed, "compare"))
    if typed.json:
        show(json.dumps(result.as_dict()))
    else:
        for line in result.table().splitlines():
            show(line)
        show(result.citation)


def _make_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="fastfid fdr",
        description="Fréchet distances by several networks, each divided by that of a validation set, and their mean.",
    )
    parser.add_argument("generated", help=IMAGES)
    parser.add_argument("real", help="the same for the real images")
    parser.add_argument(
        "--network",
        action="append",
        required=True,
        type=passing(_network),
        metavar="NAME=DIVISOR",
        help="a name from `fastfid models list`, or an .onnx that states its preprocessing; and the distance of a "
        "validation set by it; can be repeated",
    )
    add_options(parser, _OPTIONS)
    add_silence(parser)
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    return parser


def _network(text: str) -> tuple[str, float]:
    from ..fdr import divisor_of

    name, _, divisor = text.rpartition("=")
    if not name:
        raise InputError(f"{text!r} is not NAME=DIVISOR, as in dinov2.onnx=14.19")
    return name, divisor_of(divisor)
