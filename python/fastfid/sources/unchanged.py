"""A file with many images, which is opened again for each image.

So nothing is shared between threads or processes, and nothing stays open when a stream is abandoned. The file is not
memory-mapped, because a mapped file that gets shorter crashes the process. Opening it costs ten microseconds per image,
a fifth of the time for decoding 32x32 pixels.
"""

from pathlib import Path
from typing import IO, BinaryIO

from ..errors import InputError
from ..files.reading import failures, state_of, without_waiting

_BUFFER = 1 << 13  # stated, because finding out the best size costs as much as opening the file


class Unchanged:
    """A file that must not change while it is used; messages begin with `name`."""

    def __init__(self, path: Path, name: str, file: IO[bytes]) -> None:
        self._path, self._name, self._state = path, name, state_of(file)

    @property
    def stamp(self) -> str:
        """Size and time of the file when it was opened first, as a text."""
        return " ".join(map(str, self._state))

    def open(self) -> BinaryIO:
        """Open the file again.

        Raises
        ------
        InputError
            If it was removed or has changed.
        """
        with failures(f"cannot open {self._name} again"):
            # If it is no longer a regular file, its state differs too, so this one check suffices.
            file: BinaryIO = open(self._path, "rb", _BUFFER, opener=without_waiting)  # noqa: SIM115
        if state_of(file) != self._state:
            file.close()
            raise InputError(f"{self._name} has changed since it was opened: start again")
        return file
