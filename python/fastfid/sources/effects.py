"""Tells which of the options that say how an input is read have no effect on it.

A new kind of source is one line in `_KINDS`.
"""

import os
from collections.abc import Callable
from typing import Any, NamedTuple

from ..files.remote import is_address
from .arrays import ArrayFile, Stack
from .base import Source
from .element import is_upath
from .folder import ArrayFolder, Folder
from .hugging_face import Rows, Stream
from .iterable import Elements
from .lists import Listed
from .mlperf import AccuracyLog
from .names import Endings
from .shards import Shards
from .streams import Streams
from .tables import Tables
from .terms import Terms

_FLOATS = ("value_range", "quantise")
_ADDRESSES = ("storage_options",)


class Kind(NamedTuple):
    """What a kind of source is called, and the options that it obeys."""

    called: str
    obeyed: tuple[str, ...] = ()


def effect_notes(given: object, source: Source, terms: Terms) -> tuple[str, ...]:
    """Return notes on the options that were given and have no effect on the source that was opened for an input."""
    describe = next((describe for kind, describe in _KINDS if isinstance(source, kind)), None)
    if describe is None:
        return ()
    called, obeyed = describe(source, terms)
    asked = _asked(terms)
    idle = [name for name in asked if name not in (*obeyed, *_ADDRESSES)]
    notes = [_note(idle, called, source)] if idle else []
    if "storage_options" in asked and "storage_options" not in obeyed and not _has_address(given):
        notes.append(_note(_ADDRESSES, "a UPath" if is_upath(given) else "what is on this machine", source))
    return tuple(notes)


def _asked(terms: Terms) -> list[str]:
    given = {
        "endings": terms.endings != Endings(),
        "image_key": terms.image_key is not None,
        "value_range": terms.value_range is not None,
        "quantise": terms.quantise is not None,
        "storage_options": bool(terms.storage_options),
    }
    return [name for name, is_given in given.items() if is_given]


def _note(names: list[str] | tuple[str, ...], called: str, source: Source) -> str:
    *others, last = names
    listed = f"{', '.join(others)} and {last} have" if others else f"{last} has"
    return f"{listed} no effect on {called}: {source.name}"


def _has_address(given: Any) -> bool:
    paths = given if isinstance(given, list | tuple) else [given]
    return any(isinstance(path, str | os.PathLike) and is_address(os.fsdecode(path)) for path in paths)


def _archives(_: Any, terms: Terms) -> Kind:
    if terms.image_key is None:
        return Kind("archives", ("endings",))
    return Kind("archives where image_key chooses", ("image_key",))


def _array(source: Stack | ArrayFile, _: Terms) -> Kind:
    return Kind("an array of floats", _FLOATS) if source.dtype.kind == "f" else Kind("an array of integers")


def _list(source: Listed, _: Terms) -> Kind:
    if source.name.lower().endswith(".txt"):
        return Kind("a list without columns", _ADDRESSES)
    return Kind("a list of paths", ("image_key", *_ADDRESSES))


def _data_set(source: Rows | Stream, _: Terms) -> Kind:
    return Kind("a data set of images", ("image_key", *(_FLOATS if source.arrays else ()), *_ADDRESSES))


def _is(called: str, *obeyed: str) -> Callable[[Any, Terms], Kind]:
    return lambda *_: Kind(called, obeyed)


#: What each kind of source is called and obeys. The first line that applies is used.
_KINDS: tuple[tuple[type[Source] | tuple[type[Source], ...], Callable[[Any, Terms], Kind]], ...] = (
    (ArrayFolder, _is("a folder of arrays", *_FLOATS)),
    (Folder, _is("a folder of images", "endings")),
    ((Shards, Streams), _archives),
    (Tables, _is("tables", "image_key")),
    (Listed, _list),
    (AccuracyLog, _is("a log of MLPerf")),
    ((Stack, ArrayFile), _array),
    ((Rows, Stream), _data_set),
    (Elements, _is("an iterable", "image_key", *_FLOATS, *_ADDRESSES)),
)
