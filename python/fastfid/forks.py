"""What a fork waits for, and what the forked process inherits and must not end.

A fork copies one thread. One that happens while another thread is in the core would leave both processes without a BLAS
that returns: it waits until none is. The threads of an inherited ONNX Runtime session are not there, so its end, which
waits for them, would never come; and a lock that one of them held stays locked. Such things are kept in the child as
they are.
"""

import ctypes
import os
import weakref
from typing import Any

from . import _core

_kept: "weakref.WeakSet[Any]" = weakref.WeakSet()


def keep_in_children(thing: object) -> None:
    """See to it that a process forked from this one never destroys `thing`, not even when it exits."""
    _kept.add(thing)


def _keep() -> None:
    # One reference that nothing gives back: a list would be emptied when Python ends.
    for thing in list(_kept):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_core.before_fork,
        after_in_parent=_core.after_fork_in_parent,
        after_in_child=_core.after_fork_in_child,
    )
    os.register_at_fork(after_in_child=_keep)
