"""Any iterable or sequence of arrays, PIL images, paths, open files or bytes of files."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ImageError, InputError
from ..files.reading import MOST_FILE_BYTES, failures, stamp_of_file
from ..images.decode import Decoded, decode, digest, from_pil, is_pil
from ..images.rgb import as_rgb, to_array
from .base import Item, Source, given
from .names import is_archive

_KINDS = 'an array, a PIL image or a path, nor the bytes of a file, an open file or {"bytes": ..., "path": ...}'
_CHUNK = 1 << 20
_ARCHIVES_WAY_OUT = "put all archives into one folder and give that, or save the statistics of each and merge them"


class Elements(Source):
    """Any iterable or sequence of images."""

    def __init__(self, elements: Iterable[object] | Sequence[object]) -> None:
        self._kind = type(elements).__name__
        try:
            size = len(elements)  # type: ignore[arg-type]
        except (TypeError, NotImplementedError):  # a generator; a loader over a stream
            size = None
        if size == 0:
            raise InputError(f"the {self._kind} is empty: no images")
        # Indexed only if an index surely means a position; in a pandas Series it is a label. A PyTorch-style Dataset
        # has no __iter__, and Python's fallback for that relies on an IndexError that many of them never raise.
        indexed = isinstance(elements, list | tuple) or (size is not None and not hasattr(elements, "__iter__"))
        name = f"a {self._kind}" if size is None else f"a {self._kind} of {size}"
        super().__init__(name, size, ordered=not indexed)
        self.exact = indexed  # the length of what can only be iterated over may be an estimate
        self._elements: Any = elements

    def __getstate__(self) -> dict[str, Any]:
        if isinstance(self._elements, Iterator):
            raise InputError(
                f"{self.name} can be read once, in this process alone: for several processes give a list, a folder "
                "or a file"
            )
        return self.__dict__

    def read(self, indices: Iterable[int]) -> Iterator[Item]:
        """Yield the images at these indices."""
        found = self._walk(indices) if self.ordered else ((index, self._elements[index]) for index in indices)
        for index, element in found:
            yield _item(element, f"image {index} of the {self._kind}")

    def key_of(self, index: int) -> str:
        """Return the place of an image."""
        return str(index)

    def stamp_of(self, index: int) -> str:
        """Return size and time of a file, or a hash of an image in memory; "" if the elements are not in a list."""
        if not isinstance(self._elements, list | tuple):
            return ""  # getting an element may decode it
        element = self._elements[index]
        if isinstance(element, str | os.PathLike):
            return stamp_of_file(element)
        if isinstance(element, bytes | bytearray | memoryview):
            return f"{digest(bytes(element)):x}"
        if is_pil(element) or hasattr(element, "__array__"):
            return f"{digest(np.ascontiguousarray(element).tobytes()):x}"
        return ""

    def _walk(self, indices: Iterable[int]) -> Iterator[tuple[int, object]]:
        """Yield the elements at these indices, and do not advance the iterable beyond the last of them."""
        wanted = iter(indices)
        place = next(wanted, None)
        for index, element in enumerate(self._elements):
            if index == self.size:
                raise InputError(f"{self.name} gives more images than its len() says: give iter(...) of it")
            if index == place:
                yield index, element
                place = next(wanted, None)
            if place is None and index + 1 != self.size:
                return


def is_file(element: object) -> bool:
    """Return True for an open file or a `BytesIO`, but not for an array that has a `read` method."""
    file = all(callable(getattr(element, method, None)) for method in ("read", "seekable"))
    return file and not hasattr(element, "__array__")


def _item(element: object, name: str) -> Item:
    if isinstance(element, Mapping) and not {"bytes", "path"}.isdisjoint(element):  # Hugging Face's undecoded image
        data, path = element.get("bytes"), element.get("path")
        element, name = (path, name) if data is None else (data, f"{name} ({path})" if path else name)
    if isinstance(element, str | os.PathLike):
        with failures(name):
            path = Path(os.fsdecode(element))
        if is_archive(path.name):
            raise InputError(f"{name}: {path} is an archive, not an image: {_ARCHIVES_WAY_OUT}")
        return Item(str(path), partial(decode, path, str(path)))
    try:
        return Item(name, _loader(element, name))
    except ImageError as error:
        return Item(name, partial(_fail, error))  # raised when the image is loaded, so that it can be skipped


def _loader(element: object, name: str) -> Callable[[], Decoded]:
    """Return a function that returns the image and shares no memory with `element`.

    The iterable may reuse one buffer (ImageSequence does), and Pillow images cannot be loaded in two threads at once.
    So arrays and PIL images are converted now. Bytes are copied now and decoded later, in a worker thread.
    """
    if isinstance(element, bytes | bytearray | memoryview):
        return partial(decode, bytes(element), name)
    if is_file(element):
        return partial(decode, _read(element, name), name)
    if is_pil(element):
        return partial(given, from_pil(element, name))
    if not hasattr(element, "__array__"):
        pair = "; from (image, label) pairs give only the images" if isinstance(element, tuple | list) else ""
        raise InputError(f"{name}: a {type(element).__name__} is not {_KINDS}{pair}")
    return partial(given, Decoded(as_rgb(to_array(element, name, copy=True), name)))


def _read(file: Any, name: str) -> bytes:
    """Read a file from its beginning, as Pillow does, whatever its current position."""
    data = bytearray()
    with failures(f"cannot read {name}", ImageError):
        if file.seekable():
            file.seek(0)
        while len(data) <= MOST_FILE_BYTES and (chunk := file.read(_CHUNK)):
            if isinstance(chunk, str):
                raise InputError(f"{name}: the file is open as text; open it with mode 'rb'")
            data += chunk
        if len(data) > MOST_FILE_BYTES:
            raise ValueError(f"it has more than {MOST_FILE_BYTES:,} bytes")
    return bytes(data)


def _fail(error: ImageError) -> Decoded:
    raise error
