"""Prints the output of the command line: each message on one line, with control characters escaped."""

import contextlib
import ctypes
import errno
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator

from .errors import FastFIDWarning


def printable(text: str) -> str:
    r"""Escape control characters, line ends, and marks that change the writing direction.

    Examples
    --------
    >>> print(printable("a.png\x1b[2J\nfastfid: error: é"))
    a.png\x1b[2J\nfastfid: error: é
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def say(text: str) -> None:
    """Print one line on stderr; if stderr is closed, do nothing."""
    with contextlib.suppress(OSError, ValueError):
        print(f"fastfid: {printable(text)}", file=sys.stderr, flush=True)


def show(text: str) -> None:
    """Print a line of the result on stdout, escaped only on a terminal.

    Raises
    ------
    OSError
        If the line cannot be written.
    """
    check_stdout()
    print(printable(text) if sys.stdout.isatty() else text, flush=True)


def check_stdout() -> None:
    """Raise `OSError` if stdout is closed; call it before the result is computed."""
    if sys.stdout is None:
        raise OSError(errno.EBADF, "the result cannot be written: standard output is closed")


@contextlib.contextmanager
def streams() -> Iterator[None]:
    """In this block stdout and stderr accept any text, and warnings and notes of the library go to stderr."""
    _occupy()
    with contextlib.ExitStack() as stack:
        if sys.stderr is None:  # print would use stdout instead
            sink = stack.enter_context(open(os.devnull, "w"))  # noqa: PTH123 - os.devnull is a str
            stack.enter_context(contextlib.redirect_stderr(sink))
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stack.callback(_reconfigure, stream, stream.errors)
                _reconfigure(stream, "backslashreplace")
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("always", FastFIDWarning)
        warnings.showwarning = _say_warning
        stack.enter_context(_notes())
        stack.enter_context(_silent_libtiff())
        yield


@contextlib.contextmanager
def _silent_libtiff() -> Iterator[None]:
    """In this block libtiff does not write to stderr; Pillow raises its errors anyway.

    libtiff has one error handler per process, so only the command line may change it, not the library. Nothing is done
    if Pillow has libtiff built in, as on Windows.
    """
    try:
        from PIL import _imaging

        set_handler = ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler
    except (ImportError, OSError, AttributeError, TypeError):
        yield
        return
    set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
    former = set_handler(None)
    try:
        yield
    finally:
        set_handler(former)


def _occupy() -> None:
    """Open those of the descriptors 0, 1 and 2 that are closed.

    Otherwise a file opened later gets that number, and C libraries write their messages into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one


def _reconfigure(stream: io.TextIOWrapper, errors: str | None) -> None:
    try:
        stream.reconfigure(errors=errors)  # flushes
    except ValueError:  # closed
        pass
    except OSError:  # the buffer cannot be written, and Python would try again at exit and print an error
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _say_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    kind = "" if issubclass(category, FastFIDWarning) else f"{category.__name__}: "
    say(f"warning: {kind}{message}")


class _Notes(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(f"note: {record.getMessage()}")


@contextlib.contextmanager
def _notes() -> Iterator[None]:
    log, handler = logging.getLogger("fastfid"), _Notes()
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
