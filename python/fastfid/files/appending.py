"""Appends lines of JSON to a file, from any number of processes."""

import errno
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from .reading import failures
from .writing import exclusive

_MOST_LINE = 1 << 20  # bytes

log = logging.getLogger("fastfid")


def append(path: str | os.PathLike[str], line: bytes = b"", *, ours: Callable[[bytes], bool]) -> None:
    """Append a line in one write, while no other process does; an unfinished line before it is ended first.

    `ours` says of the first line of a file whether it is one that may be appended to. Without a line, raise
    `InputError` if none could be appended; call it so before the run.
    """
    with failures(f"cannot append to {os.fspath(path)}"):
        target = Path(path).resolve()  # a link is followed here, because the lock does not
        if not target.parent.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"the folder {target.parent} does not exist")
        if target.exists() and not target.is_file():
            raise ValueError("it is not a regular file")
        waiting = f"waiting for another process that appends to {os.fspath(path)}"
        with exclusive(target, lambda: log.info(waiting)) as file:
            if (first := file.readline(_MOST_LINE)) and not ours(first):
                raise ValueError("it is there and is no history of fastfid")
            if line:
                _write(target, (b"" if _ends_well(file) else b"\n") + line)


def _ends_well(file: IO[bytes]) -> bool:
    """Return whether a file is empty, or ends with the end of a line."""
    if not file.seek(0, os.SEEK_END):
        return True
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def _write(target: Path, data: bytes) -> None:
    """Write to the end in one call, so that a reader sees all of it or nothing, and also where locks do not exist."""
    descriptor = os.open(target, os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0))
    try:
        written = os.write(descriptor, data)
        if written < len(data):  # the disk is full
            with suppress(OSError):
                os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
