"""Scores of each class: the fits of the classes are kept on disk while the images are read."""

import pickle
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import reduce
from itertools import groupby
from math import isnan

from .errors import InputError
from .files.reading import failures
from .fit import Fit, Side
from .messages import Messages
from .metrics.base import Metric, Score
from .metrics.registry import score_of
from .sources import Piece
from .sources.classes import classes_of
from .sources.pieces import Indices

_MOST_NAMED = 5


class Shelf:
    """The fits of the classes of one side, pickled in a temporary file without a name.

    Parameters
    ----------
    classes : mapping of str to indices
        The images of each class, as `classes_of` returns them.

    Attributes
    ----------
    first : dict of str to int
        For each class, the row in the whole set that is its first.
    """

    def __init__(self, classes: Mapping[str, Indices]) -> None:
        self.classes = classes
        with _keeping("the classes"):
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the shelf
        self._places: dict[str, tuple[int, int]] = {}
        self.first: dict[str, int] = {}
        self._rows = 0

    def __getitem__(self, name: str) -> Fit:
        start, size = self._places[name]
        self._file.seek(start)
        fit: Fit = pickle.loads(self._file.read(size))  # our own bytes: the file has no name
        return fit

    def put(self, name: str, fit: Fit) -> None:
        """Keep the fit of a class."""
        with _keeping(f"the class {name}"):
            data, start = pickle.dumps(fit), self._file.seek(0, 2)
            self._file.write(data)
            self._file.flush()
        self._places[name], self.first[name] = (start, len(data)), self._rows
        self._rows += fit.n or 0

    def close(self) -> None:
        """Remove the file."""
        self._file.close()

    def keep(self, fits: Iterable[tuple[Piece, Fit]]) -> Iterator[tuple[Piece, Fit]]:
        """Merge the pieces of each class, keep the result, and pass it on."""
        for name, pairs in groupby(fits, key=lambda pair: pair[0].label):
            piece, fit = reduce(lambda one, other: (one[0], one[1].merge(other[1])), pairs)
            self.put(name, fit)
            yield piece, fit


def _keeping(what: str) -> AbstractContextManager[None]:
    return failures(f"cannot keep {what} in a temporary file", advice="; TMPDIR names the folder")


def check_classes(
    sides: Sequence[Side], metrics: Sequence[Metric], messages: Messages
) -> tuple[tuple[str, ...], list[dict[str, Indices]]]:
    """Return the classes that all sides have, and the images of each class of each side; warn of the other classes.

    Raises
    ------
    InputError
        If a side has no images, no classes, or too few images of a class for a metric; or no class is on both sides.
    """
    images = []
    for side in sides:
        if side.source is None:
            raise InputError(f"{side.name} holds statistics, which have no classes: give a folder of images")
        images.append(classes_of(side.source, *side.selection))
    found = [{name: len(indices) for name, indices in classes.items()} for classes in images]
    common = tuple(name for name in found[0] if all(name in counts for counts in found))
    if not common:
        of_sides = (f"{side.name} ({_some(counts)})" for side, counts in zip(sides, found, strict=True))
        raise InputError(f"no class is in both {' and '.join(of_sides)}")
    for side, counts in zip(sides, found, strict=True):
        if alone := [name for name in counts if name not in common]:
            messages.warn(f"classes: only {side.name} has {_some(alone)}; these count in the whole set only")
        if small := [name for name in common if counts[name] < 2]:
            raise InputError(f"{side.name}: the class {small[0]} has 1 image; a covariance needs at least 2")
    for name in common:
        with _of_class(name):
            for metric in metrics:
                metric.check(*(counts[name] for counts in found[: metric.sides]))
    return common, images


def scores_of_classes(
    classes: Iterable[str],
    sides: Sequence[Side],
    metrics: Sequence[Metric],
    name_score: Callable[[Metric, Score, Sequence[int]], Score],
) -> dict[str, dict[str, Score]]:
    """Compute every metric of every class.

    `name_score` finishes a score; it gets the first row of the class in the whole set of each side.
    """
    found: dict[str, dict[str, Score]] = {}
    shelves = [side.shelf for side in sides if side.shelf]
    for name in classes:
        with _of_class(name):
            fits, starts = [shelf[name] for shelf in shelves], [shelf.first[name] for shelf in shelves]
            if few := [side.name for side, fit in zip(sides, fits, strict=True) if (fit.n or 0) < 2]:
                raise InputError(f"{few[0]} has fewer than 2 readable images; a covariance needs at least 2")
            found[name] = {metric.name: name_score(metric, score_of(metric, fits), starts) for metric in metrics}
    return found


@contextmanager
def _of_class(name: str) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise InputError(f"class {name}: {error}") from error


def tell_of_classes(classes: Mapping[str, Mapping[str, Score]], dims: int, messages: Messages) -> None:
    """Warn about classes with fewer images than dims, and say what the scores of the classes say."""
    counts = {name: _fewest(scores.values(), dims) for name, scores in classes.items()}
    small = [name for name in counts if counts[name] < dims]
    if small:
        least = min(small, key=lambda name: counts[name])
        messages.warn(
            f"small-classes: {len(small)} of {len(classes)} classes with fewer images than {dims} dims, the smallest "
            f"{least} with {counts[least]}; the FID of a class is biased upwards, the more so the fewer its images"
        )
    told = [(name, text) for name, scores in classes.items() for score in scores.values() for text in score.warnings]
    if told:
        name, text = told[0]
        more = f"; {len(told) - 1} more warnings are in the scores of the classes" if len(told) > 1 else ""
        messages.warn(f"class {name}: {text}{more}")
    undefined = [
        f"{metric} of {name}" for name, each in classes.items() for metric in each if isnan(each[metric].value)
    ]
    if undefined:
        messages.warn(f"not a number (NaN): {_some(undefined)}")


def _fewest(scores: Iterable[Score], otherwise: int) -> int:
    return min((n for score in scores for n in score.n if n is not None), default=otherwise)


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"{', '.join(names[:_MOST_NAMED])}{more}"
