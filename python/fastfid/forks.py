"""Makes forks safe: a fork waits for the core, and the child never destroys an ONNX Runtime session it inherited.

A fork copies only the thread that calls it. If another thread were in the core during a fork, BLAS would hang in both
processes, so a fork waits until no thread is in the core. An inherited ONNX Runtime session has lost its threads:
destroying it would wait for them for ever, and a lock that one of them held stays locked. So the child keeps such
objects alive until it exits.
"""

import ctypes
import os
import weakref
from typing import Any

from . import _core

_kept: "weakref.WeakSet[Any]" = weakref.WeakSet()


def keep_in_children(thing: object) -> None:
    """Make sure that a process forked from this one never destroys `thing`, not even when it exits."""
    _kept.add(thing)


def _keep() -> None:
    # An extra reference that is never released; Python would empty a list when it exits.
    for thing in list(_kept):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_core.before_fork,
        after_in_parent=_core.after_fork_in_parent,
        after_in_child=_core.after_fork_in_child,
    )
    os.register_at_fork(after_in_child=_keep)
