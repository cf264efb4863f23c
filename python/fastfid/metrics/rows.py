"""An accumulator that keeps the feature rows themselves: in memory, and beyond a budget in a temporary file."""

import os
import tempfile
import threading
import weakref
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files.reading import cause
from .base import Accumulator, Need, check_version

_BLOCK = 16 << 20  # bytes copied at a time
_VARIABLE = "FASTFID_ROWS_MEMORY"
_DEFAULT = 1024  # MiB

Matrix = NDArray[np.float32] | NDArray[np.float64]


class _Memory:
    """The bytes that all rows of this process hold in memory."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._used = 0

    def take(self, size: int) -> bool:
        """Reserve bytes and return True, or return False if they do not fit the budget."""
        budget = _budget()
        with self.lock:
            if self._used + size > budget:
                return False
            self._used += size
            return True

    def give_back(self, sizes: list[int]) -> None:
        """Release what was reserved; `sizes` is emptied."""
        with self.lock:
            self._used -= sum(sizes)
            sizes.clear()


_memory = _Memory()


class _Kept:
    """What is released when the rows are gone: their bytes of the budget, and the file."""

    def __init__(self) -> None:
        self.reserved: list[int] = []
        self.file: IO[bytes] | None = None
        self.process = 0  # that made the file

    def release(self) -> None:
        _memory.give_back(self.reserved)
        if self.file is not None:
            with suppress(OSError):  # a full disk again
                self.file.close()


def _budget() -> int:
    text = os.environ.get(_VARIABLE, "") or str(_DEFAULT)
    if not (text.isdecimal() and len(text) < 10):
        raise InputError(f"{_VARIABLE} must be a whole number of MiB, got {text!r}")
    return int(text) << 20


class Rows(Accumulator):
    """All rows, in order, as float32: 8 KiB per image at 2048 dims.

    The rows of one process take at most 1 GiB of memory together, or as many MiB as the environment variable
    ``FASTFID_ROWS_MEMORY`` says. Beyond that they are written to a temporary file without a name, which the system
    removes when the process ends, however it ends. Its folder is that of `tempfile`: ``TMPDIR``, else /tmp.

    Parameters
    ----------
    dims : int
        Length of a row.
    """

    version: ClassVar[int] = 1

    def __init__(self, dims: int) -> None:
        self.dims = dims
        self._lock = threading.RLock()
        self._parts: list[Matrix] = []  # read-only, so that several rows can share them
        self._n = 0
        self._kept = _Kept()
        weakref.finalize(self, self._kept.release)
        _all.add(self)

    @classmethod
    def of(cls, matrix: Matrix) -> Self:
        """Return the rows of a caller's matrix, float32 or float64; it is not copied."""
        rows = cls(matrix.shape[1])
        rows._parts, rows._n = [_read_only(matrix)], len(matrix)
        return rows

    def __len__(self) -> int:
        return self._n

    @property
    def matrix(self) -> Matrix:
        """The rows, shape (n, dims), read-only."""
        with self._lock:
            if self._kept.file is not None:
                return np.memmap(self._kept.file, np.float32, "r", shape=(self._n, self.dims))
            if len(self._parts) != 1:
                self._parts = [_read_only(self._joined())]
            return self._parts[0]

    def _joined(self) -> Matrix:
        whole, done = np.empty((self._n, self.dims), np.float32), 0
        while self._parts:  # each is freed once it is copied, so that memory never holds two copies of all
            part = self._parts.pop(0)
            whole[done : done + len(part)] = part
            done += len(part)
        return whole

    def blocks(self) -> Iterator[Matrix]:
        """Yield the rows in blocks of a few MiB, read-only."""
        with self._lock:
            parts = list(self._parts) if self._kept.file is None else [self.matrix]
        step = max(1, _BLOCK // (4 * self.dims))
        for part in parts:
            for first in range(0, len(part), step):
                yield part[first : first + step]

    def update(self, rows: NDArray[np.float32], /) -> "Rows":
        """Add rows (k, dims)."""
        self._add(_read_only(np.array(rows, dtype=np.float32)))
        return self

    def merge(self, other: "Rows", /) -> "Rows":
        """Add the rows of another; raise `InputError` if they have another length."""
        if other.dims != self.dims:
            raise InputError(f"rows of {self.dims} dims cannot be merged with rows of {other.dims}")
        for block in list(other.blocks()) if other is self else other.blocks():
            self._add(block)
        return self

    def _add(self, rows: Matrix) -> None:
        """Add rows that nobody changes."""
        if not len(rows):  # an empty file cannot be mapped
            return
        with self._lock:
            if self._kept.file is None and _memory.take(rows.nbytes):
                self._kept.reserved.append(rows.nbytes)
                self._parts.append(rows)
            else:
                self._write(rows)
            self._n += len(rows)

    def _write(self, rows: Matrix) -> None:
        try:
            if self._kept.file is None or self._kept.process != os.getpid():
                self._move()
            assert self._kept.file is not None
            self._kept.file.write(np.ascontiguousarray(rows, dtype=np.float32).data)
            self._kept.file.flush()  # a full disk raises here and not later
        except OSError as error:
            raise InputError(
                f"cannot keep the feature rows in {tempfile.gettempdir()}: {cause(error)}; set TMPDIR to a folder with "
                f"more room, or {_VARIABLE} to more MiB of memory"
            ) from error

    def _move(self) -> None:
        """Write all rows to a new file; after a fork also those in the parent's file, which stays as it is."""
        before, file = list(self.blocks()), tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the rows
        self._kept.file, self._kept.process = file, os.getpid()
        for part in before:
            file.write(np.ascontiguousarray(part, dtype=np.float32).data)
        self._parts = []
        _memory.give_back(self._kept.reserved)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Rows":
        return Rows(self.dims).merge(self)

    def __getstate__(self) -> dict[str, Any]:
        return {"version": self.version, "dims": self.dims, "rows": np.asarray(self.matrix)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        check_version(self, state)
        Rows.__init__(self, state["dims"])
        for part in Rows.of(state["rows"]).blocks():
            self._add(part)


ROWS = Need("features", Rows)


def _read_only(matrix: Matrix) -> Matrix:
    view = matrix.view()
    view.flags.writeable = False
    return view


_all: "weakref.WeakSet[Rows]" = weakref.WeakSet()


def _after_fork() -> None:
    """Replace the locks in a child, since their holders may not exist there."""
    _memory.lock = threading.Lock()
    for rows in list(_all):
        rows._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
