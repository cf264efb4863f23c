"""A folder of image files."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ..errors import InputError
from ..images import decode
from .base import Item, Source
from .names import foreign_note, has_upper_ending, image_endings, is_image


class Folder(Source):
    """The image files of a folder and, where `recursive`, of its subfolders."""

    def __init__(self, folder: Path, recursive: bool) -> None:
        self._files, repeated = _find_images(str(folder), recursive)
        total = len(self._files)
        if not total:
            where = "and its subfolders" if recursive else "(subfolders were not searched)"
            raise InputError(f"no images in {folder} {where}: looked for files ending in {image_endings()}")
        nested = sum(file.parent != folder for file in self._files)
        notes = foreign_note(total, nested, sum(has_upper_ending(file.name) for file in self._files))
        if repeated:
            notes += (f"{repeated} links lead to folders that are counted already; each folder is read once",)
        super().__init__(str(folder), total, notes=notes, arrays=False)

    def _stream(self, chosen: list[int] | None) -> Iterator[Item]:
        for file in self._files if chosen is None else (self._files[index] for index in chosen):
            yield Item(str(file), partial(decode, file, str(file)))


def _find_images(root: str, recursive: bool) -> tuple[list[Path], int]:
    """Return the image files below `root`, sorted as pathlib sorts, and how many links led to a folder already read."""
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
            elif is_image(entry.name):
                found.append(Path(entry.path))
    return sorted(found), repeated
