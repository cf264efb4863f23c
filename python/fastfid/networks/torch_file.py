"""Reads weights in torch's legacy file format without torch.

The format (torch.save before 1.6, or with `_use_new_zipfile_serialization=False`) has five pickles: a magic number, a
protocol version, facts about the writing machine, the dict of tensors, and the list of storage keys. For each key they
are followed by the number of elements (int64) and the raw elements. A tensor is a strided view into a storage. In the
published Inception weights the strides matter, because the convolutions are stored in the order height, width, in, out.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from ..checks import type_of
from ..errors import ModelError
from ..files.reading import failures, read_regular
from .architecture import expected_shapes
from .registry import MOST_BYTES
from .torch_pickles import Storage, View, walk

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001


def _pickle(stream: io.BytesIO, part: str) -> Any:
    with failures(f"{part} cannot be read", ModelError):
        return walk(stream)


def _header(stream: io.BytesIO) -> None:
    if _pickle(stream, "the magic number") != _MAGIC:
        raise ModelError("the magic number is not that of torch's legacy format")
    protocol = _pickle(stream, "the protocol version")
    if type(protocol) is not int or protocol != _PROTOCOL:
        found = str(protocol)[:40] if type(protocol) is int else type_of(protocol)
        raise ModelError(f"the protocol version is {found}, not {_PROTOCOL}")
    system = _pickle(stream, "the system information")
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise ModelError("the file was not written on a little-endian machine")


def _read_storage(data: bytes, at: int, storage: Storage, nth: str) -> npt.NDArray[Any]:
    if len(data) < at + 8:
        raise ModelError(f"the file is truncated: it ends before {nth}")
    size = int.from_bytes(data[at : at + 8], "little", signed=True)
    if size != storage.size:
        raise ModelError(f"{nth} has {size} elements, but the tensors expect {storage.size}")
    have, need = len(data) - at - 8, size * storage.dtype.itemsize
    if have < need:
        raise ModelError(f"the file is truncated: {nth} has {have} of {need} bytes")
    return np.frombuffer(data, storage.dtype, size, at + 8)


def _read_storages(data: bytes, at: int, keys: object, views: Mapping[str, View]) -> dict[str, npt.NDArray[Any]]:
    """Read all storages, the first of them at byte `at`; raise `ModelError` if data follows the last."""
    used: dict[str, Storage] = {}
    for name, view in views.items():
        if used.setdefault(view.storage.key, view.storage) != view.storage:
            raise ModelError(f"{name:.80} disagrees with another tensor about the storage that they share")
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


def _strided(name: str, view: View, storage: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the view into its storage, after a check that it lies inside."""
    count, end = 1, view.offset + 1
    for length, stride in zip(view.shape, view.strides, strict=True):
        count *= length
        end += (length - 1) * stride
    # A view with more elements than its storage is expanded. Weights never are, and it could need any amount of memory.
    if count > storage.size or (count and end > storage.size):
        raise ModelError(f"{name:.80} reaches outside of its storage of {storage.size} elements")
    if not count:
        return np.empty(view.shape, storage.dtype)
    # The stride of an axis with a single element has no meaning, and may be larger than NumPy allows.
    strides = [storage.itemsize * (n if m > 1 else 1) for n, m in zip(view.strides, view.shape, strict=True)]
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
        if not isinstance(name, str) or not isinstance(view, View):
            raise ModelError(f"entry {name!r:.80} is not a tensor; a plain state dict is needed")
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
        The file, or its contents.
    name : str, optional
        Name of the file in messages.

    Returns
    -------
    dict of str to ndarray
        Read-only views, float32 or int64, with the strides of the file.

    Raises
    ------
    ModelError
        If the file is missing, truncated, larger than 1 GiB or not of this format, or uses a name that weights do not
        need.
    """
    if isinstance(path_or_bytes, bytes):
        data, source = path_or_bytes, name or "the given data"
    else:
        source = name or os.fspath(path_or_bytes)
        with failures(f"{source} cannot be read", ModelError):
            data = read_regular(path_or_bytes, MOST_BYTES)
    try:
        with failures("it is damaged", ModelError):
            return _parse(data)
    except ModelError as error:
        _fail(source, error)


def _first(names: list[str]) -> str:
    return ", ".join(f"{name:.80}" for name in names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def check_layout(weights: Mapping[str, npt.NDArray[Any]], *, name: str = "the file") -> None:
    """Check that weights are those of the FID Inception-v3, by names, shapes and dtypes.

    Parameters
    ----------
    weights : mapping of str to ndarray
        The result of `read_legacy_checkpoint`, with or without `num_batches_tracked` counters.
    name : str
        Name of the file in messages.

    Raises
    ------
    ModelError
        If they are not; the message lists the first missing, unexpected and wrong entries.
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
