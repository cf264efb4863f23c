"""Writes files atomically, and removes what killed writers left behind.

A file is written next to its target under another name, as a part, and renamed once it is complete. Its writer holds a
lock on the part, which the kernel releases when the process ends in any way. So a part without a lock is dead, and the
next writer of the same target removes it.
"""

import contextlib
import errno
import hashlib
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from ..errors import InputError
from .reading import failures

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
_MODE = 0o666  # reduced by the umask, so that a result is as readable as any other file
_POLL = 0.1  # seconds
_LONGEST_NAME = 230  # bytes; file systems allow 255
_DAY = 86_400.0  # seconds; on a file system without locks, an older part is dead


@contextlib.contextmanager
def atomic_write(target: Path, *, replace: bool = True) -> Iterator[IO[bytes]]:
    """Yield a binary file next to `target`, which is renamed to it on success and removed on any failure.

    Parameters
    ----------
    target : Path
    replace : bool
        Whether to replace an existing target, or one that another process has created meanwhile.

    Raises
    ------
    FileExistsError
        At the end, if the target exists and `replace` is False.
    OSError
        If the file cannot be written.
    """
    part, file = _new_part(target)
    with file:
        try:
            yield file
            finish(file, part, target, replace=replace)
        except BaseException:
            _remove(file, part)
            raise


@contextlib.contextmanager
def exclusive(part: Path, waiting: Callable[[], object]) -> Iterator[IO[bytes]]:
    """Yield a file to one process and one thread at a time; it is created, or keeps what an earlier process wrote.

    Parameters
    ----------
    part : Path
        The file. It is kept afterwards unless it is empty.
    waiting : callable
        Called once, before waiting, if another process or thread has the file.

    Raises
    ------
    OSError
        If the file cannot be opened.
    """
    told = False
    while True:
        with os.fdopen(os.open(part, _FLAGS, _MODE), "r+b") as file:
            if _lock(file, without_locks=True) and _is_at(file, part):
                try:
                    yield file
                finally:
                    if _is_at(file, part) and not os.fstat(file.fileno()).st_size:
                        _remove(file, part)
                return
        if not told:
            waiting()
            told = True
        time.sleep(_POLL)


def finish(file: IO[bytes], part: Path, target: Path, *, replace: bool = True) -> None:
    """Rename a part, given with its open and locked file, to its target; errors as for `atomic_write`."""
    file.flush()
    os.fsync(file.fileno())
    if sys.platform == "win32":
        file.close()  # Windows can neither rename nor remove an open file
    if replace:
        part.replace(target)
    elif sys.platform == "win32":
        part.rename(target)  # fails if the target exists
    else:
        _rename_to_new(part, target)


def _rename_to_new(part: Path, target: Path) -> None:
    try:
        target.hardlink_to(part)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: reserve the name with an empty file first
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        part.replace(target)
    else:
        part.unlink()


def _new_part(target: Path) -> tuple[Path, IO[bytes]]:
    """Create a locked part, and remove the parts of dead writers; writers at the same time use different numbers."""
    for number in itertools.count():
        part = _part(target, number)
        file = _create(part)
        if file is not None:
            try:
                while (dead := _part(target, number := number + 1)).exists():
                    _free(dead)
            except BaseException:
                _give_up(file, part)
                raise
            return part, file
    raise AssertionError("not reached")


def _part(target: Path, number: int) -> Path:
    name = target.name
    if len(os.fsencode(name)) > _LONGEST_NAME:  # the longer name of the part would exceed the limit
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return target.with_name(f".{name}.{number}.part")


def _create(part: Path) -> IO[bytes] | None:
    """Create a part and lock it; return None if it belongs to another writer."""
    made = False

    def opener(path: str, _: int) -> int:
        nonlocal made
        descriptor = os.open(path, _FLAGS | os.O_EXCL, _MODE)
        made = True
        return descriptor

    while True:
        made = False
        try:
            file = open(part, "wb", opener=opener)  # noqa: SIM115 - Path.open takes no opener; returned
        except FileExistsError:
            if not _free(part):
                return None
            continue
        except BaseException:  # such as no memory for its buffer
            if made:
                part.unlink(missing_ok=True)
            raise
        if _lock(file, without_locks=True) and _is_at(file, part):
            return file
        file.close()  # another process removed it as dead before it was locked


def _free(part: Path) -> bool:
    """Remove a part if its writer is dead; return True if its name is free now."""
    try:
        file = os.fdopen(os.open(part, _FLAGS & ~os.O_CREAT), "r+b")
    except FileNotFoundError:
        return True
    except OSError:
        return False
    with file:
        old = time.time() - os.fstat(file.fileno()).st_mtime > _DAY
        if _lock(file, without_locks=old) and _is_at(file, part):
            _remove(file, part)
    return not part.exists()


def _lock(file: IO[bytes], *, without_locks: bool) -> bool:
    """Try to lock a file until it is closed; return True on success, or `without_locks` if locks do not exist."""
    try:
        if sys.platform == "win32":
            file.seek(1 << 40)  # far beyond the data, because a locked byte can be neither read nor written
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            file.seek(0)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return without_locks
    return True


def _is_at(file: IO[bytes], part: Path) -> bool:
    """Return True if the path still names this open file, which may have been renamed or removed before the lock."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), part.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False


def _remove(file: IO[bytes], part: Path) -> None:
    if sys.platform == "win32":
        file.close()
    part.unlink(missing_ok=True)  # while it is locked; afterwards the name may belong to another writer


def _give_up(file: IO[bytes], part: Path) -> None:
    with file:
        _remove(file, part)


def check_replaceable(target: Path, start: bytes, kind: str) -> None:
    """Raise `InputError` if a file could not be written, or is there and does not begin as ours do."""
    check_writable(target)
    if target.exists():
        with failures(f"cannot read {target}"), target.open("rb") as file:
            found = file.read(len(start))
        if found and found != start:
            raise InputError(f"{target} exists and is no {kind} of fastfid: give another name")


def check_writable(target: Path) -> None:
    """Raise `InputError` if a file could not be written; call it before computing what goes into the file."""
    with failures(f"cannot write {target}"):
        with contextlib.suppress(FileNotFoundError):
            target.lstat()  # raises if no file can have this name
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        if not target.parent.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"the folder {target.parent} does not exist")
        part, file = _new_part(target)  # not a name of its own, which nobody would clean up after a kill
        _give_up(file, part)
