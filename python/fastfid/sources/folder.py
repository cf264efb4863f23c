"""A folder of image files, of archives, or of ``.npy`` files with one image each."""

import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ..checks import counted
from ..errors import ImageError, InputError
from ..files.npy import read_header, read_values
from ..files.places import Local, Place
from ..files.reading import MOST_FILE_BYTES, failures
from ..files.remote import Remote
from ..images.arrays import channels_last, decoded
from ..images.decode import Decoded, decode
from ..images.quantise import Quantise
from .archives import open_archives
from .base import Item, Source
from .listed import Enter, Files, RemoteFiles, Wanted, list_local, list_remote
from .names import COMPRESSED_TARS, READABLE_ARCHIVES, Endings, foreign_note, has_upper_ending, is_archive, is_npy
from .tables import TABLES, Tables, is_table
from .terms import Terms


class Folder(Source):
    """Files with one image each; `load` decodes the one at a place."""

    def __init__(
        self, name: str, files: Files, *, notes: tuple[str, ...], load: Callable[[Place, str], Decoded]
    ) -> None:
        super().__init__(name, len(files), notes=notes, files=True)
        self._files, self._load = files, load

    def read(self, indices: Iterable[int]) -> Iterator[Item]:
        """Yield the images at these indices."""
        for index in indices:
            place = self._files.place(index)
            name = str(place)
            yield Item(name, partial(self._load, place, name))

    def name_of(self, index: int) -> str:
        """Return the path of an image."""
        return self._files.path(index)

    def folder_of(self, index: int) -> str:
        """Return the subfolder of an image."""
        return self._files.folder(index)

    def key_of(self, index: int) -> str:
        """Return the path of an image below the folder."""
        return self._files.names[index].replace(os.sep, "/")

    def proofs(self, indices: Iterable[int], *, content: bool = False) -> Iterable[str]:
        """Return what is surely different once the files have changed."""
        return (self._files.proof(index) for index in indices)


class ArrayFolder(Folder):
    """``.npy`` files with one image each."""

    def proofs(self, indices: Iterable[int], *, content: bool = False) -> Iterable[str]:
        """Return what is surely different once the files have changed, which programs do through memory maps."""
        return (self._files.proof(index, content=True) if content else "" for index in indices)


def open_folder(folder: Path, terms: Terms) -> Source:
    """Open the image files of a folder and, if the terms say so, of its subfolders; otherwise see `open_files`."""
    files = list_local(str(folder), _enter(terms))
    return open_files(str(folder), files, terms, _searched(str(folder), terms))


def open_remote_folder(remote: Remote, terms: Terms) -> Source:
    """Open the image files of a folder behind an address as `open_folder` does."""
    table = list_remote(remote, _enter(terms))
    return open_files(remote.name(), RemoteFiles(remote, table), terms, _searched(remote.name(), terms))


def _enter(terms: Terms) -> Enter:
    useful = wanted(terms.endings)
    return lambda name, is_folder: terms.recursive if is_folder else useful(name)


def open_files(name: str, files: Files, terms: Terms, searched: str) -> Source:
    """Open some files as one set of images.

    Those with one of the endings are its images. If there are none, its archives are opened, or what comes next in
    `_KINDS`.

    Parameters
    ----------
    name : str
        How messages name the set.
    files : Files
    terms : Terms
    searched : str
        Where was looked, for the message that there are no images: "in a/b and its subfolders".
    """
    images = files.only(terms.endings.count)
    rest = {kind: files.only(kind.test) for kind in _kinds(terms.endings)}
    found = {kind: some for kind, some in rest.items() if len(some)}
    notes: tuple[str, ...] = ()
    if files.repeated:
        notes += (f"{counted(files.repeated, 'link')} to folders that are counted already; each folder is read once",)
    if images:
        notes += _unopened(found, "images")
        nested, upper = sum(map(_is_nested, images.names)), sum(map(has_upper_ending, images.names))
        notes = foreign_note(len(images), nested, upper) + notes
        return Folder(name, images, notes=notes, load=load_image)
    for kind, some in found.items():
        del found[kind]
        used = kind.one_used if len(some) == 1 else kind.used
        notes = (f"{name} has no image files but {counted(len(some), kind.name)}: {used}", *notes)
        return kind.open(name, some, terms, notes + _unopened(found, f"{kind.name}s"))
    *others, last = dict.fromkeys(
        ending for kind in _kinds(terms.endings) for ending in _ENDINGS_OF_KINDS if kind.test(f"a{ending}")
    )
    looked = ", ".join([str(terms.endings), *others])
    raise InputError(f"no images {searched}: looked for files ending in {looked} or {last}")


def _unopened(left: "Mapping[_Kind, Files]", opened: str) -> tuple[str, ...]:
    """Return the notes on files that are left out, next to those that are opened."""
    notes = []
    for kind, some in left.items():
        such, was = ("", "was") if len(some) == 1 else ("such as ", "were")
        if kind.told:
            count = counted(len(some), kind.name)
            notes.append(f"{count} next to the {opened}, {such}{some.place(0).tail}, {was} not opened")
    return tuple(notes)


def load_image(place: Place, name: str) -> Decoded:
    """Read and decode an image file.

    Raises
    ------
    ImageError
        If it is missing, too large or cannot be decoded.
    InputError
        If the server does not answer, or the file has changed since it was listed.
    """
    if isinstance(place, Local):
        return decode(place.path, name)  # reads it, too
    with failures(f"cannot decode {name}", ImageError):
        data = place.read(MOST_FILE_BYTES)
    return decode(data, name)


def load_npy(place: Place, name: str, floats: Quantise | None = None) -> Decoded:
    """Read an ``.npy`` that holds one image (H, W, 3) of integers, or of floats if `floats` says what they mean.

    Raises
    ------
    ImageError
        If it is damaged.
    InputError
        If it holds something else. This is not an `ImageError`, which could be skipped, because the other files of the
        folder are probably of the same kind.
    """
    with failures(f"cannot decode {name}", ImageError):
        data = place.read(MOST_FILE_BYTES)
        file = io.BytesIO(data)
        array = read_values(file, read_header(file, len(data)))
    if array.ndim == 4:
        raise InputError(
            f"{name}: shape {array.shape} is a set of images, but each .npy file of a folder is one image (H, W, 3): "
            "give this file itself, or merge the statistics of several"
        )
    return decoded(channels_last(array, name), name, floats)


class _Kind(NamedTuple):
    """Files that are opened if there are no image files.

    Attributes
    ----------
    name, used, one_used : str
        What one is called, and how several and one are used, for a note.
    test : callable
        Tells from its name whether a file is one.
    open : callable
        Takes the name of the set, the files, the terms and the notes.
    told : bool
        Whether a note says that they were not opened if there are others to open.
    """

    name: str
    used: str
    one_used: str
    test: Wanted
    open: Callable[[str, Files, Terms, tuple[str, ...]], Source]
    told: bool = True


def _open_archives(name: str, files: Files, terms: Terms, notes: tuple[str, ...]) -> Source:
    return open_archives(name, files.places(), terms, labels=files.names, notes=notes)


def _open_arrays(name: str, files: Files, terms: Terms, notes: tuple[str, ...]) -> Source:
    return ArrayFolder(name, files, notes=notes, load=partial(load_npy, floats=terms.floats))


def _open_tables(name: str, files: Files, terms: Terms, notes: tuple[str, ...]) -> Source:
    return Tables(name, files.places(), terms, notes=notes)


#: What is opened where there are no image files. The first line with files is used.
_KINDS = (
    _Kind("archive", "their images are used as one set", "its images are used", is_archive, _open_archives),
    _Kind("table", "their images are used as one set", "its images are used", is_table, _open_tables),
    _Kind(".npy file", "each is read as one image", "it is read as one image", is_npy, _open_arrays, told=False),
)


_ENDINGS_OF_KINDS = (*READABLE_ARCHIVES, *COMPRESSED_TARS, *TABLES, ".npy")


def _kinds(endings: Endings) -> tuple[_Kind, ...]:
    """Return the lines of `_KINDS` that count; with endings of the caller's own, ``.npy`` files do not."""
    return _KINDS if endings == Endings() else tuple(kind for kind in _KINDS if kind.test is not is_npy)


def in_order(endings: Endings) -> tuple[tuple[str, Wanted], ...]:
    """Return the kinds of files that `open_files` looks for, of which it opens the first that is there."""
    return (("image file", endings.count), *((kind.name, kind.test) for kind in _kinds(endings)))


def wanted(endings: Endings) -> Wanted:
    """Return a function that tells from its name whether a file may be of use."""
    tests = [endings.count, *(kind.test for kind in _KINDS)]
    return lambda name: any(test(name) for test in tests)


def _searched(folder: str, terms: Terms) -> str:
    return f"in {folder} {'and its subfolders' if terms.recursive else '(subfolders were not searched)'}"


def _is_nested(name: str) -> bool:
    return "/" in name or os.sep in name
