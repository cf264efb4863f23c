"""A source with some images that are decoded already."""

from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from ..images.decode import Decoded
from .base import Item, Source, given


class Kept(Source):
    """A source together with images of it that are decoded already.

    Each of these images is used once, for the first read of its index. Pickles do not contain them.

    Parameters
    ----------
    source : Source
    images : dict of int to Decoded
        The decoded images by their indices in the source.
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
        self.exact = source.exact
        self._source, self._images = source, images

    def read(self, indices: Iterable[int]) -> Iterator[Item]:
        """Yield the images at these indices."""
        asked: deque[int] = deque()

        def to_read() -> Iterator[int]:
            for index in indices:
                asked.append(index)
                yield index

        for item in self._source.read(to_read()):
            image = self._images.pop(asked.popleft(), None) if asked else None
            yield item if image is None else Item(item.name, partial(given, image))

    def name_of(self, index: int) -> str:
        """Return how messages name an image."""
        return self._source.name_of(index)

    def folder_of(self, index: int) -> str:
        """Return the folder of an image within the source."""
        return self._source.folder_of(index)

    def key_of(self, index: int) -> str:
        """Return what names an image within the source."""
        return self._source.key_of(index)

    def stamp_of(self, index: int) -> str:
        """Return what is different once an image has changed."""
        return self._source.stamp_of(index)

    def stamps_of(self, indices: Iterable[int]) -> Iterable[str]:
        """Return what is different once an image has changed, for each of some images."""
        return self._source.stamps_of(indices)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_images": {}}
