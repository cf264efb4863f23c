"""Names of the images behind the rows of a side that has been read."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial

import numpy as np

from .fit import Side
from .metrics.authpct import AuthPct
from .metrics.base import Metric, Score
from .sources.pieces import Indices, choose

Namer = Callable[[int], str]  # names the image of a row


def placer(side: Side) -> Callable[[int], int] | None:
    """Return a function that gives the index in the source of the image of a row; None for a side without images."""
    source, seen = side.source, side.seen
    if source is None or seen is None:
        return None
    classes = side.shelf.classes if side.shelf else None

    @cache
    def order() -> Indices | None:  # only for those who ask for a place
        return np.concatenate(list(classes.values())) if classes else choose(source, *side.selection)

    def place(row: int) -> int:
        among, chosen = seen.place_of(row), order()
        return among if chosen is None else int(chosen[among])

    return place


def namer(side: Side) -> Namer:
    """Return a function that names the image of a row of a side that has been read."""
    source, place = side.source, placer(side)
    if source is None or place is None:
        return lambda row: f"row {row} of {side.name}"
    return lambda row: source.name_of(place(row))


def named(metric: Metric, score: Score, namers: Sequence[Namer]) -> Score:
    """Replace the rows in the pairs that a score lists, if it lists some, by the names of their images."""
    return _with_names(score, namers) if isinstance(metric, AuthPct) else score


def named_in_class(namers: Sequence[Namer], metric: Metric, score: Score, starts: Sequence[int]) -> Score:
    """Name the images of a score of a class, whose rows count from `starts` on in the whole sets."""
    return named(metric, score, [partial(_from, name, start) for name, start in zip(namers, starts, strict=True)])


def _from(name: Namer, start: int, row: int) -> str:
    return name(start + row)


def _with_names(score: Score, namers: Sequence[Namer]) -> Score:
    """Replace the rows in the pairs that a score lists by the names of their images."""
    named = tuple(
        (*(name(row) for name, row in zip(namers, rows, strict=True)), distance)
        for *rows, distance in score.parts["copies"]
    )
    return replace(score, parts={**score.parts, "copies": named})
