"""A source of which some images are decoded already."""

from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from ..images.decode import Decoded
from .base import Item, Source, given


class Kept(Source):
    """Any source, with images of it that need not be decoded again; each is given once, and no pickle holds them.

    Parameters
    ----------
    source : Source
    images : dict of int to Decoded
        By their places in the source.
    """

    def __init__(self, source: Source, images: dict[int, Decoded]) -> None:
        super().__init__(
            source.name,
            source.size,
            notes=source.notes,
            files=source.files,
            starts=source.starts,
            ordered=source.ordered,
        )
        self._source, self._images = source, images

    def read(self, indices: Iterable[int]) -> Iterator[Item]:
        """Yield the images at these places."""
        asked: deque[int] = deque()

        def to_read() -> Iterator[int]:
            for index in indices:
                asked.append(index)
                yield index

        for item in self._source.read(to_read()):
            image = self._images.pop(asked.popleft(), None) if asked else None
            yield item if image is None else Item(item.name, partial(given, image))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_images": {}}
