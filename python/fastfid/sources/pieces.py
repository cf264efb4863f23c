"""Index arithmetic for all sources: limit and seed, shards, and pieces.

A piece is the part of a source that one process fits at a time. The borders of the pieces depend on the source only,
not on the number of processes. States are merged piece by piece, so the same source gives the same bits on every
machine.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, count, islice, pairwise, tee
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arguments import spelled
from ..checks import seed_number, type_of, whole_number
from ..errors import InputError
from .base import Item, Source, check_source

PIECE = 8192  # images

Indices = range | NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Piece:
    """Some of the images of a source; it can be pickled if the source can.

    Attributes
    ----------
    source : Source
    number : int
        Its number among the pieces of the run, from 0.
    indices : range, or ndarray of int, shape (n,)
        Indices of its images in the source, in ascending order.
    of : int or None
        Number of images of all pieces of the run together; None if it is unknown until they are read.
    label : str
        The class of its images, if the run asks for classes.
    """

    source: Source
    number: int
    indices: Indices
    of: int | None
    label: str = ""


def check_limit(source: Source, limit: int | None, seed: int) -> None:
    """Raise the errors of `choose`, without choosing."""
    check_source(source)
    if limit is None:
        return
    whole_number("limit", limit, 2)
    if source.size is None:
        way_out = source.way_out.replace("{limit}", str(limit))
        raise InputError(
            f"{spelled('limit', limit)} needs to know how many images there are, and {source.name} does not say: "
            f"{way_out}"
        )
    seed_number(seed)


def choose(source: Source, limit: int | None = None, seed: int = 0) -> Indices | None:
    """Return the indices of the images that `limit` and `seed` choose; None for a source of unknown size.

    Parameters
    ----------
    source : Source
    limit : int, optional
        Number of images to choose: those at ``sorted(np.random.RandomState(seed).permutation(size)[:limit])``, in their
        original order. NumPy guarantees the stream of `RandomState`, so a seed always chooses the same subset.
    seed : int, default 0
        Seed of the subset, 0 to 2**32 - 1.

    Raises
    ------
    InputError
        If `limit` is below 2, the seed is out of range, or the size is unknown and there is a limit.
    """
    check_limit(source, limit, seed)
    if source.size is None:
        return None
    if limit is None or limit >= source.size:
        return range(source.size)
    return np.sort(np.random.RandomState(seed).permutation(source.size)[:limit])


def expected(source: Source, limit: int | None = None) -> int | None:
    """Return how many images will be read; None if it is unknown until they are read."""
    return source.size if limit is None or source.size is None else min(limit, source.size)


def pieces(source: Source, limit: int | None = None, seed: int = 0, *, size: int = PIECE) -> Iterator[Piece]:
    """Cut the chosen images into pieces of at most `size` images, between two shards if possible.

    Small shards share a piece, because every piece ends with a padded batch and adds a state to merge.

    A source of unknown size gives an endless number of pieces; `read_pieces` stops when the images end.

    Parameters
    ----------
    source, limit, seed
        As for `choose`.
    size : int
        Largest number of images in a piece.

    Raises
    ------
    InputError
        As for `choose`; raised by the call itself, before the first piece.
    """
    size = whole_number("size", size, 1)
    chosen = choose(source, limit, seed)
    if chosen is None:
        return (Piece(source, k, range(k * size, (k + 1) * size), None) for k in count())
    of = len(chosen)
    return (Piece(source, k, indices, of) for k, indices in enumerate(_cut(chosen, source.starts, size)))


def read_pieces(pieces: Iterable[Piece]) -> Iterator[tuple[Piece, Iterator[Item]]]:
    """Yield each piece with its images, from one call of the source's `read` for all pieces.

    So a source that can only be read in order is read once, and a reader that works ahead does not stop between pieces.

    Parameters
    ----------
    pieces : iterable of Piece
        Of one source, in order.

    Yields
    ------
    piece : Piece
    items : iterator of Item
        Use it before asking for the next piece, which skips the rest. It yields fewer items than the piece has indices
        only at the end of the source.

    Raises
    ------
    InputError
        If `read` yields something other than one `Item` for each index. Exceptions of the source itself are passed on.
    """
    to_come, to_read = tee(pieces)
    first = next(to_read, None)
    if first is None:
        return
    stream = read_checked(first.source, chain.from_iterable(map(_numbers, chain([first], to_read))))
    for piece in to_come:
        item = next(stream, None)
        if item is None:
            return
        part = _part(item, stream, len(piece.indices))
        yield piece, part
        for _ in part:
            pass
    for _ in stream:  # runs it to its end, where it raises if there are more images than indices
        pass


def read_batches(pieces: Iterable[Piece], rows: int) -> Iterator[tuple[Piece, list[Item]]]:
    """Yield the images of each piece in batches of `rows`; the last batch of a piece may have fewer.

    The images of a batch depend on the piece only, so they are the same in every process.
    """
    for piece, items in read_pieces(pieces):
        while batch := list(islice(items, rows)):
            yield piece, batch


def read_checked(source: Source, indices: Iterable[int]) -> Iterator[Item]:
    """Call `read` and check that it keeps its contract.

    Raises
    ------
    InputError
        If it yields something other than one `Item` for each index.
    """
    asked = given = 0

    def counted() -> Iterator[int]:
        nonlocal asked
        for index in indices:
            asked += 1
            yield index

    to_read = counted()
    found: Any = source.read(to_read)
    if not isinstance(found, Iterable):
        raise InputError(f"{source.name}: read must yield Items, but returns {type_of(found)}")
    for item in found:
        given += 1
        if not isinstance(item, Item):
            raise InputError(f"{source.name}: read must yield Items, but yields {type_of(item)}")
        if given > asked:
            raise InputError(f"{source.name}: read yields more images than indices; it must yield one for each")
        yield item
    # The length of an iterable that cannot be indexed may be an estimate.
    if source.exact and (given < asked or next(to_read, None) is not None):
        raise InputError(f"{source.name}: read ends after {given} images, although there are more indices")


def read_items(source: Source, limit: int | None = None, seed: int = 0) -> Iterator[Item]:
    """Yield the chosen images one by one, in order; parameters and errors as for `choose`."""
    return chain.from_iterable(part for _, part in read_pieces(pieces(source, limit, seed)))


def _cut(chosen: Indices, starts: tuple[int, ...], size: int) -> Iterator[Indices]:
    """Put whole shards together into a piece as long as they fit, and cut shards that are larger than a piece."""
    begin = 0
    for first, end in pairwise(sorted({bisect_left(chosen, start) for start in starts} | {0, len(chosen)})):
        if begin < first and end - begin > size:
            yield chosen[begin:first]
            begin = first
        while end - begin > size:
            yield chosen[begin : begin + size]
            begin += size
    if begin < len(chosen):
        yield chosen[begin:]


def _part(first: Item, stream: Iterator[Item], length: int) -> Iterator[Item]:
    yield first
    for _, item in zip(range(1, length), stream, strict=False):
        yield item


def _numbers(piece: Piece) -> Iterable[int]:
    return piece.indices if isinstance(piece.indices, range) else piece.indices.tolist()
