"""Any iterable or sequence of images, or of batches of images, such as torch's Dataset and DataLoader."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..checks import with_article
from ..errors import InputError
from .base import Item, Source
from .element import Maker, images_of, is_batch
from .hashes import proof_of
from .terms import Terms


class Elements(Source):
    """Any iterable or sequence of images.

    The size is known, and each element is one image, if it has a length and its elements are not batches.

    Parameters
    ----------
    elements : iterable or sequence
    terms : Terms
    kind : str, optional
        What it is called; by default the name of its type.
    """

    def __init__(
        self, elements: Iterable[object] | Sequence[object], terms: Terms | None = None, kind: str = ""
    ) -> None:
        self._kind, self._terms = kind or type(elements).__name__, terms or Terms()
        try:
            size = len(elements)  # type: ignore[arg-type]
        except (TypeError, NotImplementedError):  # a generator; a loader over a stream
            size = None
        if size == 0:
            raise InputError(f"the {self._kind} is empty: no images")
        if size is not None and _of_batches(elements, self._terms):
            size = None  # the number of batches says how many images there are only if it is known how they are made
        # Indexed only if an index surely means a position; in a pandas Series it is a label. A PyTorch-style Dataset
        # has no __iter__, and Python's fallback for that relies on an IndexError that many of them never raise.
        indexed = size is not None and (isinstance(elements, list | tuple) or not hasattr(elements, "__iter__"))
        name = with_article(self._kind) + ("" if size is None else f" of {size}")
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
        found: Iterator[tuple[int, Maker]]
        if not self.ordered:
            found = ((index, self._one(self._elements[index], index)) for index in indices)
        elif self.size is not None:
            found = ((index, self._one(element, index)) for index, element in self._walk(indices))
        else:
            found = self._walk_batches(indices)
        for index, make in found:
            yield make(self._name(index))

    def _name(self, index: int) -> str:
        return f"image {index} of the {self._kind}"

    def _images(self, element: object, index: int) -> Sequence[Maker]:
        """Return the images of an element, the first of which has this index."""
        return images_of(element, self._name(index), self._terms, getattr(self._elements, "batch_size", None))

    def _one(self, element: object, index: int) -> Maker:
        images = self._images(element, index)
        if len(images) != 1:
            raise InputError(
                f"{self._name(index)}: this is a batch of {len(images)} images, and {self.name} was taken to hold "
                "single ones: give iter(...) of it"
            )
        return images[0]

    def key_of(self, index: int) -> str:
        """Return the place of an image."""
        return str(index)

    def proofs(self, indices: Iterable[int], *, content: bool = False) -> Iterable[str]:
        """Return what is surely different once files, or images in memory, have changed; "" if not in a list."""
        indexed = isinstance(self._elements, list | tuple) and not self.ordered  # getting others may decode them
        return (proof_of(self._elements[i], self._terms, content=content) if indexed else "" for i in indices)

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

    def _walk_batches(self, indices: Iterable[int]) -> Iterator[tuple[int, Maker]]:
        """Yield the images at these indices, of elements that may have several."""
        wanted = iter(indices)
        place, index = next(wanted, None), 0
        for element in self._elements:
            for make in self._images(element, index):
                if index == place:
                    yield index, make
                    place = next(wanted, None)
                index += 1
            if place is None:
                return


def _of_batches(elements: Any, terms: Terms) -> bool:
    """Return True if the elements are batches: of a DataLoader, or of a list whose first one is a batch."""
    if isinstance(elements, list | tuple):
        return is_batch(elements[0], terms)
    return getattr(elements, "batch_size", None) is not None or getattr(elements, "batch_sampler", None) is not None
