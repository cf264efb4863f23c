"""What the pickles of torch's legacy format may hold: dicts of tensors that refer to storages, and nothing else."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, ClassVar, TypeGuard

import numpy as np

from ..errors import ModelError
from ..files.pickles import Machine

_STORAGES: dict[str, np.dtype[Any]] = {"torch FloatStorage": np.dtype("<f4"), "torch LongStorage": np.dtype("<i8")}
_REBUILD = "torch._utils _rebuild_tensor_v2"
_ORDERED_DICT = "collections OrderedDict"
_MOST_AXES = 8


@dataclass(frozen=True)
class _Name:
    """The name of a global in the pickle; the global itself is never looked up."""

    name: str


@dataclass(frozen=True)
class Storage:
    """Raw elements in the file, and the key under which they are stored."""

    key: str
    dtype: np.dtype[Any]
    size: int


@dataclass(frozen=True)
class View:
    """A tensor: a strided view into a storage, with offset and strides in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Weights(Machine):
    subject: ClassVar[str] = "weights"

    def named(self, name: str) -> _Name:
        if name not in (*_STORAGES, _REBUILD, _ORDERED_DICT):
            raise ModelError(f"the file asks for {name.replace(' ', '.'):.80}, which weights do not need: refused")
        return _Name(name)

    def called(self, function: object, arguments: object) -> object:
        """Return an empty dict, or the description of a view."""
        match function, arguments:
            case _Name(name), () if name == _ORDERED_DICT:
                return {}
            case _Name(name), (Storage() as storage, int(offset), shape, strides, bool(), dict(), *_) if (
                name == _REBUILD
            ):
                if offset >= 0 and _is_shape(shape) and _is_shape(strides) and len(shape) == len(strides):
                    return View(storage, offset, shape, strides)
        raise ModelError("the file describes a tensor in an unknown way")

    def built(self, target: object, state: object) -> None:
        """Ignore the attributes of a dict: torch's `_metadata`, which is not needed for the weights."""
        if type(target) is not dict:
            raise ModelError("the file sets attributes of something that has none")

    def persistent(self, pid: object) -> Storage:
        match pid:
            case ("storage", _Name(kind), str(key), str(), int(size), None) if kind in _STORAGES and size >= 0:
                return Storage(key, _STORAGES[kind], size)
        raise ModelError("the file describes a storage in an unknown way")


def _is_shape(value: object) -> TypeGuard[tuple[int, ...]]:
    return isinstance(value, tuple) and len(value) <= _MOST_AXES and all(type(n) is int and n >= 0 for n in value)


def walk(stream: io.BytesIO) -> Any:
    """Evaluate the next pickle of a stream.

    Raises
    ------
    ModelError
        If it uses a name that weights do not need, or describes a tensor that makes no sense.
    Exception
        Of nearly any class, if it is damaged.
    """
    return _Weights().evaluate(stream)
