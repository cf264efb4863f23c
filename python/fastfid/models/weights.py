"""Weights in torch's legacy file format, read without torch.

The format (torch.save before 1.6, or with `_use_new_zipfile_serialization=False`): five pickles, namely a magic number,
a protocol version, facts about the writing machine, the dict of tensors, the list of storage keys; then for each key
the number of elements (int64) and the raw elements. A tensor is a strided view into a storage, and in the published
Inception weights the strides matter: the convolutions are stored height, width, in, out.

Pickle can call anything by name, so no unpickler runs here: the opcodes are walked by `_walk`, which knows only those
that this format uses, calls nothing, and admits four names.
"""

from __future__ import annotations

import io
import os
import pickletools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeGuard

import numpy as np
import numpy.typing as npt

from ..errors import ModelError
from .inception import expected_shapes

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_STORAGES: dict[str, np.dtype[Any]] = {"torch FloatStorage": np.dtype("<f4"), "torch LongStorage": np.dtype("<i8")}
_REBUILD = "torch._utils _rebuild_tensor_v2"
_ORDERED_DICT = "collections OrderedDict"
_MARK = object()
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, type] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_LITERALS = {"BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE", "SHORT_BINUNICODE"}


@dataclass(frozen=True)
class _Name:
    """A global that the pickle asks for: only the name, never the thing."""

    name: str


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: np.dtype[Any]
    size: int


@dataclass(frozen=True)
class _View:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _global(name: str) -> _Name:
    if name not in (*_STORAGES, _REBUILD, _ORDERED_DICT):
        raise ModelError(f"the file asks for {name.replace(' ', '.')}, which weights have no need of: refused")
    return _Name(name)


def _storage(pid: object) -> _Storage:
    match pid:
        case ("storage", _Name(kind), str(key), str(), int(size), None) if kind in _STORAGES and size >= 0:
            return _Storage(key, _STORAGES[kind], size)
    raise ModelError("the file describes a storage in a way that is not known")


def _is_shape(value: object) -> TypeGuard[tuple[int, ...]]:
    return isinstance(value, tuple) and all(type(n) is int and n >= 0 for n in value)


def _reduce(function: object, arguments: object) -> object:
    """Stand-in for the call of a global: an empty dict, or the description of a view."""
    match function, arguments:
        case _Name(name), () if name == _ORDERED_DICT:
            return {}
        case _Name(name), (_Storage() as storage, int(offset), shape, strides, bool(), dict(), *_) if name == _REBUILD:
            if offset >= 0 and _is_shape(shape) and _is_shape(strides) and len(shape) == len(strides):
                return _View(storage, offset, shape, strides)
    raise ModelError("the file describes a tensor in a way that is not known")


def _put(target: object, items: list[Any]) -> None:
    # Only plain keys are hashed: the hash of a deeply nested tuple overflows the C stack.
    if type(target) is dict and len(items) % 2 == 0 and all(type(key) in (str, int) for key in items[::2]):
        target.update(zip(items[::2], items[1::2], strict=True))
    else:
        raise ModelError("the file has a dict whose keys are not names")


def _pop_to_mark(stack: list[Any]) -> list[Any]:
    at = max(i for i, item in enumerate(stack) if item is _MARK)
    items = stack[at + 1 :]
    del stack[at:]
    return items


def _push(opcode: str, arg: Any, stack: list[Any]) -> bool:
    """Push what an opcode makes out of nothing or of the top of the stack; False where it is not such an opcode."""
    if opcode in _LITERALS:
        stack.append(arg)
    elif opcode in _CONSTANTS:
        stack.append(_CONSTANTS[opcode])
    elif opcode in _EMPTY:
        stack.append(_EMPTY[opcode]())
    elif opcode == "TUPLE":
        stack.append(tuple(_pop_to_mark(stack)))
    elif opcode in _TUPLES:
        stack[-_TUPLES[opcode] :] = [tuple(stack[-_TUPLES[opcode] :])]
    else:
        return False
    return True


def _fill(opcode: str, stack: list[Any]) -> bool:
    """Move the top of the stack into the container below; False where the opcode does something else."""
    match opcode:
        case "APPENDS" | "SETITEMS":
            items = _pop_to_mark(stack)
        case "APPEND":
            items = [stack.pop()]
        case "SETITEM":
            items = [stack.pop(-2), stack.pop()]
        case _:
            return False
    if opcode.startswith("APPEND"):
        list.extend(stack[-1], items)  # raises where it is not a list
    else:
        _put(stack[-1], items)
    return True


def _walk(stream: io.BytesIO) -> Any:
    """Evaluate one pickle; pickletools does the parsing, and this machine has no opcode that runs code."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for opcode, arg, _ in pickletools.genops(stream):
        if _push(opcode.name, arg, stack) or _fill(opcode.name, stack):
            continue
        match opcode.name:
            case "PROTO" | "FRAME":
                pass
            case "MARK":
                stack.append(_MARK)
            case "BUILD":  # attributes of a dict: torch's `_metadata`, which says nothing about the weights
                stack.pop()
                if type(stack[-1]) is not dict:
                    raise ModelError("the file sets attributes of something that has none")
            case "BINPUT" | "LONG_BINPUT":
                memo[int(arg or 0)] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[int(arg or 0)])
            case "GLOBAL":
                stack.append(_global(str(arg)))
            case "STACK_GLOBAL":
                stack[-2:] = [_global(" ".join(stack[-2:]))]
            case "BINPERSID":
                stack.append(_storage(stack.pop()))
            case "REDUCE":
                stack[-2:] = [_reduce(stack[-2], stack[-1])]
            case "STOP":
                return stack.pop()
            case name:
                raise ModelError(f"the file uses the pickle opcode {name}, which weights have no need of: refused")
    raise ModelError("the file ends inside a pickle")  # not reached: pickletools raises before


def _pickle(stream: io.BytesIO, part: str) -> Any:
    try:
        return _walk(stream)
    except ModelError:
        raise
    # Whatever a damaged or hostile pickle provokes (pickletools alone raises ValueError, struct.error, KeyError, ...),
    # to the caller it is one thing: not a weights file.
    except Exception as error:
        raise ModelError(f"{part} cannot be read ({error or type(error).__name__})") from error


def _header(stream: io.BytesIO) -> None:
    if _pickle(stream, "the magic number") != _MAGIC:
        raise ModelError("the magic number is not that of torch's legacy format")
    protocol = _pickle(stream, "the protocol version")
    if protocol != _PROTOCOL:
        raise ModelError(f"the protocol version is {protocol!r:.40}, not {_PROTOCOL}")
    system = _pickle(stream, "the system information")
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise ModelError("the file was not written on a little-endian machine")


def _read_storage(data: bytes, at: int, storage: _Storage, nth: str) -> npt.NDArray[Any]:
    if len(data) < at + 8:
        raise ModelError(f"the file is truncated: it ends before {nth}")
    size = int.from_bytes(data[at : at + 8], "little", signed=True)
    if size != storage.size:
        raise ModelError(f"{nth} says that it has {size} elements, where the tensors expect {storage.size}")
    have, need = len(data) - at - 8, size * storage.dtype.itemsize
    if have < need:
        raise ModelError(f"the file is truncated: {nth} has {have} of {need} bytes")
    return np.frombuffer(data, storage.dtype, size, at + 8)


def _read_storages(data: bytes, at: int, keys: object, views: Mapping[str, _View]) -> dict[str, npt.NDArray[Any]]:
    """Read all storages, the first at byte `at`; nothing may follow the last."""
    used: dict[str, _Storage] = {}
    for name, view in views.items():
        if used.setdefault(view.storage.key, view.storage) != view.storage:
            raise ModelError(f"{name} disagrees with another tensor about the storage that they share")
    if not isinstance(keys, list) or any(type(key) is not str for key in keys) or len(set(keys)) != len(keys):
        raise ModelError("the list of storage keys is not a list of different names")
    if set(keys) != used.keys():
        raise ModelError(f"the file lists {len(keys)} storages, and they are not the {len(used)} that it uses")
    storages: dict[str, npt.NDArray[Any]] = {}
    for n, key in enumerate(keys, 1):
        storages[key] = _read_storage(data, at, used[key], f"storage {n} of {len(keys)}")
        at += 8 + storages[key].nbytes
    if extra := len(data) - at:
        raise ModelError(f"{extra} bytes follow the last storage")
    return storages


def _strided(name: str, view: _View, storage: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Make the view into its storage, once it is certain that it lies inside."""
    count, end = 1, view.offset + 1
    for length, stride in zip(view.shape, view.strides, strict=True):
        count *= length
        end += (length - 1) * stride
    # More elements than the storage has would be an expanded view: never a weight, but a way to ask for any memory.
    if count > storage.size or (count and end > storage.size):
        raise ModelError(f"{name} reaches outside of its storage of {storage.size} elements")
    if not count:
        return np.empty(view.shape, storage.dtype)
    strides = [stride * storage.itemsize for stride in view.strides]
    return np.lib.stride_tricks.as_strided(storage[view.offset :], view.shape, strides, writeable=False)


def _parse(data: bytes) -> dict[str, npt.NDArray[Any]]:
    if data[:2] == b"PK":
        raise ModelError(
            "this is torch's zip format; convert it once, where torch is installed, with "
            "torch.save(state, path, _use_new_zipfile_serialization=False)"
        )
    stream = io.BytesIO(data)
    _header(stream)
    views = _pickle(stream, "the dict of tensors")
    if not isinstance(views, dict):
        raise ModelError("the file does not hold a dict of tensors")
    for name, view in views.items():
        if not isinstance(name, str) or not isinstance(view, _View):
            raise ModelError(f"entry {name!r} is not a tensor; a plain state dict is needed")
    keys = _pickle(stream, "the list of storage keys")
    storages = _read_storages(data, stream.tell(), keys, views)
    return {name: _strided(name, view, storages[view.storage.key]) for name, view in views.items()}


def _fail(source: str, error: ModelError) -> NoReturn:
    raise ModelError(f"{source} is not a weights file that can be read: {error}") from error


def read_legacy_checkpoint(
    path_or_bytes: str | os.PathLike[str] | bytes, *, name: str | None = None
) -> dict[str, npt.NDArray[Any]]:
    """Read a dict of tensors in torch's legacy format, without torch and without unpickling.

    Parameters
    ----------
    path_or_bytes : path or bytes
        The file, or what is in it.
    name : str, optional
        What messages call the file.

    Returns
    -------
    dict of str to ndarray
        Read-only views, float32 or int64, with the strides of the file.

    Raises
    ------
    ModelError
        Where the file is missing, truncated, not of this format, or asks for a name that weights have no need of.
    """
    if isinstance(path_or_bytes, bytes):
        data, source = path_or_bytes, name or "what was given"
    else:
        source = name or os.fspath(path_or_bytes)
        try:
            data = Path(path_or_bytes).read_bytes()
        except OSError as error:
            raise ModelError(f"{source} cannot be read: {error.strerror}") from error
    try:
        return _parse(data)
    except ModelError as error:
        _fail(source, error)


def _first(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def check_layout(weights: Mapping[str, npt.NDArray[Any]], *, name: str = "the file") -> None:
    """Check that weights are those of the FID Inception-v3, by names, shapes and dtypes.

    Parameters
    ----------
    weights : mapping of str to ndarray
        As `read_legacy_checkpoint` gives; `num_batches_tracked` counters may be there or not.
    name : str
        What messages call the file.

    Raises
    ------
    ModelError
        Naming the first missing, unexpected or wrongly shaped entries.
    """
    expected = expected_shapes()
    missing = [key for key in expected if key not in weights]
    unexpected = [key for key in weights if key not in expected and not key.endswith(".bn.num_batches_tracked")]
    wrong = [
        f"{key} is {weights[key].dtype} {weights[key].shape} instead of float32 {shape}"
        for key, shape in expected.items()
        if key in weights and (weights[key].shape != shape or weights[key].dtype != np.float32)
    ]
    problems = {"missing": missing, "unexpected": unexpected, "wrong": wrong}
    said = "; ".join(f"{what}: {_first(keys)}" for what, keys in problems.items() if keys)
    if said:
        raise ModelError(f"{name} does not have the layout of pytorch-fid's inception-v3: {said}")
