"""A file with many images, which is opened again for each image.

So nothing is shared between threads or processes, and nothing stays open when a stream is abandoned. The file is not
memory-mapped, because a mapped file that gets shorter crashes the process. Opening it costs ten microseconds per image,
a fifth of the time for decoding 32x32 pixels.

Of a file behind an address, the threads share the ranges that they fetch.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from ..errors import InputError
from ..files.places import Far, Place
from ..files.reading import failures
from ..files.windows import FIRST_RANGE, Windows


class Unchanged:
    """A file that must not change while it is used; messages begin with `name`, and `state` is its first one."""

    def __init__(self, place: Place, name: str, state: Any) -> None:
        self._place, self.name, self._state = place, name, state
        self._windows: Windows | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_windows": None}

    def proof(self, *, content: bool = False) -> str:
        """Return what is surely different once it has changed; "" if nothing tells that. `content` as in `Place`."""
        return self._place.proof(self._state, content=content)

    @contextmanager
    def open(self, first: int = FIRST_RANGE) -> Iterator[IO[bytes]]:
        """Open the file again, to read on and on, for the block of a ``with``.

        Raises
        ------
        InputError
            If it was removed or has changed.
        """
        with failures(f"cannot open {self.name} again"):
            file = self._place.again(self._state, first)
        with file:
            if not isinstance(self._place, Far):
                self._check(file)
                yield file
                return
            with self._explained():
                yield file
            self._check(file)

    @contextmanager
    def open_at_once(self, first: int, *, proven: bool = False) -> Iterator[IO[bytes]]:
        """Open the file again for one image, in any thread, for the block of a ``with``.

        Parameters
        ----------
        first : int
            Bytes that will be read, about.
        proven : bool
            True if what is read has a checksum that is compared with one that was read before. A server is then not
            asked again whether the file has changed, unless something fails.

        Raises
        ------
        InputError
            If it was removed or has changed.
        """
        if not isinstance(self._place, Far):
            with self.open() as file:
                yield file
            return
        windows = self._windows
        if windows is None:  # two threads may both make them, which does no harm
            check = None if proven else self._check
            windows = self._windows = Windows(self._place.remote, self._place.file, self._state.size, check)
        with self._place.shared(first, windows) as file, self._explained():
            yield file

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """After a failure, see whether the file has changed, which explains it better."""
        try:
            yield
        except Exception:
            self._check()
            raise

    def _check(self, file: IO[bytes] | None = None) -> None:
        with failures(f"cannot open {self.name} again"):
            changed = self._place.changed(file, self._state)
        if changed:
            raise InputError(f"{self.name} has changed since it was opened: start again")
