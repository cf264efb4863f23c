"""Data sets of Hugging Face's library ``datasets``, which is not imported: their own methods say what is needed.

The images are not decoded there, so that the pixels are those that `decode` finds in the same bytes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from ..checks import shown, type_of, with_article
from ..errors import ImageError, InputError
from ..files.reading import MOST_FILE_BYTES, failures
from ..images.decode import Decoded, as_decoded
from .base import Item, Source
from .element import Maker, failing, images_of
from .hashes import proof_of
from .iterable import Elements
from .terms import Terms

_OWN = ("features", "column_names", "cast_column", "select_columns", "with_format")
_ARRAYS = frozenset({"Array2D", "Array3D"})
_PIXELS = (None, "RGB")
_ARRAY_WAY_OUT = 'lists of numbers become images by dataset.cast_column(name, datasets.Array3D((h, w, 3), "uint8"))'


def is_dataset(source: object) -> bool:
    """Return True for a `Dataset` or an `IterableDataset`."""
    return all(hasattr(source, name) for name in _OWN) and not isinstance(source, Mapping)


def is_dataset_dict(source: object) -> bool:
    """Return True for a `DatasetDict` or an `IterableDatasetDict`."""
    return isinstance(source, Mapping) and hasattr(source, "cast_column")


def refuse_dict(source: Mapping[str, Any], terms: Terms) -> Source:
    """Raise the error for several data sets in one."""
    names = ", ".join(repr(split) for split in source) or "none"
    raise InputError(f"{type_of(source)} is several data sets: give one of its splits, by name: {names}")


def open_dataset(dataset: Any, terms: Terms) -> Source:
    """Open a `Dataset` or an `IterableDataset`.

    The images are in the column `terms.image_key`, or in the only column with the feature `Image`, with bytes, or with
    arrays, in this order. A format such as ``with_format("torch")`` is reset.

    Raises
    ------
    InputError
        If it has no such column, or several; or a transform, which would be left out.
    """
    kind = type(dataset).__name__
    name = f"the {kind}"
    with failures(f"cannot open {name}"):
        formatting = getattr(dataset, "format", None) or {}
        if isinstance(formatting, Mapping) and formatting.get("type") == "custom":
            raise InputError(
                f"{name} has a transform, which would be left out: give dataset.with_format(None), or for transformed "
                'images (row["image"] for row in dataset)'
            )
        if not dataset.features:  # nothing is known of an IterableDataset of dictionaries
            return Elements(dataset, terms, kind)
        key = _column(dataset.features, terms.image_key, name)
        rows = _undecoded(dataset, key)
        if hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__"):
            return Rows(rows, key, kind, terms)
        return Stream(rows, key, kind, terms)


class Rows(Source):
    """The rows of a `Dataset` with one column, each of which is read when it is loaded."""

    def __init__(self, dataset: Any, key: str, kind: str, terms: Terms) -> None:
        super().__init__(f"{with_article(kind)} of {len(dataset)}", len(dataset), files=True)
        self._dataset, self._key, self._kind, self._terms = dataset, key, kind, terms
        self.arrays = _has_arrays(dataset, key)
        self._all_bytes = _all_bytes(dataset, key)

    def read(self, indices: Iterable[int]) -> Iterator[Item]:
        """Yield the images at these indices."""
        for index in indices:
            name = self.name_of(index)
            yield Item(name, partial(self._load, index, name))

    def name_of(self, index: int) -> str:
        """Return the place of an image."""
        return f"image {index} of the {self._kind}"

    def key_of(self, index: int) -> str:
        """Return the place of an image."""
        return str(index)

    def proofs(self, indices: Iterable[int], *, content: bool = False) -> Iterable[str]:
        """Return hashes of cells, since a fingerprint may tell how they were made only; or proofs of their files."""
        if self._all_bytes and not content:
            return ("" for _ in indices)
        return (proof_of(cell, self._terms, content=content) for cell in map(self._cell, indices))

    def _cell(self, index: int) -> Any:
        with failures(f"cannot read {self.name_of(index)}"):
            return self._dataset[index][self._key]

    def _load(self, index: int, name: str) -> Decoded:
        with failures(f"cannot read {name}", ImageError):
            (make,) = _images_of_cell(self._dataset[index][self._key], name, self._terms)
            return as_decoded(make(name).load(), name)


class Stream(Elements):
    """The rows of an `IterableDataset` with one column."""

    def __init__(self, dataset: Any, key: str, kind: str, terms: Terms) -> None:
        super().__init__(dataset, terms, kind)
        self.arrays = _has_arrays(dataset, key)
        self._key = key

    def _images(self, element: Any, index: int) -> Sequence[Maker]:
        return _images_of_cell(element[self._key], self._name(index), self._terms)


def _has_arrays(dataset: Any, key: str) -> bool:
    return type(dataset.features[key]).__name__ in _ARRAYS


def _all_bytes(dataset: Any, key: str) -> bool:
    """Return True if no row has the path of a file instead of its bytes; the images are not read for that."""
    if type(dataset.features[key]).__name__ != "Image":
        return True
    chunks = getattr(getattr(dataset, "data", None), "column", lambda _: None)(key)
    return chunks is not None and not any(chunk.field("bytes").null_count for chunk in chunks.chunks)


def _images_of_cell(cell: object, name: str, terms: Terms) -> Sequence[Maker]:
    if cell is None or (isinstance(cell, Mapping) and not any(cell.values())):
        return [failing(ImageError(f"{name} is null"))]
    data = cell.get("bytes") if isinstance(cell, Mapping) else cell
    if isinstance(data, bytes) and len(data) > MOST_FILE_BYTES:
        return [failing(ImageError(f"{name} has {len(data):,} bytes; at most {MOST_FILE_BYTES:,} are read"))]
    return images_of(cell, name, terms)


def _column(features: Mapping[str, Any], key: str | None, name: str) -> str:
    """Return the column of the images."""
    kinds = {column: _kind(feature) for column, feature in features.items()}
    known = ", ".join(f"{shown(column)} ({_said(feature)})" for column, feature in features.items())
    if key is not None:
        if key not in kinds:
            raise InputError(f"{name} has no column {key!r}: it has {known}")
        if not kinds[key]:
            way = f"; {_ARRAY_WAY_OUT}" if _said(features[key]) == "List" else ""
            raise InputError(f"{name}: the column {key!r} holds no images: it has {known}{way}")
        return key
    for rank in (3, 2, 1):
        found = [column for column in kinds if kinds[column] == rank]
        if len(found) > 1:
            raise InputError(
                f"{name}: which column holds the images? Give image_key, one of {', '.join(map(repr, found))}"
            )
        if found:
            return found[0]
    raise InputError(f"{name} has no column of images: it has {known}")


def _kind(feature: Any) -> int:
    """Return 3 for images, 2 for bytes, 1 for arrays, and 0 for everything else."""
    name = type(feature).__name__
    if name == "Image":
        return 3
    if getattr(feature, "dtype", None) in ("binary", "large_binary"):
        return 2
    return int(name in _ARRAYS)


def _said(feature: Any) -> str:
    name = type(feature).__name__
    return str(getattr(feature, "dtype", name)) if name == "Value" else name


def _undecoded(dataset: Any, key: str) -> Any:
    """Return the data set with this column alone, as it is stored."""
    feature = dataset.features[key]
    rows = dataset.with_format(None).select_columns(key)
    if type(feature).__name__ in _ARRAYS:
        return rows.with_format("numpy")
    if type(feature).__name__ != "Image":
        return rows
    if getattr(feature, "mode", None) not in _PIXELS:
        raise InputError(
            f"column {key!r} converts its images to mode {feature.mode}, and scores are those of RGB: give "
            f"dataset.cast_column({key!r}, datasets.Image())"
        )
    return rows.cast_column(key, type(feature)(decode=False))
