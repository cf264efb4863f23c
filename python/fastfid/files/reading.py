"""Reads files from outside: regular files only, up to a given size, with one class of error for any failure."""

import hashlib
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from ..errors import FastFIDError, InputError
from .mounts import tells_changes

#: Largest file of one image in bytes, also inside an archive. Files that declare or unpack to more are refused.
MOST_FILE_BYTES = 1 << 29

_CHUNK = 1 << 20
_TICK = 2 * 10**7  # nanoseconds; the times of files are in steps of up to 10 ms
_FLAGS = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_LONGEST = 300  # characters of a cause; the errors of some parsers quote their whole input


@contextmanager
def failures(what: str, error: type[FastFIDError] = InputError, advice: str = "") -> Iterator[None]:
    """Turn any exception of a reader into one error with the message ``what: cause`` and `advice`.

    Damaged and hostile data can make a parser raise nearly any class of exception, so no class is listed here. Errors
    of this package are not changed, since they have a good message already. Neither is a `MemoryError`, which is about
    the machine and not about the file.

    Parameters
    ----------
    what : str
        Beginning of the message, which names the thing: "cannot read the archive a.zip".
    error : type
        Class of the error to raise.
    advice : str
        End of the message.

    Examples
    --------
    >>> with failures("cannot read a.npy"):
    ...     [][0]
    Traceback (most recent call last):
    fastfid.errors.InputError: cannot read a.npy: list index out of range
    """
    try:
        yield
    except (FastFIDError, MemoryError):
        raise
    except Exception as problem:
        raise error(f"{what}: {cause(problem)}{advice}") from problem


def cause(problem: BaseException) -> str:
    """Return the message of an exception, shortened if it is long."""
    text = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def open_regular(path: str | os.PathLike[str], *, most: int | None = None, buffering: int = -1) -> BinaryIO:
    """Open a file for reading, if it is a regular file. A FIFO would wait for a writer, and a device may be endless.

    Parameters
    ----------
    path : path
        Links are followed.
    most : int, optional
        Largest size, in bytes.
    buffering : int
        As for `open`.

    Raises
    ------
    ValueError
        If it is not a regular file, or larger than `most`; the message does not name it.
    OSError
        As for `open`.
    """
    _check(Path(path).stat(), most)  # before it is opened, because opening alone triggers some devices
    file: BinaryIO = open(path, "rb", buffering, opener=without_waiting)  # noqa: SIM115 - Path.open has no opener
    try:
        _check(os.fstat(file.fileno()), most)
    except BaseException:
        file.close()
        raise
    return file


def read_regular(path: str | os.PathLike[str], most: int) -> bytes:
    """Read a regular file of at most `most` bytes; errors as for `open_regular`.

    It uses system calls directly. For a small image, a file object would take more time than everything else.
    """
    _check(os.stat(path), most)  # noqa: PTH116 - as above
    descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    try:
        status = os.fstat(descriptor)
        _check(status, most)
        parts = [os.read(descriptor, status.st_size + 1)]
        size = len(parts[0])
        # Fewer or more bytes: the file has changed meanwhile, or the file system does not report its size.
        while size != status.st_size and size <= most and parts[-1]:
            parts.append(os.read(descriptor, min(_CHUNK, most + 1 - size)))
            size += len(parts[-1])
    finally:
        os.close(descriptor)
    _check_size(size, most)
    return b"".join(parts)


def state_of(file: IO[bytes]) -> tuple[int, int, int, int]:
    """Return what `is_other` compares: size, time of the last change, time of the inode and its number."""
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def is_other(state: tuple[int, int, int, int], before: tuple[int, int, int, int]) -> bool:
    """Return True if a file was changed, or replaced by another one, since it had a state.

    Another name or other permissions change the time of the inode alone, and some file systems number their files anew:
    both are of no concern to a run.
    """
    return state[:2] != before[:2] or (state[2] != before[2] and state[3] != before[3])


def proof_of_file(path: str | os.PathLike[str], *, content: bool = False) -> str:
    """Return a text that is different once a file has changed or another has taken its place; "" if nothing tells that.

    It has the time at which the file was last written or replaced, which no program can set back, and its number on the
    disk, beside its size and time. So a copy has another one. A file has none where that time is not kept: on file
    systems of some kinds, and where it is in whole seconds, as on all that have no other.

    Parameters
    ----------
    path : path
        Links are followed.
    content : bool
        True to read the file and hash it, for files that programs change through a memory map. Linux sets their times
        only at the first change after each time they were written to the disk.
    """
    try:
        status = os.stat(path)  # noqa: PTH116 - called for each of millions of files
        if _is_new(status):  # a change that follows at once might have the same time
            time.sleep(_TICK / 10**9)
            status = os.stat(path)  # noqa: PTH116 - as above
            if _is_new(status):
                return ""
        if not stat.S_ISREG(status.st_mode) or status.st_ctime_ns % 10**9 == 0 or not tells_changes(status.st_dev):
            return ""
        text = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
        if content:
            with open(path, "rb", opener=without_waiting) as file:
                text += f" {hashlib.file_digest(file, 'blake2b').hexdigest()}"
        return text
    except (OSError, ValueError):
        return ""


def _is_new(status: os.stat_result) -> bool:
    return 0 <= time.time_ns() - status.st_ctime_ns < _TICK


def without_waiting(path: str, flags: int) -> int:
    """Open a file without waiting for the writer of a FIFO; to be used as the `opener` of `open`."""
    return os.open(path, flags | _FLAGS)


_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def _check(status: os.stat_result, most: int | None) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = next((name for test, name in _KINDS if test(status.st_mode)), "something else")
        raise ValueError(f"it is {kind}, not a regular file")
    if most is not None:
        _check_size(status.st_size, most)


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise ValueError(f"it has {size:,} bytes or more; at most {most:,} are read")
