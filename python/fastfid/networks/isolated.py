"""Runs a reader in a child process, with limits on time and memory.

If a C library loops on a damaged file, neither Ctrl-C nor a limit inside the process can stop it. If it crashes, it
takes the process with it. The child reads the file's bytes from its standard input and writes arrays to its standard
output. This costs about 0.3 s, the time to start Python.
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
_MEMORY = 2 << 30  # bytes of address space, in addition to three times the size of the file
_REFUSED = 3  # exit status of a child that has written an error message

Reader = Callable[[bytes], Iterable[npt.NDArray[Any]]]


def call(reader: Reader, data: bytes, *, seconds: float | None = None) -> bytes:
    """Run a reader in a child process and return the bytes of its arrays, one after the other.

    Parameters
    ----------
    reader : callable
        A function in a module of this package.
    data : bytes
        Its argument.
    seconds : float, optional
        The time limit of the child, by default `SECONDS`. If this call is interrupted, the child is ended at once.

    Raises
    ------
    ModelError
        If the reader raises it, or the child crashes or takes too long.
    OSError
        If no process can be started.
    """
    seconds = SECONDS if seconds is None else seconds
    # The child uses the same import path as this process, without the working folder in front.
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import _answer; "
        f"_answer({reader.__module__!r}, {reader.__name__!r}, {seconds!r})"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "HDF5_PLUGIN_PRELOAD": "::"}  # "::" disables plugins
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
    """Run the reader; this is the child's part."""
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
    os._exit(status)  # skips the library's cleanup, which may crash


def _limit(seconds: float, memory: int) -> None:
    """Let the kernel limit this process, because it may outlive its parent."""
    if sys.platform != "win32":
        import resource

        for what, most in ((resource.RLIMIT_CPU, int(seconds) + 1), (resource.RLIMIT_AS, memory)):
            with suppress(ValueError, OSError):  # there is a lower limit already, or the system has no limits
                resource.setrlimit(what, (most, most))
