"""The images of one archive, or of several archives as one set."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ..errors import InputError
from .archive import Archive, compressed
from .base import Item, Source
from .names import COMPRESSED_TARS, foreign_note, has_upper_ending, image_endings
from .tars import Tar
from .zips import Zip


class Shards(Source):
    """The images of the archives at `paths`, archive by archive, those of each in the order of their names."""

    def __init__(self, name: str, paths: list[Path], recursive: bool, *, notes: tuple[str, ...] = ()) -> None:
        archives = [_open(path, recursive) for path in paths]
        self._images = [(archive, *image) for archive in archives for image in archive.images]
        if not self._images:
            among = name if len(paths) == 1 else f"the {len(paths)} archives in {name}"
            where = "" if recursive else " (subfolders were not searched)"
            raise InputError(f"no images in {among}{where}: looked for members ending in {image_endings()}")
        members = [member for archive in archives for member, _ in archive.images]
        nested = sum("/" in member for member in members)
        notes += foreign_note(len(members), nested, sum(map(has_upper_ending, members)))
        super().__init__(name, len(members), notes=notes + _notes(archives), arrays=False)

    def _stream(self, chosen: list[int] | None) -> Iterator[Item]:
        for archive, name, where in self._images if chosen is None else (self._images[index] for index in chosen):
            yield Item(f"{archive.path}/{name}", partial(archive.load, name, where))


def _open(path: Path, recursive: bool) -> Archive:
    name = path.name.lower()
    if name.endswith(".zip"):
        return Zip(path, recursive)
    if name.endswith(".tar"):
        return Tar(path, recursive)
    if name.endswith(COMPRESSED_TARS):
        raise compressed(path)
    raise InputError(f"{path} is an archive of a kind that is not read in place: unpack it and give the folder")


def _notes(archives: list[Archive]) -> tuple[str, ...]:
    notes = []
    if repeated := sum(archive.repeated for archive in archives):
        notes.append(f"{repeated} names occur more than once in an archive; the last of each counts, as if unpacked")
    if sidecars := sum(archive.sidecars for archive in archives):
        notes.append(f"{sidecars} files that macOS adds to archives (__MACOSX, ._*) were left out")
    if unended := [archive.path.name for archive in archives if not archive.ended]:
        which = unended[0] if len(unended) == 1 else f"{len(unended)} archives, {unended[0]} among them,"
        notes.append(f"{which} lacks the mark at its end: if it was cut short there, images are missing")
    if empty := [archive.path.name for archive in archives if not archive.images]:
        notes.append(f"{len(empty)} of {len(archives)} archives hold no images: {', '.join(empty[:3])}")
    return tuple(notes)
