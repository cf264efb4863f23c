"""A file of many images, opened anew for each image, as each file of a folder is.

Nothing has to be shared between threads or processes, nothing is left open when a stream is abandoned, and nothing is
mapped into memory, where a file that gets shorter ends the process. It costs ten microseconds an image, a fifth of
decoding 32x32 pixels.
"""

from pathlib import Path
from typing import IO, BinaryIO

from ..errors import InputError
from ..files.reading import failures, state_of, without_waiting

_BUFFER = 1 << 13  # said, for to find it out costs as much as to open


class Unchanged:
    """A file that must stay what it was; `name` begins what is said about it."""

    def __init__(self, path: Path, name: str, file: IO[bytes]) -> None:
        self._path, self._name, self._state = path, name, state_of(file)

    def open(self) -> BinaryIO:
        """Open it again.

        Raises
        ------
        InputError
            It is gone or has changed.
        """
        with failures(f"cannot open {self._name} again"):
            # What is no regular file now has another state, no more has to be looked at.
            file: BinaryIO = open(self._path, "rb", _BUFFER, opener=without_waiting)  # noqa: SIM115
        if state_of(file) != self._state:
            file.close()
            raise InputError(f"{self._name} has changed since it was opened: start again")
        return file
