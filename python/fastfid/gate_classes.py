"""Conditions about classes: one of them, the worst, or the mean."""

from collections.abc import Mapping
from math import inf, isnan, nan
from statistics import fmean

from .checks import shown
from .conditions import MEAN, WORST, Condition, own_numbers
from .errors import UsageError
from .flat import numbers_of, plain_word
from .metrics.base import Score
from .verdicts import Check, Noisy, judged, worst_first

_MOST_NAMED = 5


def check_of_class(
    condition: Condition, classes: Mapping[str, Mapping[str, Score]], metric: str, part: str, *, known: bool
) -> Check:
    """Check a condition; without `known`, the noise of the scores counts for nothing."""
    wanted = condition.classes
    numbers = {name: _number(condition, scores[metric], metric, part, known) for name, scores in classes.items()}
    if wanted in (WORST, MEAN):
        if wanted in classes:
            raise UsageError(f"{shown(condition.text)}: a class is called {wanted}: give its folder another name")
        return _of_worst(condition, numbers) if wanted == WORST else _of_mean(condition, numbers)
    found = [name for name in classes if wanted in (name, plain_word(name))]
    if len(found) != 1:
        what = "means several classes" if found else "there is no such class"
        raise UsageError(f"{shown(condition.text)}: {what}; {_some(found or list(classes))}")
    return judged(condition, numbers[found[0]])


def _number(condition: Condition, score: Score, metric: str, part: str, known: bool) -> Noisy:
    number = Noisy.of(score, part, score.certainty if known else None)
    if number is None:
        raise UsageError(f"{shown(condition.text)}: {own_numbers(metric, list(numbers_of(score)))}")
    return number


def _of_worst(condition: Condition, numbers: Mapping[str, Noisy]) -> Check:
    """Check every class, and return the worst check: of the same verdicts that of the number farthest out."""
    each = {name: judged(condition, number, f"{condition.name} ({name})") for name, number in numbers.items()}
    return min(each.values(), key=lambda check: (worst_first(check), -_excess(condition, check.value)))


def _excess(condition: Condition, value: float) -> float:
    """Return how far a value is outside the bounds, below 0 inside."""
    below = -inf if condition.low is None else condition.low - value
    above = -inf if condition.high is None else value - condition.high
    return inf if isnan(value) else max(below, above)


def _of_mean(condition: Condition, numbers: Mapping[str, Noisy]) -> Check:
    """Check the mean. The images of the classes are independent, and so are the errors."""
    values, count = [number.value for number in numbers.values()], len(numbers)
    mean = nan if any(map(isnan, values)) else fmean(values)
    if unknown := [f"of class {name}, {number.reason}" for name, number in numbers.items() if number.reason]:
        return judged(condition, Noisy(mean, reason=unknown[0]))
    errors = [number.error for number in numbers.values() if number.error is not None]
    if len(errors) < count:
        return judged(condition, Noisy(mean))
    level = next(iter(numbers.values())).level
    return judged(condition, Noisy.around(mean, sum(error**2 for error in errors) ** 0.5 / count, level))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"the classes are {', '.join(names[:_MOST_NAMED])}{more}"
