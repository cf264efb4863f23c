"""Calls a function again after a failure that may pass: a busy server, a cut connection, a timeout."""

import errno
import http.client
import random
import ssl
import time
from collections.abc import Callable, Iterator
from itertools import chain
from typing import TypeVar

from ..errors import InputError
from .reading import cause

MOST_TRIES = 6
MOST_SECONDS = 120.0  # no try begins later than this after the first one
FIRST_WAIT, LONGEST_WAIT = 0.5, 10.0  # seconds

_T = TypeVar("_T")
_P = TypeVar("_P", bound=BaseException)

_BUSY = frozenset({408, 425, 429})  # statuses of HTTP that may pass, beside 5xx
_NEVER = frozenset({501, 505})
_MISSING = frozenset({404, 410})
_PASSING_NAMES = (
    *("EAGAIN", "EBUSY", "ECONNABORTED", "ECONNREFUSED", "ECONNRESET", "EHOSTUNREACH", "EINTR", "ENETDOWN"),
    *("ENETRESET", "ENETUNREACH", "EPIPE", "ESTALE", "ETIMEDOUT"),
)
_PASSING = frozenset(getattr(errno, name) for name in _PASSING_NAMES if hasattr(errno, name))
_FINAL = (FileNotFoundError, PermissionError, NotImplementedError, IsADirectoryError, NotADirectoryError)
# Errors of cut connections, by the names of their classes, because their packages (aiohttp, botocore, httpx, requests,
# urllib3) need not be there.
_CUT = frozenset(
    {
        "ClientConnectionError",
        "ClientPayloadError",
        "ConnectionError",
        "HTTPClientError",
        "IncompleteReadError",
        "ProtocolError",
        "ResponseParserError",
        "ResponseStreamingError",
        "Timeout",
        "TransportError",
    }
)
_UNTRUSTED = frozenset({"ClientConnectorCertificateError", "ClientConnectorSSLError", "SSLError"})


class ShortRead(EOFError):  # noqa: N818 - an error is what becomes of it
    """Fewer bytes came than were asked for."""


def retried(call: Callable[[], _T], what: str) -> _T:
    """Call a function; call it again, after a while, if it fails in a way that may pass.

    The time between two tries doubles from half a second to ten, and a random part of it is left out, so that many
    readers do not come back at the same moment.

    Parameters
    ----------
    call : callable
        Takes nothing. It must be harmless to call it twice.
    what : str
        Beginning of the error: "cannot read s3://bucket/a.png".

    Raises
    ------
    InputError
        If it still fails after six tries or two minutes; the message ends with the last failure. It is not an
        `ImageError`, because an image that a server does not give now is not one to be left out.
    FileNotFoundError
        If there is no such file. If a file system says so after another failure, which is what fsspec's does for HTTP,
        that failure counts instead.
    Exception
        Any other failure that will not pass, unchanged.

    Examples
    --------
    >>> retried(lambda: 1, "cannot count")
    1
    """
    begin, wait = time.monotonic(), FIRST_WAIT
    for tried in range(1, MOST_TRIES + 1):
        try:
            return call()
        except Exception as found:
            problem = _believed(found)
            if not may_pass(problem):
                if problem is found:
                    raise
                raise problem from None
            passed = time.monotonic() - begin
            if tried == MOST_TRIES or passed + wait > MOST_SECONDS:
                times = "once" if tried == 1 else f"{tried} times"
                raise InputError(f"{what}, tried {times} in {passed:.0f} seconds: {cause(problem)}") from problem
        time.sleep(wait * random.uniform(0.5, 1.0))
        wait = min(2 * wait, LONGEST_WAIT)
    raise AssertionError


def may_pass(problem: BaseException) -> bool:
    """Return True if a failure of a server or of the network may pass."""
    problem = _believed(problem)
    if isinstance(problem, _FINAL):
        return False
    kinds = {kind.__name__ for error in _chain(problem) for kind in type(error).__mro__}
    if kinds & _UNTRUSTED or any(isinstance(error, ssl.SSLError) for error in _chain(problem)):
        return False
    if kinds & _CUT:
        return True
    if (status := next(filter(None, map(_status, _chain(problem))), None)) is not None:
        return status in _BUSY or (status >= 500 and status not in _NEVER)
    if isinstance(problem, ConnectionError | TimeoutError | ShortRead | http.client.HTTPException):
        return True
    return any(isinstance(e, OSError) and e.errno in _PASSING for e in _chain(problem))


def _believed(problem: _P) -> _P | Exception:
    """Return the failure from which a file system concluded that there is no such file; any other error as it is."""
    if not isinstance(problem, FileNotFoundError):
        return problem
    for error in _chain(problem):
        if (status := _status(error)) in _MISSING:
            return problem
        # Looking up a name in a list that has come, such as that of an archive, is no failure.
        if status is not None or not isinstance(error, FileNotFoundError | NotADirectoryError | LookupError):
            return error if isinstance(error, Exception) else problem
    return problem


def _chain(problem: BaseException) -> Iterator[BaseException]:
    """Yield an exception and those that it was raised from, at most ten."""
    error: BaseException | None = problem
    for _ in range(10):
        if error is None:
            return
        yield error
        error = error.__cause__


def _status(error: BaseException) -> int | None:
    """Return the status of HTTP that an error of aiohttp, botocore, gcsfs, huggingface_hub or requests has."""
    response = getattr(error, "response", None)
    held = response.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(response, dict) else None
    others = (getattr(error, name, None) for name in _STATUS)  # one by one, since aiohttp warns of its "code"
    for value in chain((held, getattr(response, "status_code", None)), others):
        if isinstance(value, int | str) and str(value).isdecimal() and 100 <= int(value) <= 599:
            return int(value)
    return None


_STATUS = ("status", "status_code", "code")
