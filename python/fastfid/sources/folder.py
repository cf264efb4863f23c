"""A folder of image files, or of archives."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ..errors import InputError
from ..images import decode
from .base import Item, Source
from .names import foreign_note, has_upper_ending, image_endings, is_archive, is_image
from .shards import Shards


class Folder(Source):
    """Image files, found in `folder`."""

    def __init__(self, folder: Path, files: list[Path], *, notes: tuple[str, ...]) -> None:
        nested = sum(file.parent != folder for file in files)
        upper = sum(has_upper_ending(file.name) for file in files)
        super().__init__(str(folder), len(files), notes=foreign_note(len(files), nested, upper) + notes, arrays=False)
        self._files = files

    def _stream(self, chosen: list[int] | None) -> Iterator[Item]:
        for file in self._files if chosen is None else (self._files[index] for index in chosen):
            yield Item(str(file), partial(decode, file, str(file)))


def open_folder(folder: Path, recursive: bool) -> Source:
    """Open the image files of a folder, and of its subfolders where `recursive`; or its archives, if it has none."""
    files, repeated = _find_files(str(folder), recursive)
    images = [file for file in files if is_image(file.name)]
    archives = [file for file in files if is_archive(file.name)]
    notes: tuple[str, ...] = ()
    if repeated:
        notes += (f"{repeated} links lead to folders that are counted already; each folder is read once",)
    if images:
        if archives:
            notes += (f"{len(archives)} archives beside the images, such as {archives[0].name}, were not opened",)
        return Folder(folder, images, notes=notes)
    if archives:
        notes = (f"{folder} has no image files but {len(archives)} archives: their images are one set", *notes)
        return Shards(str(folder), archives, recursive, notes=notes)
    where = "and its subfolders" if recursive else "(subfolders were not searched)"
    raise InputError(f"no images in {folder} {where}: looked for files ending in {image_endings()}, .tar or .zip")


def _find_files(root: str, recursive: bool) -> tuple[list[Path], int]:
    """Return the images and archives below `root`, sorted, and how many links led to a folder that had been read."""
    found: list[Path] = []
    seen: set[Path] = set()
    repeated = 0
    folders, links = [root], list[str]()
    while folders or links:
        folder = (folders or links).pop()  # links last: a file goes by its real place where it has one in the tree
        real = Path(folder).resolve()
        if real in seen:
            repeated += 1
            continue
        seen.add(real)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            raise InputError(f"cannot read the folder {folder}: {error.strerror}") from error
        for entry in entries:
            # A broken link with an image's name stays in: to leave it out silently would change N.
            if entry.is_symlink() and Path(entry.path).is_dir():
                links += [entry.path] if recursive else []
            elif entry.is_dir(follow_symlinks=False):
                folders += [entry.path] if recursive else []
            elif is_image(entry.name) or is_archive(entry.name):
                found.append(Path(entry.path))
    return sorted(found), repeated
