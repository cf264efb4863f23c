"""Which file systems of fsspec several threads may use at once; the others are used by one after the other."""

import threading
import weakref
from typing import Any

_SAFE = frozenset({"file", "local", "memory", "hf", "hdfs", "arrow_hdfs"})

_locks: "weakref.WeakKeyDictionary[Any, Any]" = weakref.WeakKeyDictionary()


class _Free:
    """A lock that several can hold."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


_free = _Free()
_lock_of_locks = threading.Lock()


def turn(fs: Any) -> Any:
    """Return a context for one call of a file system: a lock, unless several threads can use it at once.

    File systems over one open file, such as an archive's, would mix up their positions.
    """
    with _lock_of_locks:
        if fs not in _locks:
            # A cache of whole files has the attributes of what it caches, but two threads would write one file at once.
            cache = any(kind.__name__ == "CachingFileSystem" for kind in type(fs).__mro__)
            safe = not cache and (getattr(fs, "async_impl", False) is True or protocols(fs) & _SAFE)
            _locks[fs] = _free if safe else threading.Lock()
        return _locks[fs]


def protocols(fs: Any) -> set[str]:
    """Return the schemes of a file system."""
    return {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
