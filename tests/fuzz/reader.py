"""A reader under test, and the judge of what it does with one case.

A reader must either raise an error of this package with a message of bounded length, or give a right result. It must
not raise anything else, start a process, look up a name of a pickle, connect to a server, or write a file.
"""

import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from fastfid.errors import FastFIDError, FastFIDWarning

from .damage import CASES, damaged, rng_of

CORPUS = Path(__file__).parent / "corpus"
_LONGEST = 2000  # characters of a message, beyond a path or text that was given and is named in it
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_FORBIDDEN = frozenset(
    {
        *("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "pickle.find_class"),
        *("socket.connect", "socket.getaddrinfo", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link"),
        *("os.symlink", "os.truncate", "os.chmod", "ctypes.dlopen"),
    }
)


class WrongError(AssertionError):
    """A reader did what it must not do."""


@dataclass(frozen=True)
class Reader:
    """One reader.

    Attributes
    ----------
    name : str
        With "-" for spaces, the name of its folder in the corpus.
    good : callable
        Returns input that is read.
    read : callable
        Takes the bytes of a case and the path of the file that holds them; reads it, and checks the result.
    file : str
        Name of that file; "" if the bytes are not written to one.
    make : callable, optional
        Makes a case from random numbers; otherwise cases are damaged good input.
    child : bool
        True if the package reads such files in a process of their own, because the library behind it may crash.
    writes : bool
        True if it is to write files, in a folder of its own.
    quoted : int
        How often a message may quote the whole input; 0 for files.
    cases : int
        How many new ones the tests run.
    """

    name: str
    good: Callable[[], Sequence[bytes]]
    read: Callable[[bytes, Path], object]
    file: str = ""
    make: Callable[[np.random.RandomState], bytes] | None = None
    child: bool = False
    writes: bool = False
    quoted: int = 0
    cases: int = CASES

    def case(self, number: int) -> bytes:
        """Return a case by its number, the same for the same seed of the run."""
        rng = rng_of(self.name, number)
        return self.make(rng) if self.make else damaged(rng, _kept(self.good))

    def judge(self, data: bytes, folder: Path) -> str:
        """Return "read" or "refused"; raise whatever else comes of a case.

        Parameters
        ----------
        data : bytes
        folder : Path
            For the file of the case.
        """
        path = folder / self.file
        _kept(self.good)  # makes the files that some input names
        if self.file:
            path.write_bytes(data)
        there = set(os.listdir(folder))  # noqa: PTH208 - for every case
        said = "read"
        with _watch() as seen, _quiet():
            try:
                self.read(data, path)
            except FastFIDError as error:
                said = "refused"
                if not 0 < len(str(error)) < _LONGEST + self.quoted * len(data):
                    raise WrongError(f"a message of {len(str(error))} characters") from error
        if seen and not self.writes:
            raise WrongError(f"forbidden: {seen}")
        if left := set(os.listdir(folder)) ^ there:  # noqa: PTH208
            raise WrongError(f"files came or went: {left}")
        return said

    def corpus(self) -> list[Path]:
        """Return the files that once failed."""
        return sorted((CORPUS / self.name.replace(" ", "-")).glob("*"))


def expect(condition: bool, what: Any) -> None:
    """Raise `WrongError` if a result is not right."""
    if not condition:
        raise WrongError(str(what)[:500])


@cache
def _kept(good: Callable[[], Sequence[bytes]]) -> tuple[bytes, ...]:
    return tuple(good())


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave our own warnings out; any other is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", FastFIDWarning)
        yield


_seen: list[tuple[str, str]] | None = None


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _seen is None:
        return
    if event == "open":
        path, mode, flags = arguments
        if isinstance(flags, int) and flags & _WRITES and path != os.devnull:
            _seen.append((event, f"{path!r} {mode} {flags}"))
    elif event in _FORBIDDEN:
        _seen.append((event, repr(arguments)[:200]))


@cache
def _hook() -> None:
    sys.addaudithook(_audit)  # for ever: there is no way to remove one


@contextmanager
def _watch() -> Iterator[list[tuple[str, str]]]:
    global _seen
    _hook()
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # of what is imported late
    _seen = found = []
    try:
        yield found
    finally:
        _seen = None
        sys.dont_write_bytecode = before
