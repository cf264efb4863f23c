"""A reader in a process of its own, which can be ended.

A C library that loops over a damaged file is deaf to Ctrl-C and to any limit inside the process; one that crashes takes
the process with it. The child gets a file's bytes on its standard input, gives arrays back on its standard output, and
has a bound of time and memory. It costs about 0.3 s, the time of starting Python.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import numpy.typing as npt

from ..errors import ModelError

SECONDS = 60.0
_MEMORY = 2 << 30  # bytes of addresses, besides three times the file
_REFUSED = 3  # exit status of a child that says what is wrong

Reader = Callable[[bytes], Iterable[npt.NDArray[Any]]]


def call(reader: Reader, data: bytes, *, seconds: float | None = None) -> bytes:
    """Run a reader in a child and return the bytes of its arrays, one after the other.

    Parameters
    ----------
    reader : callable
        A function of a module of this package.
    data : bytes
        Its argument.
    seconds : float, optional
        After which the child is ended, by default `SECONDS`; it is ended at once where this call is interrupted.

    Raises
    ------
    ModelError
        As the reader says, or where the child crashes or takes too long.
    OSError
        Where no process can be started.
    """
    seconds = SECONDS if seconds is None else seconds
    # The child imports from where this process does, and nothing from the working folder before.
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import _answer; "
        f"_answer({reader.__module__!r}, {reader.__name__!r}, {seconds!r})"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "HDF5_PLUGIN_PRELOAD": "::"}  # and no plugins
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"it could not be read within {seconds:g} seconds") from error
    if done.returncode == _REFUSED:
        raise ModelError(done.stdout.decode())
    if done.returncode:
        raise ModelError(f"it is damaged: the process that read it ended with status {done.returncode}")
    return done.stdout


def _answer(module: str, reader: str, seconds: float) -> None:
    """Do the child's part."""
    read: Reader = getattr(importlib.import_module(module), reader)
    data = sys.stdin.buffer.read()
    _limit(seconds, _MEMORY + 3 * len(data))
    try:
        arrays = list(read(data))
    except ModelError as error:
        sys.stdout.buffer.write(str(error).encode(errors="backslashreplace"))
        status = _REFUSED
    else:
        for array in arrays:
            sys.stdout.buffer.write(array.data)
        status = 0
    sys.stdout.flush()
    os._exit(status)  # the library has nothing left to do, and what it does at the end may crash


def _limit(seconds: float, memory: int) -> None:
    """Bound this process, by the kernel: it may outlive the one that started it."""
    if sys.platform != "win32":
        import resource

        for what, most in ((resource.RLIMIT_CPU, int(seconds) + 1), (resource.RLIMIT_AS, memory)):
            with suppress(ValueError, OSError):  # a lower limit is there already, or the system has none
                resource.setrlimit(what, (most, most))
