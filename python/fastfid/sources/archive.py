"""One archive of images: which members are its images, and how one of them is read, in any thread.

The archive is opened anew for each image, as each file of a folder is: nothing has to be shared between threads, and
nothing is left open when a stream is abandoned. That costs ten microseconds an image, a fifth of decoding 32x32 pixels.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import IO, Any, NamedTuple

from ..errors import ImageError, InputError
from ..images import Decoded, decode
from .names import is_image

# While the members are listed, the file is read a few hundred bytes here and there: large buffers would read all of it.
_BUFFER = 4096
_MOST_LINKS = 40  # one after the other; as many as Linux follows


class Link(NamedTuple):
    """What an archive holds for a member that is a link."""

    target: str
    hard: bool


class Archive(ABC):
    """The list of an archive's images.

    Attributes
    ----------
    path : Path
    images : list of (str, Any)
        The images' names within the archive, sorted as pathlib sorts, and where each is; what `load` takes.
    repeated : int
        How many of these names occur more than once: the last one counts, as when the archive is unpacked.
    sidecars : int
        How many members with an image's ending were left out because macOS wrote them beside the real files.
    ended : bool
        False where the mark at the archive's end is missing, so that whole members might be missing, too.

    Raises
    ------
    InputError
        The archive cannot be read, is damaged or cut short.
    """

    def __init__(self, path: Path, recursive: bool) -> None:
        self.path = path
        self.ended = True
        try:
            with path.open("rb", buffering=_BUFFER) as file:
                self._state = _state(file)
                found, repeated = _last_of_each(self._members(file))
        except (InputError, MemoryError):
            raise
        except Exception as error:  # of damaged headers, nearly every class there is
            raise InputError(
                f"cannot read the archive {path}: {_cause(error)}; "
                "get it again, or unpack what can be saved and give the folder"
            ) from error
        candidates = [name for name in found if is_image(name) and (recursive or "/" not in name)]
        names = [name for name in candidates if not _is_sidecar(name)]
        names.sort(key=lambda name: name.replace("/", "\0"))  # part by part, as pathlib does
        self.images = [(name, _follow(name, found)) for name in names]
        self.repeated = len(repeated.intersection(names))
        self.sidecars = len(candidates) - len(names)

    def load(self, name: str, where: Any) -> Decoded:
        """Decode one of `images`.

        Raises
        ------
        ImageError
            This member is damaged, encrypted or no image.
        InputError
            The archive itself is gone or has changed.
        """
        shown = f"{self.path}/{name}"
        try:
            file = self.path.open("rb")
        except OSError as error:
            raise InputError(f"cannot open the archive {self.path} again: {_cause(error)}") from error
        with file:
            if _state(file) != self._state:
                raise InputError(f"the archive {self.path} has changed since it was listed: start again")
            try:
                if isinstance(where, Link):
                    raise ValueError(f"it is a link to {where.target}, which the archive does not hold")
                data = self._read(file, where)
            except MemoryError:
                raise
            except Exception as error:
                raise ImageError(f"cannot read {shown}: {_cause(error)}") from error
        return decode(data, shown)

    @abstractmethod
    def _members(self, file: IO[bytes]) -> Iterator[tuple[str, Any]]:
        """Yield each member that is no folder, in the archive's order: its name, and a `Link` or what `_read` takes."""

    @abstractmethod
    def _read(self, file: IO[bytes], where: Any) -> bytes:
        """Return all bytes of a member."""


def compressed(path: Path) -> InputError:
    """Return the error that refuses a compressed tar."""
    return InputError(
        f"{path} is a compressed tar, of which no part can be read without all that precedes it: "
        "decompress it (gunzip, bunzip2, unxz or unzstd) and give the .tar"
    )


def _last_of_each(members: Iterable[tuple[str, Any]]) -> tuple[dict[str, Any], set[str]]:
    """Return where each name leads, and which names occurred more than once."""
    found: dict[str, Any] = {}
    repeated = set()
    for raw, where in members:
        name = _clean(raw)
        if isinstance(where, Link) and where.hard:
            where = found.get(_clean(where.target), where)  # another name of a file that came before
        if name in found:
            repeated.add(name)
        found[name] = where
    return found, repeated


def _follow(name: str, found: dict[str, Any]) -> Any:
    """Return where a member leads when links are followed: a `Link` only where its target is not in the archive."""
    where = found[name]
    for _ in range(_MOST_LINKS):
        if not isinstance(where, Link) or where.hard:
            break
        name = normpath(join(dirname(name), where.target))
        where = found.get(name, where)
    return where


def _clean(name: str) -> str:
    """Drop what names no folder: ``.``, doubled and leading slashes. A ``..`` is a name: nothing is unpacked."""
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _is_sidecar(name: str) -> bool:
    return name.startswith("__MACOSX/") or name.rpartition("/")[2].startswith("._")


def _state(file: IO[bytes]) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def _cause(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
