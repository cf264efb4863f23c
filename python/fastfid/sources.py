"""What can be scored: a folder, an array or a file of arrays, an iterable; each becomes one stream of images."""

import os
import sys
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .errors import ImageError, InputError
from .images import ENDINGS, Decoded, as_rgb, check_arrays, decode, from_pil

__all__ = ["Item", "Source", "is_statistics_file", "open_source"]

_ARCHIVES = frozenset({".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar"})
_KINDS = "a folder of images, an .npz or .npy of images, a NumPy array, or an iterable of arrays, PIL images or paths"


@dataclass(frozen=True)
class Item:
    """One image to come: its name in messages (a path, or a place in the source) and how to get it.

    ``load()`` gives what :func:`fastfid.images.decode` does, in any thread; it raises `ImageError` for a bad file,
    `InputError` for a bad array.
    """

    name: str
    load: Callable[[], Decoded]


class Source(ABC):
    """A stream of images.

    It has a `name` for messages, a `size` (None where only exhausting it can tell), `notes` on which images were taken
    (a tuple of str), and says whether its pixels are `arrays` of the caller, whose range is worth watching.
    """

    def __init__(self, name: str, size: int | None, *, notes: tuple[str, ...] = (), arrays: bool = True) -> None:
        self.name, self.size, self.notes, self.arrays = name, size, notes, arrays

    def items(self, limit: int | None = None, seed: int = 0) -> Iterator[Item]:
        """Stream the images, in order.

        Parameters
        ----------
        limit : int, optional
            Take only so many: the images at ``sorted(np.random.RandomState(seed).permutation(size)[:limit])``, in
            their original order. NumPy froze the stream of `RandomState`, so a seed names the same subset for ever.
        seed : int, default 0
            Which subset, 0 to 2**32 - 1.

        Raises
        ------
        InputError
            At once: `limit` below 2, a seed out of range, or a limit for a source of unknown size. While iterating:
            an element that is no image. What the caller's own iterator raises comes through unchanged.
        """
        if limit is None:
            return self._stream(None)
        if limit < 2:
            raise InputError(f"limit={limit}: at least 2 images are needed")
        if self.size is None:
            raise InputError(
                f"limit={limit} needs to know how many images there are, and {self.name} does not say: "
                f"give a list, or the first ones with itertools.islice(images, {limit})"
            )
        if not 0 <= seed < 2**32:
            raise InputError(f"seed={seed} is outside 0...2**32 - 1")
        if limit >= self.size:
            return self._stream(None)
        return self._stream(np.sort(np.random.RandomState(seed).permutation(self.size)[:limit]).tolist())

    @abstractmethod
    def _stream(self, chosen: list[int] | None) -> Iterator[Item]:
        """Yield the items at the indices `chosen`, which ascend; all of them where it is None."""


def open_source(source: object, *, recursive: bool = True) -> Source:
    """Recognise what was given and check all that can be known before the first image is read.

    Parameters
    ----------
    source : path, ndarray or iterable
        A folder: every file with one of `fastfid.images.ENDINGS` in any case, sorted; links are followed, and each
        folder is read once however many links lead to it. An ``.npy`` or ``.npz`` of images (its ``arr_0``, or its
        only array of 3 or 4 dimensions), read image by image. An array of integers in 0...255 of shape (N, H, W, 3),
        (N, H, W, 1) or (N, H, W). An iterable, or an object with ``__getitem__`` and ``__len__``, of such images, PIL
        images or paths; an element is converted as soon as the iterable yields it, so a buffer may be reused. Of
        these only paths are decoded in worker threads.
    recursive : bool, default True
        Whether to search a folder's subfolders.

    Raises
    ------
    InputError
        A missing path, nothing to score in it, a type, dtype or shape that is not accepted; never a pickle is read.

    Examples
    --------
    >>> source = open_source(np.zeros((4, 8, 8, 3), np.uint8))
    >>> source.size, next(source.items()).name
    (4, 'image 0 of the array')
    """
    if isinstance(source, str | os.PathLike):
        if not os.fspath(source):
            raise InputError("an empty path: give a folder of images")  # Path("") would be the current folder
        return _open_path(Path(source), recursive)
    if hasattr(source, "__array__"):
        return _Stack(_to_array(source, "the array", copy=False), "the array")
    if isinstance(source, bytes | bytearray | memoryview | Mapping | Set):
        raise InputError(f"a {type(source).__name__} cannot be scored: give {_KINDS}")
    if not (hasattr(source, "__iter__") or hasattr(source, "__getitem__")):
        what = "one image" if _is_pil(source) else f"a {type(source).__name__}"
        raise InputError(f"{what} cannot be scored: give {_KINDS}")
    return _Elements(source)  # type: ignore[arg-type]


def is_statistics_file(path: str | os.PathLike[str]) -> bool:
    """Whether `path` is an ``.npz`` that has ``mu`` and ``sigma``, whatever else it holds.

    Raises
    ------
    InputError
        It ends in ``.npz`` and is not a readable zip file.
    """
    path = Path(path)
    if path.suffix.lower() != ".npz" or not path.is_file():
        return False
    with _reading(path), zipfile.ZipFile(path) as archive:
        return {"mu", "sigma"} <= {name.removesuffix(".npy") for name in archive.namelist()}


def _open_path(path: Path, recursive: bool) -> Source:
    if path.is_dir():
        return _Folder(path, recursive)
    suffix = path.suffix.lower()
    if not path.exists():
        raise InputError(f"{path} does not exist: give a folder with images ending in {_endings()}, or an .npz or .npy")
    if suffix == ".npy":
        with _reading(path):  # what np.load does for a memory map, without its fallback to other formats
            return _Stack(np.lib.format.open_memmap(path, mode="r"), str(path))
    if suffix == ".npz":
        return _open_npz(path)
    if suffix[1:] in ENDINGS:
        raise InputError(f"{path} is a single image: give a folder of images")
    if suffix in _ARCHIVES:
        raise InputError(f"{path} is an archive: unpack it and give the folder")
    raise InputError(f"{path} is of an unknown type: give {_KINDS}")


class _Folder(Source):
    def __init__(self, folder: Path, recursive: bool) -> None:
        self._files, repeated = _find_images(str(folder), recursive)
        total = len(self._files)
        if not total:
            where = "and its subfolders" if recursive else "(subfolders were not searched)"
            raise InputError(f"no images in {folder} {where}: looked for files ending in {_endings()}")
        nested = sum(file.parent != folder for file in self._files)
        upper = sum(file.suffix != file.suffix.lower() for file in self._files)
        foreign = [f"{nested} of {total} images are in subfolders"] if nested else []
        foreign += [f"{upper} of {total} images have upper-case endings"] if upper else []
        notes = [" and ".join(foreign) + "; pytorch-fid would not count them"] if foreign else []
        if repeated:
            notes.append(f"{repeated} links lead to folders that are counted already; each folder is read once")
        super().__init__(str(folder), total, notes=tuple(notes), arrays=False)

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
            elif Path(entry.name).suffix[1:].lower() in ENDINGS:
                found.append(Path(entry.path))
    return sorted(found), repeated


class _Stack(Source):
    """An array in memory, or mapped into it."""

    def __init__(self, array: NDArray[Any], name: str) -> None:
        check_arrays(array.shape, array.dtype, name, stack=True)
        super().__init__(name, len(array))
        self._array = array

    def _stream(self, chosen: list[int] | None) -> Iterator[Item]:
        for index in range(len(self._array)) if chosen is None else chosen:
            name = f"image {index} of {self.name}"
            yield Item(name, partial(_load_array, np.asarray(self._array[index]), name))


def _load_array(array: NDArray[Any], name: str) -> Decoded:
    return Decoded(as_rgb(array, name))


def _open_npz(path: Path) -> Source:
    with _reading(path), zipfile.ZipFile(path) as archive:
        headers = {}
        for member in archive.namelist():
            if member.endswith(".npy"):
                with archive.open(member) as file:
                    headers[member] = _read_header(file)
        images = [member for member, (shape, _, _) in headers.items() if len(shape) in (3, 4)]
        member = "arr_0.npy" if "arr_0.npy" in headers else images[0] if len(images) == 1 else ""
        if not member:
            held = ", ".join(f"{key.removesuffix('.npy')} {header[0]}" for key, header in headers.items())
            raise InputError(f"{path}: which array holds the images? Name it arr_0; it holds {held or 'no arrays'}")
        shape, fortran, dtype = headers[member]
        check_arrays(shape, dtype, str(path), stack=True)
        if not fortran:
            return _Npz(path, member, shape, dtype)
        with archive.open(member) as file:  # its images are interleaved: there is no reading one after the other
            return _Stack(np.lib.format.read_array(file, allow_pickle=False), str(path))


class _Npz(Source):
    """A C-ordered array inside a zip, of which one image at a time is read."""

    def __init__(self, path: Path, member: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        super().__init__(str(path), shape[0])
        self._path, self._member, self._shape, self._dtype = path, member, shape[1:], dtype

    def _stream(self, chosen: list[int] | None) -> Iterator[Item]:
        assert self.size is not None
        wanted = range(self.size) if chosen is None else frozenset(chosen)
        nbytes = self._dtype.itemsize * int(np.prod(self._shape, dtype=np.int64))
        with zipfile.ZipFile(self._path) as archive, archive.open(self._member) as file:
            _read_header(file)
            for index in range(max(wanted) + 1):
                name = f"image {index} of {self.name}"
                with _reading(self._path):
                    raw = file.read(nbytes)
                    if len(raw) != nbytes:
                        raise InputError(f"{self.name} ends in the middle of image {index} of {self.size}")
                    if index + 1 == self.size:
                        file.read(1)  # zipfile compares the checksum when it finds the end
                if index in wanted:
                    array = np.frombuffer(raw, self._dtype).reshape(self._shape)
                    yield Item(name, partial(_load_array, array, name))


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return an ``.npy``'s shape, whether it is Fortran-ordered and dtype; `file` then stands at the first value."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file)
    raise ValueError(f"format version {version} is for structured arrays")


class _Elements(Source):
    """Whatever can be iterated over or indexed."""

    def __init__(self, elements: Iterable[object] | Sequence[object]) -> None:
        self._kind = type(elements).__name__
        try:
            size = len(elements)  # type: ignore[arg-type]
        except (TypeError, NotImplementedError):  # a generator; a loader over a stream
            size = None
        if size == 0:
            raise InputError(f"the {self._kind} is empty: no images")
        super().__init__(f"a {self._kind}" if size is None else f"a {self._kind} of {size}", size)
        self._elements = elements

    def _stream(self, chosen: list[int] | None) -> Iterator[Item]:
        for index, element in self._enumerate(chosen):
            yield _item(element, f"image {index} of the {self._kind}")

    def _enumerate(self, chosen: list[int] | None) -> Iterator[tuple[int, object]]:
        elements: Any = self._elements
        # Indexed only where that surely means position: a pandas Series has labels. An object of the Dataset kind has
        # no __iter__, and Python's stand-in for it relies on an IndexError that many of them never raise.
        if isinstance(elements, list | tuple) or (self.size is not None and not hasattr(elements, "__iter__")):
            for index in range(len(elements)) if chosen is None else chosen:
                yield index, elements[index]
            return
        wanted = None if chosen is None else frozenset(chosen)
        for index, element in enumerate(elements):
            if wanted is None or index in wanted:
                yield index, element
            if chosen is not None and index == chosen[-1]:
                return


def _item(element: object, name: str) -> Item:
    if isinstance(element, str | os.PathLike):
        path = Path(element)
        return Item(str(path), partial(decode, path, str(path)))
    # Converted now, not in a worker: what yields the elements may reuse one buffer (ImageSequence does), and Pillow
    # images are not safe to load in two threads.
    if _is_pil(element):
        try:
            decoded = from_pil(element, name)  # type: ignore[arg-type]
        except ImageError as error:
            return Item(name, partial(_fail, error))  # a bad image, which the caller may choose to skip
        return Item(name, lambda: decoded)
    if not hasattr(element, "__array__"):
        pair = "; of (image, label) pairs give only the images" if isinstance(element, tuple | list) else ""
        raise InputError(f"{name}: a {type(element).__name__} is not an array, a PIL image or a path{pair}")
    converted = Decoded(as_rgb(_to_array(element, name, copy=True), name))
    return Item(name, lambda: converted)


def _to_array(array: object, name: str, *, copy: bool) -> NDArray[Any]:
    try:
        return np.array(array) if copy else np.asarray(array)
    except (TypeError, ValueError, RuntimeError) as error:  # a tensor on a GPU, or one with gradients
        raise InputError(f"{name}: a {type(array).__name__} that NumPy cannot read: {error}") from error


def _fail(error: ImageError) -> Decoded:
    raise error


def _is_pil(image: object) -> bool:
    module = sys.modules.get("PIL.Image")  # not imported, so no such image can exist
    return module is not None and isinstance(image, module.Image)


def _endings() -> str:
    return ", ".join(f".{ending}" for ending in sorted(ENDINGS))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what a damaged or unreadable ``.npy`` or ``.npz`` raises into an `InputError` that names it."""
    try:
        yield
    except InputError:
        raise
    except (ValueError, OSError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"cannot read {path}: {error}") from error
