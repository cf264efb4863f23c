"""`fastfid shard`: one of several parts of a set of images, for clusters without Ray."""

from collections.abc import Sequence

from ..checks import list_text, whole_text
from ..options import checked, names
from ..terminal import say
from .parser import Parser, add_options, add_silence, expand, given_options, passing, silence


def command(arguments: Sequence[str]) -> None:
    """Run the command."""
    from .. import shard

    parser = _parser()
    typed = parser.parse_args(expand(arguments))
    if not 0 <= typed.index < typed.of:
        parser.error(f"parts have the numbers 0 to N-1: --index {typed.index} is none of --of {typed.of}")
    silence(typed)
    options = given_options(typed, "shard")
    metrics = ("fid", *(typed.with_metrics or ()))
    n = shard(typed.source, typed.folder, index=typed.index, of=typed.of, **{**options, "metrics": metrics})
    say(f"part {typed.index} of {typed.of}: {n} images are in {typed.folder}; fastfid merge puts the parts together")


def _parser() -> Parser:
    parser = Parser(
        prog="fastfid shard",
        description="Compute one of several parts of a set of images, and keep the results in a folder. Parts can be "
        "computed at the same time on several machines; fastfid merge puts them together.",
    )
    parser.add_argument("source", metavar="SRC", help="a folder of images, or anything else that fastfid reads")
    parser.add_argument("folder", metavar="OUT_DIR", help="the folder, or address, of the results of all parts")
    number = passing(whole_text)
    parser.add_argument("--index", type=number, required=True, metavar="I", help="which part, from 0 on")
    parser.add_argument("--of", type=number, required=True, metavar="N", help="the number of parts")
    parser.add_argument(
        "--with",
        dest="with_metrics",
        type=passing(lambda text: checked("metrics", list_text(text))),
        metavar="LIST",
        help="metrics that the merged file is to serve besides the FID, separated by commas",
    )
    add_options(parser, (name for name in names("shard") if name != "metrics"))
    add_silence(parser)
    return parser
