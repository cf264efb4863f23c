"""A file with many images, which is opened again for each image.

So nothing is shared between threads or processes, and nothing stays open when a stream is abandoned. The file is not
memory-mapped, because a mapped file that gets shorter crashes the process. Opening it costs ten microseconds per image,
a fifth of the time for decoding 32x32 pixels.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from ..errors import InputError
from ..files.places import Far, Place
from ..files.ranges import FIRST_RANGE
from ..files.reading import failures


class Unchanged:
    """A file that must not change while it is used; messages begin with `name`, and `state` is its first one."""

    def __init__(self, place: Place, name: str, state: Any) -> None:
        self._place, self.name, self._state = place, name, state

    @property
    def stamp(self) -> str:
        """Its size, and what is different once it has changed."""
        return " ".join(map(str, self._state))

    @contextmanager
    def open(self, first: int = FIRST_RANGE, *, proven: bool = False) -> Iterator[IO[bytes]]:
        """Open the file again, for the block of a ``with``.

        Parameters
        ----------
        first : int
            Bytes to fetch at once, if the file is behind an address.
        proven : bool
            True if what is read has a checksum that is compared with one that was read before. The server is then not
            asked again whether the file has changed, unless something fails.

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
            try:  # opening it asked the server nothing
                yield file
            except Exception:
                self._check(file)
                raise
            if not proven:
                self._check(file)

    def _check(self, file: IO[bytes]) -> None:
        with failures(f"cannot open {self.name} again"):
            changed = self._place.changed(file, self._state)
        if changed:
            raise InputError(f"{self.name} has changed since it was opened: start again")
