"""The images of one archive, or of several archives as one set."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, partial
from itertools import accumulate
from posixpath import dirname
from typing import Any

from ..checks import agreeing, counted
from ..errors import InputError
from ..files.parallel import in_threads
from ..files.places import Far, Place
from .archive import Archive, Listing
from .base import Item, Source
from .names import foreign_note, has_upper_ending
from .samples import sought
from .tars import Tar
from .terms import Terms
from .zips import Zip

_THREADS = 8  # archives listed at a time
_KINDS: dict[str, type[Archive]] = {".tar": Tar, ".zip": Zip}


class Shards(Source):
    """The images of the archives at `places`, archive by archive, sorted by name within each.

    `labels` are the names of the archives in their folder.
    """

    def __init__(
        self,
        name: str,
        places: Sequence[Place],
        terms: Terms,
        *,
        labels: Sequence[str] = (),
        notes: tuple[str, ...] = (),
    ) -> None:
        self._archives = [_open(place) for place in places]
        self._labels = labels
        threads = _THREADS if any(isinstance(place, Far) for place in places) else 1
        self._listings = in_threads(lambda archive: archive.list(terms), self._archives, threads)
        self._ends = list(accumulate(len(listing.names) for listing in self._listings))
        size = self._ends[-1]
        if not size:
            among = name if len(places) == 1 else f"the {len(places)} archives in {name}"
            where = "" if terms.recursive else " (subfolders were not searched)"
            keys = set[str]().union(*(listing.keys for listing in self._listings))
            raise InputError(f"no images in {among}{where}: {sought(terms, keys)}")
        nested = sum("/" in member for listing in self._listings for member in listing.names)
        upper = sum(has_upper_ending(member) for listing in self._listings for member in listing.names)
        notes += foreign_note(size, nested, upper) + _notes(self._archives, self._listings, terms.image_key)
        starts = [
            end - len(listing.names) for end, listing in zip(self._ends, self._listings, strict=True) if listing.names
        ]
        super().__init__(name, size, notes=notes, files=True, starts=starts)

    def read(self, indices: Iterable[int]) -> Iterator[Item]:
        """Yield the images at these indices."""
        for index in indices:
            archive, name, place = self._at(index)
            yield Item(f"{archive.path}/{name}", partial(archive.load, name, place))

    def name_of(self, index: int) -> str:
        """Return the path of the archive, and the name of an image in it."""
        archive, name, _ = self._at(index)
        return f"{archive.path}/{name}"

    def folder_of(self, index: int) -> str:
        """Return the folder of an image in its archive."""
        return dirname(self._at(index)[1])

    def key_of(self, index: int) -> str:
        """Return the name of an image in its archive, after that of the archive in its folder."""
        label = self._labels[self._shard(index)] if self._labels else ""
        name = self._at(index)[1]
        return f"{label}/{name}" if label else name

    def proofs(self, indices: Iterable[int], *, content: bool = False) -> Iterable[str]:
        """Return what is surely different once the archives have changed."""
        proof = cache(lambda shard: self._archives[shard].proof())
        return (proof(self._shard(index)) for index in indices)

    def _shard(self, index: int) -> int:
        return bisect_right(self._ends, index)

    def _at(self, index: int) -> tuple[Archive, str, Any]:
        shard = self._shard(index)
        listing = self._listings[shard]
        name, place = (column[index - self._ends[shard]] for column in (listing.names, listing.places))
        return self._archives[shard], name, place


def _open(path: Place) -> Archive:
    name = path.tail.lower()
    for ending, kind in _KINDS.items():
        if name.endswith(ending):
            return kind(path)
    raise InputError(f"{path} is an archive of a kind that cannot be read: unpack it and give the folder")


def _notes(archives: list[Archive], listings: list[Listing], key: str | None) -> tuple[str, ...]:
    notes = []
    if repeated := sum(listing.repeated for listing in listings):
        occur = agreeing(repeated, "occurs", "occur")
        text = f"{counted(repeated, 'name')} {occur} more than once in an archive"
        notes.append(f"{text}; the last of each counts, as if unpacked")
    if sidecars := sum(listing.sidecars for listing in listings):
        were = agreeing(sidecars, "was", "were")
        notes.append(f"{counted(sidecars, 'file')} that macOS adds to archives (__MACOSX, ._*) {were} left out")
    if lacking := sum(listing.lacking for listing in listings):
        notes.append(f"samples without {key}, the image_key: {lacking}")
    if unended := [archive.path.tail for archive in archives if not archive.ended]:
        which = unended[0] if len(unended) == 1 else f"{len(unended)} archives, {unended[0]} among them,"
        notes.append(f"{which} lacks the mark at its end: if it was cut short there, images are missing")
    if empty := [archive.path.tail for archive, listing in zip(archives, listings, strict=True) if not listing.names]:
        hold = agreeing(len(empty), "holds", "hold")
        notes.append(f"{len(empty)} of {len(archives)} archives {hold} no images: {', '.join(empty[:3])}")
    return tuple(notes)
