"""What every source is: a set of images, any of which can be asked for by its place."""

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
            If `load` gives something that is no image.
        """
        with failures(f"cannot load {self.name}", ImageError):
            return as_decoded(self.load(), self.name)


class Source(ABC):
    """A set of images; subclass it to add a kind of your own.

    A subclass calls ``super().__init__(name, size)`` and defines `read`. Its instances are accepted wherever images
    are: by `score`, `compare`, `statistics` and an `Extractor`. Subsets, shards and the division of the work among
    processes are made from `size`, `starts` and `read` alone. A source that can be pickled can be read by several
    processes.

    Parameters
    ----------
    name : str
        How messages name the source.
    size : int or None
        The number of images; None if only reading all of them tells.
    notes : iterable of str
        What a user should know about which images were taken. They are logged, and stand in the result.
    files : bool, default False
        Whether the images are files, some of which can be looked at before the run: their formats and sizes are then
        compared with those of the other side.
    starts : iterable of int
        The index of the first image of each shard file, in ascending order. Empty where there are no shards.
    ordered : bool, default False
        Whether the images can only be read from the first to the last, as those of a compressed stream. Only one
        process reads such a source.

    Raises
    ------
    InputError
        If one of these is of another type, or there are no images.

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
        self.files, self.ordered = bool(files), bool(ordered)

    @abstractmethod
    def read(self, indices: Iterable[int]) -> Iterator[Item]:
        """Yield one `Item` for each index, in order.

        Parameters
        ----------
        indices : iterable of int
            In ascending order, each from 0 to ``size - 1``. Take them one by one: there may be many. For a source of
            unknown size they do not end, and `read` returns after the last image.
        """


def check_source(source: Source) -> None:
    """Raise `InputError` for a source whose class does not call ``super().__init__``."""
    if not hasattr(source, "ordered"):  # the last attribute that is set there
        own = type(source).__name__
        raise InputError(f"{own}.__init__ does not call super().__init__(name, size): a Source needs both")


def given(image: Decoded) -> Decoded:
    """Return the image: what an item loads that is there already."""
    return image


def _tuple(name: str, values: Iterable[Any]) -> tuple[Any, ...]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InputError(f"{name} must be a list or tuple, got {shown(values)}")
    return tuple(values)
