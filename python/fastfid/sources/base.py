"""The contract of a source: a set of images, each of which can be read by its index."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..checks import shown, whole_number
from ..errors import ImageError, InputError
from ..files.reading import failures
from ..images.decode import Decoded, as_decoded


@dataclass(frozen=True)
class Item:
    """One image of a source, still to be loaded.

    Parameters
    ----------
    name : str
        How messages name it: a path, or a place in the source.
    load : callable
        Takes nothing and returns the image: the bytes of an image file, a PIL image, or an array of integers in
        0...255 of shape (H, W, 3), (H, W, 1) or (H, W). It is called in a worker thread, so a function that reads a
        file belongs here. Use a function or a `functools.partial`, not a lambda, if the item is to be pickled.
    """

    name: str
    load: Callable[[], Any]

    def decode(self) -> Decoded:
        """Load the image and convert it to 8-bit RGB, in the thread that calls this.

        Raises
        ------
        ImageError
            If the image cannot be loaded or decoded; the message names the item.
        InputError
            If `load` returns something that is not an image.
        """
        with failures(f"cannot load {self.name}", ImageError):
            return as_decoded(self.load(), self.name)


class Source(ABC):
    """A set of images. Subclass it to add your own kind of source.

    A subclass calls ``super().__init__(name, size)`` and defines `read`. Its instances are accepted by `score`,
    `compare`, `statistics` and `Extractor`. Subsets, shards and the division of the work among processes only use
    `size`, `starts` and `read`. A source that can be pickled can be read by several processes.

    Parameters
    ----------
    name : str
        How messages name the source.
    size : int or None
        The number of images; None if it is unknown until all are read.
    notes : iterable of str
        Facts about which images were used. They are logged, and included in the result.
    files : bool, default False
        True if the images are files. Some of them are then decoded before the run, and their formats and sizes are
        compared with those of the other side.
    starts : iterable of int
        The index of the first image of each shard file, in ascending order. Empty if there are no shards.
    ordered : bool, default False
        True if the images can only be read from the first to the last, as in a compressed stream. Such a source is read
        by a single process.

    Raises
    ------
    InputError
        If an argument has the wrong type, or there are no images.

    Examples
    --------
    >>> from functools import partial
    >>> import numpy as np
    >>> class Grey(Source):
    ...     def read(self, indices):
    ...         for index in indices:
    ...             yield Item(f"grey {index}", partial(np.full, (8, 8, 3), index))
    >>> [int(item.decode().pixels.max()) for item in Grey("greys", 256).read([3, 200])]
    [3, 200]
    """

    #: What to give instead where the number of images has to be known; for messages.
    way_out = "give a list, or the first ones with itertools.islice(images, {limit}), unless they are batches"

    def __init__(
        self,
        name: str,
        size: int | None,
        *,
        notes: Iterable[str] = (),
        files: bool = False,
        starts: Iterable[int] = (),
        ordered: bool = False,
    ) -> None:
        own = type(self).__name__
        if not (isinstance(name, str) and name):
            raise InputError(f"{own}: name must be a text, got {shown(name)}")
        if size is not None:
            size = whole_number(f"{own}: size", size, 0)
        if size == 0:
            raise InputError(f"{name} is empty: no images")
        self.name, self.size = name, size
        self.notes = _tuple(f"{own}: notes", notes)
        if not all(isinstance(note, str) for note in self.notes):
            raise InputError(f"{own}: notes must be texts, got {shown(notes)}")
        self.starts = _tuple(f"{own}: starts", starts)
        if self.starts and size is None:
            raise InputError(f"{own}: starts need a size")
        for start in self.starts:
            whole_number(f"{own}: starts", start, 0, (size or 1) - 1)
        if list(self.starts) != sorted(self.starts):
            raise InputError(f"{own}: starts must be in ascending order, got {shown(self.starts)}")
        self.exact = size is not None  # False: there may be fewer images than `size` says
        self.files, self.ordered = bool(files), bool(ordered) or size is None

    @abstractmethod
    def read(self, indices: Iterable[int]) -> Iterator[Item]:
        """Yield one `Item` for each index, in order.

        Parameters
        ----------
        indices : iterable of int
            In ascending order, each from 0 to ``size - 1``. Iterate over them one by one, because there may be many.
            For a source of unknown size they are endless, and `read` returns after the last image.
        """

    def name_of(self, index: int) -> str:
        """Return how messages name an image, without reading it."""
        return f"image {index} of {self.name}"

    def folder_of(self, index: int) -> str:
        """Return the folder of an image within the source, with "/" between its parts; "" if it is in none."""
        return ""

    def key_of(self, index: int) -> str:
        """Return what names an image within the source, wherever the source lies; a resumed run compares it."""
        return self.name_of(index)

    def stamp_of(self, index: int) -> str:
        """Return a text that is different once an image has changed, such as a hash; "" if nothing tells that.

        A source that returns one vouches for it: what was made of an image is used again as long as its stamp is the
        same, without a look at the image. Size and time of a file are not enough, since a program can set both. By
        default a resumed run reads the images again, and compares them with those that it has fitted, which takes no
        run of the network.
        """
        return ""

    def proofs(self, indices: Iterable[int], *, content: bool = False) -> Iterable[str]:
        """Return for each of some images what `stamp_of` does; define it where asking for many at once is faster.

        Parameters
        ----------
        indices : iterable of int
        content : bool
            True to read an image where nothing else tells whether it has changed, and return a hash of it.
        """
        return map(self.stamp_of, indices)


def check_source(source: Source) -> None:
    """Raise `InputError` if the class of a source does not call ``super().__init__``."""
    if not hasattr(source, "ordered"):  # the last attribute that is set there
        own = type(source).__name__
        raise InputError(f"{own}.__init__ does not call super().__init__(name, size): a Source needs both")


def given(image: Decoded) -> Decoded:
    """Return the image; the loader of an item whose image is decoded already."""
    return image


def _tuple(name: str, values: Iterable[Any]) -> tuple[Any, ...]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InputError(f"{name} must be a list or tuple, got {shown(values)}")
    return tuple(values)
