"""The command that repeats a comparison, or the call where no command can say it."""

import json
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..checks import shown
from ..files.remote import without_secrets
from ..images.preprocess import Preprocessing
from ..options import Options, names, option_of
from ..protocols import protocol_of

_NOT_OF_THE_RESULT = ("progress",)


def command_of(sides: Sequence[Any], options: Options) -> str:
    """Return the command for the shell, or the call in Python if a side or an option cannot be typed.

    Credentials are left out.

    Examples
    --------
    >>> command_of(["my images", "real.npz"], Options(limit=500, recursive=False, metrics=("fid", "kid")))
    "fastfid 'my images' real.npz --limit 500 --no-recursive --metrics fid,kid"
    """
    sides = [side for side in sides if side is not None]
    changed = _changed(options)
    typed = [_typed(name, value) for name, value in changed.items()]
    paths = [without_secrets(os.fsdecode(side)) if isinstance(side, str | os.PathLike) else None for side in sides]
    if None in typed or None in paths:
        given = [shown(path) if path else type(side).__name__ for path, side in zip(paths, sides, strict=True)]
        keywords = [f"{name}={_repr(name, value)}" for name, value in changed.items()]
        return f"fastfid.compare({', '.join([*given, *keywords])})"
    words = [word for pair in typed if pair for word in pair]
    return shlex.join(["fastfid", *(path for path in paths if path), *words])


def _changed(options: Options) -> dict[str, Any]:
    """Return the options that are not as by default, without those that the protocol fixes."""
    protocol = protocol_of(options.protocol)
    left_out = (*_NOT_OF_THE_RESULT, *(protocol.fixed(vars(options)) if protocol else ()))
    every = {name: getattr(options, name) for name in names("compare") if name not in left_out}
    return {name: value for name, value in every.items() if not _is_usual(value, getattr(Options, name))}


def _is_usual(value: Any, usual: Any) -> bool:
    return value is None if usual is None else bool(value == usual)  # a baseline may be an array


def _typed(name: str, value: Any) -> list[str] | None:
    """Return the words of a flag, or None if the value cannot be typed."""
    option = option_of(name)
    flag = option.flag or f"--{name.replace('_', '-')}"
    if option.switch is not None:
        return [flag]
    text = _text(name, value)
    return None if text is None else [flag, text]


def _text(name: str, value: Any) -> str | None:
    if name in _SECRET:
        return "..."
    if value is True:  # a report in Python need not be a file
        return "report.html"
    for kind, text in _TEXTS.items():
        if isinstance(value, kind):
            return text(value)
    return None


def _of_list(values: Any) -> str | None:
    return ",".join(map(str, values)) if all(isinstance(each, str | int | float) for each in values) else None


def _repr(name: str, value: Any) -> str:
    if name in _SECRET:
        return "..."
    return type(value).__name__ if hasattr(value, "__array__") else shown(value)


_SECRET = ("storage_options",)
_TEXTS: Mapping[type | tuple[type, ...], Callable[[Any], str | None]] = {
    str: str,
    os.PathLike: os.fsdecode,
    (int, float): str,
    (list, tuple): _of_list,
    (set, frozenset): lambda values: _of_list(sorted(values)),
    Mapping: json.dumps,
    Preprocessing: str,
}
