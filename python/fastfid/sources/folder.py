"""A folder of image files, of archives, or of ``.npy`` files with one image each."""

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from ..errors import ImageError, InputError
from ..files.npy import read_header, read_values
from ..files.reading import MOST_FILE_BYTES, failures, open_regular, stamp_of_file
from ..images.decode import Decoded, decode
from ..images.rgb import as_rgb
from .base import Item, Source
from .names import Endings, foreign_note, has_upper_ending, is_archive, is_npy
from .shards import Shards
from .terms import Terms


class Folder(Source):
    """Files with one image each in `folder`; `files` are their names relative to it, and `load` decodes one."""

    def __init__(
        self, folder: Path, files: list[str], *, notes: tuple[str, ...], load: Callable[[str, str], Decoded]
    ) -> None:
        super().__init__(str(folder), len(files), notes=notes, files=True)
        self._folder, self._files, self._load = folder, files, load

    def read(self, indices: Iterable[int]) -> Iterator[Item]:
        """Yield the images at these indices."""
        for index in indices:
            path = self.name_of(index)
            yield Item(path, partial(self._load, path, path))

    def name_of(self, index: int) -> str:
        """Return the path of an image."""
        return str(self._folder / self._files[index])

    def folder_of(self, index: int) -> str:
        """Return the subfolder of an image."""
        return Path(self._files[index]).parent.as_posix().removeprefix(".")

    def key_of(self, index: int) -> str:
        """Return the path of an image below the folder."""
        return self._files[index].replace(os.sep, "/")

    def stamp_of(self, index: int) -> str:
        """Return the size and the time of an image's file."""
        return stamp_of_file(self._folder / self._files[index])


def open_folder(folder: Path, terms: Terms) -> Source:
    """Open the image files of a folder and, if the terms say so, of its subfolders.

    If it has no image files, the images of its archives are opened. If it has no archives either and no endings are
    given, each ``.npy`` is one image, as in clean-fid.
    """
    endings = terms.endings
    files, repeated = _find_files(str(folder), terms.recursive, endings)
    images = [file for file in files if endings.count(file)]
    archives = [folder / file for file in files if is_archive(file)]
    arrays = [file for file in files if is_npy(file)] if endings == Endings() else []
    notes: tuple[str, ...] = ()
    if repeated:
        notes += (f"{repeated} links lead to folders that are counted already; each folder is read once",)
    if images:
        if archives:
            notes += (f"{len(archives)} archives next to the images, such as {archives[0].name}, were not opened",)
        nested, upper = sum(os.sep in file for file in images), sum(map(has_upper_ending, images))
        return Folder(folder, images, notes=foreign_note(len(images), nested, upper) + notes, load=decode)
    if archives:
        notes = (f"{folder} has no image files but {len(archives)} archives: their images are used as one set", *notes)
        return Shards(str(folder), archives, terms, notes=notes)
    if arrays:
        notes = (f"{folder} has no image files but {len(arrays)} .npy files: each is read as one image", *notes)
        return Folder(folder, arrays, notes=notes, load=load_npy)
    where = "and its subfolders" if terms.recursive else "(subfolders were not searched)"
    others = ", .tar, .zip or .npy" if endings == Endings() else ", .tar or .zip"
    raise InputError(f"no images in {folder} {where}: looked for files ending in {endings}{others}")


def load_npy(path: str, name: str) -> Decoded:
    """Read an ``.npy`` that holds one image (H, W, 3) of integers.

    Raises
    ------
    ImageError
        If it is damaged.
    InputError
        If it holds something else. This is not an `ImageError`, which could be skipped, because the other files of the
        folder are probably of the same kind.
    """
    with failures(f"cannot decode {name}", ImageError), open_regular(path, most=MOST_FILE_BYTES) as file:
        header = read_header(file, os.fstat(file.fileno()).st_size)
        array = read_values(file, header)
    if array.ndim == 4:
        raise InputError(
            f"{name}: shape {array.shape} is a set of images, but each .npy file of a folder is one image (H, W, 3): "
            "give this file itself, or merge the statistics of several"
        )
    return Decoded(as_rgb(array, name))


def _find_files(root: str, recursive: bool, endings: Endings) -> tuple[list[str], int]:
    """Return the names of the files below `root`, and the number of links to folders that had been read before.

    Names are kept instead of `Path` objects, which would take 240 MB for a million files. They are in the order in
    which pathlib sorts.
    """
    found: list[str] = []
    seen: set[str] = set()
    repeated = 0
    below = len(root) if root.endswith(os.sep) else len(root) + 1
    folders, links = [root], list[str]()
    while folders or links:
        folder = (folders or links).pop()  # links last, so that a file keeps its real path if that is in the tree
        real = str(Path(folder).resolve())
        if real in seen:
            repeated += 1
            continue
        seen.add(real)
        below_it, linked = list[str](), list[str]()
        with failures(f"cannot read the folder {folder}"), os.scandir(folder) as entries:
            for entry in entries:
                # A broken link with an image's name stays in, since leaving it out silently would change n.
                if entry.is_symlink() and Path(entry.path).is_dir():
                    linked.append(entry.path)
                elif entry.is_dir(follow_symlinks=False):
                    below_it.append(entry.path)
                elif endings.count(entry.name) or is_archive(entry.name) or is_npy(entry.name):
                    found.append(entry.path[below:])
        if recursive:
            folders += sorted(below_it)
            links += sorted(linked)
    return sorted(found, key=_parts), repeated


def _parts(name: str) -> str:
    """Return a key that sorts names part by part, as pathlib does."""
    return os.path.normcase(name).replace(os.sep, "\0")
