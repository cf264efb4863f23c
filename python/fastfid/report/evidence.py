"""What a report shows beyond the numbers of a comparison: gathered once, after the scores, and bounded in size."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..fit import Fit, Side
from ..metrics.base import Score
from ..metrics.certainty import Certainty
from ..metrics.feature_blocks import Given
from ..metrics.rows import ROWS, Rows
from ..row_names import namer, placer
from .chance import Chance, chance
from .closest import Closest, closest
from .directions import Direction, Shown, directions
from .spectra import Spectrum, spectra
from .subsets import Subset, subsets
from .thumbnails import Picture, pictures, reason_for_none

_INFLUENTIAL = 6  # images of each side
_ROUNDING = 1e-9  # of the variances; a smaller influence is rounding
_OF_FID = ("directions", "chance", "spectra", "subsets", "influential")


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a report shows beyond the scores.

    Attributes
    ----------
    shares : tuple of float
        The share of the FID along the leading directions of the difference, the largest first.
    directions : tuple of Direction
        The first few of them, with the images at both ends.
    chance : Chance or None
        What the directions of chance would hold.
    spectra : tuple of Spectrum
        How much the images of each side vary.
    subsets : tuple of Subset
        The FID of growing random subsets; the last is that of all images.
    influential : tuple of tuple of Shown
        The images with the largest influence on the FID, of each side.
    closest : dict of str to Closest
        The closest pairs: of the two sides ("ab") and within each ("aa", "bb").
    copies : dict of str to int
        Exact copies by the bytes of their files: within each side ("a", "b") and in both ("ab").
    pictures : tuple of dict of int to Picture
        The images that the parts above name, of each side, by their rows.
    without : tuple of str
        Why a side has no thumbnails; "" if it has.
    absent : dict of str to str
        Why a part is not there, by its name.
    """

    shares: tuple[float, ...] = ()
    directions: tuple[Direction, ...] = ()
    chance: Chance | None = None
    spectra: tuple[Spectrum, ...] = ()
    subsets: tuple[Subset, ...] = ()
    influential: tuple[tuple[Shown, ...], ...] = ()
    closest: Mapping[str, Closest] = field(default_factory=dict)
    copies: Mapping[str, int] = field(default_factory=dict)
    pictures: tuple[Mapping[int, Picture], ...] = ()
    without: tuple[str, ...] = ()
    absent: Mapping[str, str] = field(default_factory=dict)


def gather(
    sides: Sequence[Side],
    scores: Mapping[str, Score],
    *,
    thumbnails: bool,
) -> Evidence:
    """Gather what a report shows of sides that have been read; the shown images are read again for their thumbnails."""
    parts: dict[str, Any] = {}
    absent = {} if "fid" in scores else dict.fromkeys(_OF_FID, "the FID was not asked for")
    fits = [cast(Fit, side.fit) for side in sides]
    for name, part in _parts(fits, scores):
        try:
            parts[name] = part()
        except (InputError, np.linalg.LinAlgError) as error:  # the scores are there; the report says what is not
            absent[name] = str(error)
    shares, found = parts.pop("directions", ((), ()))
    evidence = Evidence(shares=shares, directions=found, **parts, copies=_copies(sides), absent=absent)
    without = tuple(reason_for_none(side, thumbnails=thumbnails) for side in sides)
    shown = (
        pictures(side, _rows_shown(evidence, i), namer(side), None if without[i] else placer(side))
        for i, side in enumerate(sides)
    )
    return replace(evidence, pictures=tuple(shown), without=without)


def _parts(fits: Sequence[Fit], scores: Mapping[str, Score]) -> Iterator[tuple[str, Callable[[], Any]]]:
    if "fid" in scores:
        given = [Given.of(fit, name) for fit, name in zip(fits, ("the first side", "the second side"), strict=True)]
        yield "directions", lambda: directions(given)
        yield "chance", lambda: chance(given[0], given[1], scores["fid"].value)
        yield "spectra", lambda: spectra(given)
        yield "subsets", lambda: subsets(given[0], given[1], scores["fid"].value)
        yield "influential", lambda: _influential(scores["fid"].certainty, given)
    yield "closest", lambda: closest([_rows(fit) for fit in fits])


def _rows(fit: Fit) -> Any:
    rows = fit.get(ROWS)
    return None if rows is None else cast(Rows, rows).matrix


def _influential(sure: Certainty | None, given: Sequence[Given]) -> tuple[tuple[Shown, ...], ...]:
    if sure is None or sure.standard_error is None:
        raise InputError(sure.reason if sure else "the certainty was not asked for")
    influences = (sure.influence_x, sure.influence_y)
    largest = max(float(np.abs(values).max()) for values in influences if values is not None)
    if not largest > _ROUNDING * sum(side.gaussian.trace() for side in given):
        raise InputError("no image has an influence, apart from rounding")
    return tuple(_largest(values) for values in influences)


def _largest(values: NDArray[np.float64] | None) -> tuple[Shown, ...]:
    if values is None:
        return ()
    order = np.argsort(-values, kind="stable")[:_INFLUENTIAL]
    return tuple(Shown(int(row), float(values[row])) for row in order)


def _copies(sides: Sequence[Side]) -> dict[str, int]:
    seen = {name: side.seen for name, side in zip("ab", sides, strict=False) if side.seen and side.seen.sizes}
    found = {name: tally.repeated for name, tally in seen.items()}
    return found | ({"ab": len(seen["a"].digests & seen["b"].digests)} if len(seen) == 2 else {})


def _rows_shown(evidence: Evidence, side: int) -> set[int]:
    """Return the rows of a side that any part of the report shows."""
    ends = [end for direction in evidence.directions for end in (direction.left, direction.right)]
    lists = [end.outermost[side] for end in ends]
    lists += evidence.influential[side : side + 1]
    rows = {shown.row for each in lists for shown in each}
    for name, found in evidence.closest.items():
        for pair in found.pairs:
            rows |= {row for row, letter in zip(pair.rows, name, strict=True) if letter == "ab"[side]}
    return rows
