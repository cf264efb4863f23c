"""One archive of images: which of its members are images, and how each is read, in any thread or process."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from posixpath import dirname, join, normpath
from typing import IO, Any, NamedTuple

from ..errors import ImageError, InputError
from ..files.places import Place
from ..files.reading import failures
from ..files.windows import FIRST_RANGE
from ..images.decode import Decoded, decode
from .samples import Chooser, is_sidecar
from .terms import Terms
from .unchanged import Unchanged

# Listing the members reads a few hundred bytes at many places of the file; with large buffers that would be all of it.
_BUFFER = 4096
_MOST_LINKS = 40  # links followed one after the other, as many as Linux follows
MOST_MEMBERS = 20_000_000  # of one archive, with those that are no images; their list needs some 200 bytes each
_MOST_NAME = 1 << 16  # characters of a name or of a link's target; sixteen times the limit of Linux


class Link(NamedTuple):
    """A member that is a link."""

    target: str
    hard: bool


class Listing(NamedTuple):
    """The images of an archive.

    Attributes
    ----------
    names : list of str
        The images' names within the archive, in the order in which pathlib sorts them.
    places : list of bytes or other values that `Archive.load` takes
        Where each image is. There may be millions, and bytes need the least memory.
    repeated : int
        How many of these names occur more than once. The last one counts, as when the archive is unpacked.
    sidecars : int
        How many members with an image's ending were left out because macOS adds them to the real files.
    keys : set of str
        With `image_key`, some keys of members.
    lacking : int
        With `image_key`, how many samples have no such file.
    """

    names: list[str]
    places: list[Any]
    repeated: int
    sidecars: int
    keys: set[str]
    lacking: int


class Archive(ABC):
    """An archive of images.

    Attributes
    ----------
    path : Place
    proven : bool
        True if each member has a checksum, which is listed and compared.
    ended : bool
        False if the mark at the end of the archive is missing, so that members may be missing, too.
    """

    proven = False

    def __init__(self, path: Place) -> None:
        self.path = path
        self.ended = True

    def list(self, terms: Terms) -> Listing:
        """List the images. Call this before `load`.

        Raises
        ------
        InputError
            If the archive cannot be read, is damaged or cut short.
        """
        what = f"cannot read the archive {self.path}"
        with failures(what):
            file, state = self.path.open(_BUFFER)
        with file, failures(what, advice="; get it again, or unpack what can be saved and give the folder"):
            self._file = Unchanged(self.path, f"the archive {self.path}", state)
            found, repeated = _last_of_each(self._members(file))
        chooser = Chooser(terms)
        candidates = [name for name in found if chooser.counts(name)]
        names = [name for name in candidates if not is_sidecar(name)]
        names.sort(key=lambda name: name.replace("/", "\0"))  # part by part, as pathlib does
        places = [_follow(name, found) for name in names]
        twice, sidecars = len(repeated.intersection(names)), len(candidates) - len(names)
        return Listing(names, places, twice, sidecars, chooser.keys, chooser.lacking)

    def proof(self) -> str:
        """Return what is surely different once the file has changed."""
        return self._file.proof()

    def load(self, name: str, place: Any) -> Decoded:
        """Decode an image of the `Listing`.

        Raises
        ------
        ImageError
            If this member is damaged, too large, encrypted or not an image.
        InputError
            If the archive itself was removed or has changed.
        """
        shown = f"{self.path}/{name}"
        opened = self._file.open_at_once(self._span(place), proven=self.proven)
        with opened as file, failures(f"cannot read {shown}", ImageError):
            if isinstance(place, Link):
                raise ValueError(f"it is a link to {place.target}, which the archive does not hold")
            data = self._read(file, place)
        return decode(data, shown)

    @abstractmethod
    def _members(self, file: IO[bytes]) -> Iterator[tuple[str, Any]]:
        """Yield each member that is not a folder, in the archive's order: its name, and a `Link` or a `_read` place."""

    @abstractmethod
    def _read(self, file: IO[bytes], place: Any) -> bytes:
        """Return all bytes of a member; this must also check their number, which the caller does not."""

    def _span(self, place: Any) -> int:
        """Return about how many bytes `_read` needs; from an address, so many are fetched at once."""
        return FIRST_RANGE


def compressed(path: Place) -> InputError:
    """Return the error that refuses a compressed tar."""
    return InputError(
        f"{path} is a compressed tar, which can only be read from the beginning: "
        "decompress it (gunzip, bunzip2, unxz or unzstd) and give the .tar, or name it .tar.gz, .tar.xz, ..."
    )


def check_members(number: int) -> None:
    """Raise `ValueError` if an archive has more than `MOST_MEMBERS`."""
    if number > MOST_MEMBERS:
        raise ValueError(f"it has more than {MOST_MEMBERS:,} members: divide it into several archives")


def _last_of_each(members: Iterable[tuple[str, Any]]) -> tuple[dict[str, Any], set[str]]:
    """Return the place of each name, and the names that occurred more than once."""
    found: dict[str, Any] = {}
    repeated = set()
    for number, (raw, place) in enumerate(members, 1):
        check_members(number)
        target = place.target if isinstance(place, Link) else ""
        name = clean(raw, target)
        if isinstance(place, Link) and place.hard:
            place = found.get(clean(target), place)  # another name of an earlier member
        if name in found:
            repeated.add(name)
        found[name] = place
    return found, repeated


def _follow(name: str, found: dict[str, Any]) -> Any:
    """Follow links and return the place that they lead to; a `Link` only if its target is not in the archive."""
    place = found[name]
    for _ in range(_MOST_LINKS):
        if not isinstance(place, Link) or place.hard:
            break
        name = normpath(join(dirname(name), place.target))
        place = found.get(name, place)
    return place


def clean(name: str, target: str = "") -> str:
    """Remove ``.`` and doubled and leading slashes. A ``..`` is kept as a name, since nothing is unpacked.

    Raises
    ------
    ValueError
        If it, or the target of its link, is too long to be handled.
    """
    if max(len(name), len(target)) > _MOST_NAME:
        raise ValueError(f"a name in it has more than {_MOST_NAME:,} characters")
    return "/".join(part for part in name.split("/") if part not in ("", "."))
