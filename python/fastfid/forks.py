"""What a forked process inherits and must not end.

A fork copies one thread. The threads of an inherited ONNX Runtime session are not there, so its end, which waits for
them, would never come; and a lock that one of them held stays locked. Such things are kept in the child as they are.
"""

import ctypes
import os
import weakref
from typing import Any

_kept: "weakref.WeakSet[Any]" = weakref.WeakSet()


def keep_in_children(thing: object) -> None:
    """See to it that a process forked from this one never destroys `thing`, not even when it exits."""
    _kept.add(thing)


def _keep() -> None:
    # One reference that nothing gives back: a list would be emptied when Python ends.
    for thing in list(_kept):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep)
