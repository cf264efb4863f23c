"""`fastfid cache`: lists what `--cache` keeps, and removes it."""

from collections.abc import Sequence
from datetime import datetime

from ..checks import counted
from ..engines.fit_cache import Kept, kept, make_room, most_bytes
from ..terminal import printable, show
from .parser import Parser


def command(arguments: Sequence[str]) -> None:
    """Run the command."""
    parser = Parser(
        prog="fastfid cache",
        description="List the results of real images that --cache keeps, or remove them all. Those that were not used "
        "for longest are removed by themselves beyond 4 GiB, or FASTFID_CACHE_SIZE MiB.",
    )
    parser.add_argument("what", nargs="?", default="list", choices=("list", "clear"), help="(default: list)")
    if parser.parse_args(arguments).what == "clear":
        show(f"removed {counted(make_room(0), 'file')}")
        return
    files = kept()
    for file in files:
        show(_line(file))
    total = sum(file.size for file in files)
    show(f"{counted(len(files), 'file')}, {total / (1 << 20):.1f} of at most {most_bytes() >> 20} MiB")


def _line(file: Kept) -> str:
    facts, used = file.facts(), datetime.fromtimestamp(file.used).isoformat(" ", "minutes")
    told = [str(facts.get(name, "?")) for name in ("place", "images", "model", "mode", "dims")] if facts else []
    kinds = [str(need).rpartition(".")[2] for need in facts.get("needs", ())]
    what = "{}: {} images, {}, {}, {} dims".format(*map(printable, told)) if told else "damaged"
    what += f" ({printable(', '.join(kinds))})" if kinds else ""
    return f"{used}  {file.size / (1 << 20):8.1f} MiB  {what}"
