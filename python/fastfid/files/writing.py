"""Writing a file so that it is there whole or not at all, and so that a killed writer leaves nothing for good.

A file grows beside its target under another name, as a part, and is renamed once it is whole. Its writer holds a lock
on the part, and the kernel drops that lock however the process ends: a part that nobody has locked is dead, and the
next writer of the same target removes it.
"""

import contextlib
import errno
import hashlib
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from .reading import failures

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
_MODE = 0o666  # less the umask: a result is as readable as any other file
_POLL = 0.1  # seconds
_LONGEST_NAME = 230  # bytes; file systems take 255
_DAY = 86_400.0  # seconds; where a file system has no locks, a part is dead at this age


@contextlib.contextmanager
def atomic_write(target: Path, *, replace: bool = True) -> Iterator[IO[bytes]]:
    """Yield a binary file beside `target` that takes its name on success and vanishes on any failure.

    Parameters
    ----------
    target : Path
    replace : bool
        Whether an existing target is replaced. Where it is not, this holds for one that another process has made in
        the meantime too.

    Raises
    ------
    FileExistsError
        At the end, where the target exists and `replace` is False.
    OSError
        Where the file cannot be written.
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
    """Yield a file, made or with what an earlier process left in it, to one process and one thread at a time.

    Parameters
    ----------
    part : Path
        It stays where it is, unless it is empty in the end.
    waiting : callable
        Is called once where somebody else has the file, before the wait for it.

    Raises
    ------
    OSError
        Where the file cannot be opened.
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
    """Give a part, whose open and locked file this is, the name of its target; raises as `atomic_write` does."""
    file.flush()
    os.fsync(file.fileno())
    if sys.platform == "win32":
        file.close()  # an open file can be neither renamed nor removed there
    if replace:
        part.replace(target)
    elif sys.platform == "win32":
        part.rename(target)  # fails where the target exists
    else:
        _rename_to_new(part, target)


def _rename_to_new(part: Path, target: Path) -> None:
    try:
        target.hardlink_to(part)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: the name is taken first, by an empty file
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        part.replace(target)
    else:
        part.unlink()


def _new_part(target: Path) -> tuple[Path, IO[bytes]]:
    """Make a part that is locked, and remove those of dead writers; simultaneous writers have numbers of their own."""
    for number in itertools.count():
        part = _part(target, number)
        file = _create(part)
        if file is not None:
            while (dead := _part(target, number := number + 1)).exists():
                _free(dead)
            return part, file
    raise AssertionError("not reached")


def _part(target: Path, number: int) -> Path:
    name = target.name
    if len(os.fsencode(name)) > _LONGEST_NAME:  # what the part's name has besides would be too much
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return target.with_name(f".{name}.{number}.part")


def _create(part: Path) -> IO[bytes] | None:
    """Make a part and lock it; None where it is somebody else's."""
    while True:
        try:
            file = os.fdopen(os.open(part, _FLAGS | os.O_EXCL, _MODE), "wb")
        except FileExistsError:
            if not _free(part):
                return None
            continue
        if _lock(file, without_locks=True) and _is_at(file, part):
            return file
        file.close()  # another process took it for dead, before it was locked


def _free(part: Path) -> bool:
    """Remove a part whose writer is dead; whether its name is free now."""
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
    """Lock a file until it is closed, without waiting; whether it could be, or the answer for one without locks."""
    try:
        if sys.platform == "win32":
            file.seek(1 << 40)  # the byte that is locked can be neither read nor written
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
    """Whether a path still names an open file: it may have been renamed or removed before it was locked."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), part.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False


def _remove(file: IO[bytes], part: Path) -> None:
    if sys.platform == "win32":
        file.close()
    part.unlink(missing_ok=True)  # while it is locked: afterwards the name may be another's


def check_writable(target: Path) -> None:
    """Raise `InputError` where a file could not be written: before the work whose result goes there."""
    with failures(f"cannot write {target}"):
        with contextlib.suppress(FileNotFoundError):
            target.lstat()  # raises for a name that no file can have
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        if not target.parent.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"the folder {target.parent} does not exist")
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".fastfid.", suffix=".part"):
            pass
