"""Scores of each class: the fits of the classes are kept on disk while the images are read."""

import pickle
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import groupby

from .errors import InputError
from .files.reading import failures
from .fit import Fit, Side
from .messages import Messages
from .metrics.base import Metric, Score
from .metrics.registry import score_of
from .sources import Piece
from .sources.classes import classes_of

_MOST_NAMED = 5


class Shelf:
    """The fits of the classes of one side, pickled in a temporary file without a name."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the shelf
        self._places: dict[str, tuple[int, int]] = {}

    def __getitem__(self, name: str) -> Fit:
        start, size = self._places[name]
        self._file.seek(start)
        fit: Fit = pickle.loads(self._file.read(size))  # our own bytes: the file has no name
        return fit

    def put(self, name: str, fit: Fit) -> None:
        """Keep the fit of a class."""
        data, place = pickle.dumps(fit), tempfile.gettempdir()
        with failures(f"cannot keep the class {name} in {place}", advice="; TMPDIR names another folder"):
            start = self._file.seek(0, 2)
            self._file.write(data)
            self._file.flush()
        self._places[name] = (start, len(data))

    def close(self) -> None:
        """Remove the file."""
        self._file.close()

    def keep(self, fits: Iterable[tuple[Piece, Fit]]) -> Iterator[tuple[Piece, Fit]]:
        """Merge the pieces of each class, keep the result, and pass it on."""
        for name, pairs in groupby(fits, key=lambda pair: pair[0].label):
            piece, fit = reduce(lambda one, other: (one[0], one[1].merge(other[1])), pairs)
            self.put(name, fit)
            yield piece, fit


def check_classes(sides: Sequence[Side], limit: int | None, seed: int, messages: Messages) -> tuple[str, ...]:
    """Return the classes that all sides have, and warn of the others.

    Raises
    ------
    InputError
        If a side has no images, no classes, or a class of fewer than two images; or no class is on both sides.
    """
    found = []
    for side in sides:
        if side.source is None:
            raise InputError(f"{side.name} holds statistics, which have no classes: give a folder of images")
        found.append({name: len(indices) for name, indices in classes_of(side.source, limit, seed).items()})
    common = tuple(name for name in found[0] if all(name in counts for counts in found))
    if not common:
        of_sides = (f"{side.name} ({_some(counts)})" for side, counts in zip(sides, found, strict=True))
        raise InputError(f"no class is in both {' and '.join(of_sides)}")
    for side, counts in zip(sides, found, strict=True):
        if alone := [name for name in counts if name not in common]:
            messages.warn(f"classes: only {side.name} has {_some(alone)}; these count in the whole set only")
        if small := [name for name in common if counts[name] < 2]:
            raise InputError(f"{side.name}: the class {small[0]} has 1 image; a covariance needs at least 2")
    return common


def scores_of_classes(
    classes: Iterable[str], shelves: Sequence[Shelf], metrics: Iterable[Metric]
) -> dict[str, dict[str, Score]]:
    """Compute every metric of every class."""
    found: dict[str, dict[str, Score]] = {}
    for name in classes:
        fits = [shelf[name] for shelf in shelves]
        with failures(f"class {name}"):
            found[name] = {metric.name: score_of(metric, fits) for metric in metrics}
    return found


def tell_of_classes(classes: Mapping[str, Mapping[str, Score]], dims: int, messages: Messages) -> None:
    """Warn about classes with fewer images than dims."""
    counts = {name: _fewest(scores.values()) for name, scores in classes.items()}
    small = [name for name in counts if counts[name] < dims]
    if small:
        least = min(small, key=lambda name: counts[name])
        messages.warn(
            f"small-classes: {len(small)} of {len(classes)} classes with fewer images than {dims} dims, the smallest "
            f"{least} with {counts[least]}; the FID of a class is biased upwards, the more so the fewer its images"
        )


def _fewest(scores: Iterable[Score]) -> int:
    return min(n or 0 for score in scores for n in score.n)


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"{', '.join(names[:_MOST_NAMED])}{more}"
