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
    proofs : dict of int to str, optional
        The proofs of images before they were decoded.
    """

    def __init__(self, source: Source, images: dict[int, Decoded], proofs: dict[int, str] | None = None) -> None:
        super().__init__(
            source.name,
            source.size,
            notes=source.notes,
            files=source.files,
            starts=source.starts,
            ordered=source.ordered,
        )
        self.exact = source.exact
        self._source, self._images, self._proofs = source, images, proofs or {}

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

    def proofs(self, indices: Iterable[int], *, content: bool = False) -> Iterable[str]:
        """Return what is surely different once images have changed; "" if one has since it was decoded."""
        asked = list(indices)
        for index, proof in zip(asked, self._source.proofs(asked, content=content), strict=True):
            yield proof if self._proofs.get(index, proof) == proof else ""

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_images": {}, "_proofs": {}}
