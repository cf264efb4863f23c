"""Compressed tars, read as streams: their images are known one by one, in the order in which they were packed."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from tarfile import TarInfo
from typing import IO, Any, NamedTuple

from ..errors import FastFIDWarning, ImageError, InputError
from ..files.parallel import in_threads
from ..files.places import Far, Place
from ..files.reading import failures
from ..files.unpacking import Unpacked
from ..images.decode import Decoded, decode
from .archive import check_members, clean
from .base import Item, Source
from .names import is_compressed_tar
from .samples import Chooser, is_sidecar, sought
from .tars import Headers, has_end_mark, members, read_member
from .terms import Terms
from .unchanged import Unchanged

_THREADS = 8  # archives that are looked at at a time
_WAY_OUT = "decompress it (gunzip, bunzip2, unxz or unzstd) and give the .tar"


class _Shard(NamedTuple):
    place: Place
    file: Unchanged


class Streams(Source):
    """The images of compressed tars at `places`, shard after shard; their number is known at the end."""

    way_out = _WAY_OUT

    def __init__(self, name: str, places: Sequence[Place], terms: Terms, *, notes: tuple[str, ...] = ()) -> None:
        threads = _THREADS if any(isinstance(place, Far) for place in places) else 1
        self._shards = in_threads(_look, places, threads)
        self._terms = terms
        super().__init__(name, None, notes=notes, files=True)

    def read(self, indices: Iterable[int]) -> Iterator[Item]:
        """Yield the images at these indices."""
        wanted = iter(indices)
        index, place = -1, next(wanted, None)
        chooser = Chooser(self._terms)
        for shard in self._shards:
            begin = index
            for item in _images(shard, chooser):
                index += 1
                if place is None:
                    return
                if index == place:
                    yield item
                    place = next(wanted, None)
            if index == begin and len(self._shards) > 1:
                warnings.warn(f"{shard.place} holds no images", FastFIDWarning, stacklevel=2)
        if index < 0:
            raise InputError(f"no images in {self.name}: {sought(self._terms, chooser.keys)}")
        if chooser.lacking:
            text = f"samples of {self.name} without {self._terms.image_key}, the image_key: {chooser.lacking}"
            warnings.warn(text, FastFIDWarning, stacklevel=2)

    def key_of(self, index: int) -> str:
        """Return the index."""
        return str(index)


def _look(place: Place) -> _Shard:
    """Check that an archive begins as it should."""
    with failures(f"cannot read the archive {place}"):
        file, state = place.open()
        with file:
            next(members(Headers(_unpacked(file, place))), None)
    return _Shard(place, Unchanged(place, f"the archive {place}", state))


def _unpacked(file: IO[bytes], place: Place) -> Any:
    return Unpacked(file) if is_compressed_tar(place.tail) else file


def _images(shard: _Shard, chooser: Chooser) -> Iterator[Item]:
    """Yield the images of an archive; its order is kept, since nothing can be sorted."""
    place = shard.place
    with shard.file.open() as file, failures(f"cannot read the archive {place}"):
        stream = _unpacked(file, place)
        headers = Headers(stream)
        seen: set[int] = set()
        for number, info in enumerate(members(headers), 1):
            check_members(number)
            name = clean(info.name, info.linkname)
            if info.isdir() or not chooser.counts(name) or is_sidecar(name):
                continue
            if hash(name) in seen:
                raise InputError(
                    f"{place} holds {name} more than once, and the last one counts when it is unpacked: {_WAY_OUT}"
                )
            seen.add(hash(name))
            yield _item(f"{place}/{name}", info, stream)
        if not has_end_mark(headers, stream):
            text = f"{place} lacks the mark at its end: if it was cut short there, images are missing"
            warnings.warn(text, FastFIDWarning, stacklevel=2)


def _item(name: str, info: TarInfo, stream: IO[bytes]) -> Item:
    try:
        if info.islnk() or info.issym():
            raise ValueError(f"it is a link to {info.linkname}; {_WAY_OUT}")
        data = read_member(stream, info)
    except ValueError as problem:  # of this member; damage of the stream is of other classes
        return Item(name, partial(_fail, ImageError(f"cannot read {name}: {problem}")))
    return Item(name, partial(decode, data, name))


def _fail(error: ImageError) -> Decoded:
    raise error
