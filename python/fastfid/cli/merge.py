"""`fastfid merge`: merges the statistics of several sets into one file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from ..errors import InputError
from ..files.remote import is_address
from ..fit import Fit
from ..metrics.moments import MOMENTS, Statistics
from ..metrics.rows import ROWS
from ..metrics.saved import load, save
from ..sharding import merge as load_pieces
from ..terminal import say
from .parser import Parser, add_option, add_silence, silence
from .save_stats import check_target, say_saved


def command(arguments: Sequence[str]) -> None:
    """Run the command."""
    parser = Parser(
        prog="fastfid merge",
        description="Merge the statistics of disjoint sets of images, or the parts in a folder of fastfid shard.",
    )
    parser.add_argument("out", help="the .npz to write")
    parser.add_argument(
        "inputs", nargs="+", metavar="in", help="the .npz files, or folders of parts, to merge, in this order"
    )
    parser.add_argument("--force", action="store_true", help="replace an existing file")
    add_option(parser, "storage_options")
    add_silence(parser)
    typed = parser.parse_args(arguments)
    silence(typed)
    check_target(typed.out, typed.force)
    merged: Fit | None = None
    for path in typed.inputs:
        part = _part(path, getattr(typed, "storage_options", None))
        if part.n is None:
            raise InputError(f"{path} cannot be merged: it has no n, the number of images")
        merged = part if merged is None else _merged(merged, part, path)
    assert merged is not None
    say_saved(merged, save(merged, typed.out, overwrite=typed.force))


def _part(path: str, storage_options: dict[str, Any] | None) -> Fit:
    if is_address(path) or Path(path).is_dir():
        return load_pieces(path, storage_options=storage_options)
    return load(path)


def _merged(whole: Fit, part: Fit, path: str) -> Fit:
    """Merge what both have; nothing else could be complete."""
    dims = cast(Statistics, whole[MOMENTS]).dims
    for need in [*whole.states, *part.states]:
        if need not in whole.states or need not in part.states:
            whole.states.pop(need, None)
            if need != ROWS or max(whole.n or 0, part.n or 0) > dims:  # small sets always have these
                say(f"note: the result has no {need}: not all of the files up to {path} have them")
    return whole.merge(part)
