"""Conditions of a gate: when a number fails."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Self

from .arguments import spelled
from .checks import shown
from .errors import UsageError
from .flat import CLASSES, OF_CERTAINTY

_NUMBER = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_SHAPE = re.compile(
    rf"\s*(?P<name>[^\s<>=]+?)\s*(?:(?P<sign>[<>]=?)\s*(?P<bound>{_NUMBER})"
    rf"|\s+outside\s+(?P<low>{_NUMBER})\s*:\s*(?P<high>{_NUMBER}))\s*"
)
_SUCH_AS = "such as 'fid > 12.5', 'prdc.recall < 0.5' or 'fid outside 23.0:23.9'"
_QUOTES = "; a shell needs the quotes, because it takes < and > for itself"
# The numbers among the parts of each built-in metric; which of them there are can depend on its convention.
_DISTANCE = ("mean_term", "trace_term", "error_estimate")
PARTS: dict[str, tuple[str, ...]] = {
    "fid": _DISTANCE,
    "kid": ("standard_error", "subset_std"),
    "prdc": ("precision", "recall", "density", "coverage", "f_score"),
    "sfid": _DISTANCE,
    "is": ("std",),
    "vendi": ("rank",),
    "cmmd": ("unbiased",),
    "mind": ("directions_error",),
    "authpct": (),
}
WITH_CERTAINTY = ("fid", "kid", "sfid", "is")
#: What stands for all classes where the name of one may stand.
WORST, MEAN = "worst", "mean"


@dataclass(frozen=True)
class Condition:
    """When a gate fails: if a number is outside some bounds.

    Attributes
    ----------
    text : str
        The condition as it was given.
    name : str
        The number: a metric (a built-in one in any case), or one of its parts as in "prdc.recall"; of a class it is as
        in "classes/cat/prdc.recall".
    low, high : float or None
        The bounds; None for no bound.
    open : bool
        Whether a number that equals a bound fails.
    classes : str
        The class that it is about, or "worst" or "mean"; "" for the whole sets.
    """

    text: str
    name: str
    low: float | None
    high: float | None
    open: bool = False
    classes: str = ""

    @classmethod
    def of(cls, text: Any) -> Self:
        """Read a condition, or raise `InputError`.

        Examples
        --------
        >>> Condition.of("prdc.recall<0.5").low, Condition.of("fid outside 23:23.9").high
        (0.5, 23.9)
        """
        found = _SHAPE.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            quotes = "" if isinstance(text, str) and re.search("[<>]|outside", text) else _QUOTES
            raise UsageError(f"{shown(text)} is no condition {_SUCH_AS}{quotes}")
        bound, low, high = (None if found[name] is None else float(found[name]) for name in ("bound", "low", "high"))
        if not all(isfinite(number) for number in (bound, low, high) if number is not None):
            raise UsageError(f"{shown(text)}: a bound must be finite")
        if low is not None and high is not None and low > high:
            raise UsageError(f"{shown(text)}: the lower bound comes first, and is not above the upper one")
        sign = found["sign"] or ""
        if sign:
            low, high = (None, bound) if sign.startswith(">") else (bound, None)
        start, _, number = found["name"].rpartition("/")
        of_class = start.startswith(f"{CLASSES}/")
        own = number if of_class else found["name"]
        own = own.lower() if own.partition(".")[0].lower() in PARTS else own
        name, classes = (f"{start}/{own}", start.partition("/")[2]) if of_class else (own, "")
        return cls(text.strip(), name, low, high, sign.endswith("="), classes)

    def side(self, value: float) -> int:
        """Return -1 for a value below the bounds, 1 above, 0 between them."""
        if self.low is not None and (value < self.low or (self.open and value == self.low)):
            return -1
        return int(self.high is not None and (value > self.high or (self.open and value == self.high)))

    def split(self, metrics: Sequence[str]) -> tuple[str, str]:
        """Return the metric and the part that the name means; raise `InputError` if there is no such metric."""
        name = self.name.rpartition("/")[2] if self.classes else self.name
        metric, _, part = (name, "", "") if name in metrics else name.replace("/", ".").partition(".")
        if metric not in metrics:
            more = f"; {spelled('metrics', (*metrics, metric))} computes it" if metric in PARTS else ""
            if metric == CLASSES:
                raise UsageError(f"{shown(self.text)}: the metric is missing, as in classes/cat/fid")
            asked = f"{shown(metric)[1:-1]} is not asked for; the metrics are {', '.join(metrics)}"
            raise UsageError(f"{shown(self.text)}: {asked}{more}")
        return metric, part

    def check(self, metrics: Sequence[str], *, certainty: bool, classes: bool) -> None:
        """Raise `InputError` if it is known, before anything is computed, that there will be no such number."""
        metric, part = self.split(metrics)
        if self.classes and not classes:
            raise UsageError(f"{shown(self.text)}: scores of classes need {spelled('per_class', True)}")
        known = PARTS.get(metric)
        if known is None or not part:
            return
        if part in OF_CERTAINTY and part not in known:
            if metric not in WITH_CERTAINTY:
                raise UsageError(
                    f"{shown(self.text)}: the noise of {metric} is not known; {own_numbers(metric, known)}"
                )
            if not certainty:
                raise UsageError(f"{shown(self.text)}: {part} needs {spelled('certainty', True)}")
        elif part not in known:
            raise UsageError(f"{shown(self.text)}: {metric} has no {part}; {own_numbers(metric, known)}")


def conditions_of_bounds(bounds: Mapping[str, tuple[float, float]]) -> list[str]:
    """Return the texts of the conditions that a protocol states.

    Examples
    --------
    >>> conditions_of_bounds({"fid": (23.0, 23.9)})
    ['fid outside 23.0:23.9']
    """
    return [f"{metric} outside {low!r}:{high!r}" for metric, (low, high) in bounds.items()]


def condition_of_delta(most: float) -> str:
    """Return the text of the condition about the baseline."""
    return f"fid more than {most:g} above the baseline"


def condition_of_warnings() -> str:
    """Return the text of the condition about warnings."""
    return "there is a warning"


def own_numbers(metric: str, known: Sequence[str]) -> str:
    """Say which numbers a metric has besides its value."""
    return f"its numbers are {', '.join(known)}" if known else f"{metric} has no numbers besides its value"
