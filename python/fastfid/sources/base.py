"""What every source is: a stream of images, or of so many of them chosen by a seed."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np

from ..checks import seed_number, whole_number
from ..errors import InputError
from ..images.decode import Decoded

_MOST_KEPT = 1 << 26  # bytes of pixels


@dataclass(frozen=True)
class Item:
    """One image to come: its name in messages (a path, or a place in the source) and how to get it.

    ``load()`` gives what `decode` does, in any thread; it raises `ImageError` for a bad file,
    `InputError` for a bad array.
    """

    name: str
    load: Callable[[], Decoded]


class Source(ABC):
    """A stream of images.

    It has a `name` for messages, a `size` (None where only exhausting it can tell), `notes` on which images were taken
    (a tuple of str), and says whether it gives `arrays` of the caller; if not, files, which can be looked at before.
    """

    def __init__(self, name: str, size: int | None, *, notes: tuple[str, ...] = (), arrays: bool = True) -> None:
        self.name, self.size, self.notes, self.arrays = name, size, notes, arrays
        self._kept: dict[str, Decoded] = {}

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
        chosen = self._chosen(limit, seed)
        return self._with_kept(chosen) if self._kept else self._stream(chosen)

    def look(self, count: int, limit: int | None = None, seed: int = 0) -> Iterator[Decoded]:
        """Decode `count` images of those that `items` would stream, and keep them for it as far as memory allows.

        Only for a source of known size whose items have names of their own, as files have.
        """
        chosen = self._chosen(limit, seed)
        among = range(self.size or 0) if chosen is None else chosen
        places = np.sort(np.random.RandomState(0).permutation(len(among))[:count]).tolist()
        room = _MOST_KEPT
        for item in self._stream([among[place] for place in places]):
            image = item.load()
            if (room := room - image.pixels.nbytes) >= 0:
                self._kept[item.name] = image
            yield image

    def _with_kept(self, chosen: list[int] | None) -> Iterator[Item]:
        for item in self._stream(chosen):
            kept = self._kept.pop(item.name, None)
            yield item if kept is None else Item(item.name, partial(given, kept))

    def _chosen(self, limit: int | None, seed: int) -> list[int] | None:
        """Return which images are meant, in order; None for all of them."""
        if limit is None:
            return None
        limit = whole_number("limit", limit, 2)
        if self.size is None:
            raise InputError(
                f"limit={limit} needs to know how many images there are, and {self.name} does not say: "
                f"give a list, or the first ones with itertools.islice(images, {limit})"
            )
        seed = seed_number(seed)
        if limit >= self.size:
            return None
        return cast(list[int], np.sort(np.random.RandomState(seed).permutation(self.size)[:limit]).tolist())

    def expected(self, limit: int | None) -> int | None:
        """How many images `items` will stream; None where only exhausting the source can tell."""
        return self.size if limit is None or self.size is None else min(limit, self.size)

    @abstractmethod
    def _stream(self, chosen: list[int] | None) -> Iterator[Item]:
        """Yield the items at the indices `chosen`, which ascend; all of them where it is None."""


def given(image: Decoded) -> Decoded:
    """Return the image: what an item loads that is there already."""
    return image
