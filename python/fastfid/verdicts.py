"""Verdicts of a gate: what became of a condition, given a number and what is known of its noise."""

from dataclasses import asdict, dataclass, replace
from math import isnan
from statistics import NormalDist
from typing import Any

from .conditions import Condition
from .flat import OF_CERTAINTY, numbers_of
from .metrics.base import Score
from .metrics.certainty import Certainty
from .numbers_shown import decimals

PASSED, FAILED, UNSURE = "passed", "failed", "inconclusive"
_WORST_FIRST = (FAILED, UNSURE, PASSED)
_MOST_REASON = 300  # characters


@dataclass(frozen=True)
class Check:
    """A condition, and what became of it.

    Attributes
    ----------
    condition : str
    verdict : {"passed", "failed", "inconclusive"}
    sentence : str
        Value, noise and condition.
    value : float
        What was compared.
    standard_error, low, high : float or None
        Its standard error and limits; None if it was compared as it is.
    """

    condition: str
    verdict: str
    sentence: str
    value: float
    standard_error: float | None = None
    low: float | None = None
    high: float | None = None

    def voided(self, reason: str) -> "Check":
        """Return a check that does not pass, because of the reason why its number decides nothing."""
        if self.verdict != PASSED:
            return self
        told = reason if len(reason) <= _MOST_REASON else f"{reason[:_MOST_REASON]}…"
        sentence = f"{UNSURE}{self.sentence.removeprefix(PASSED)}; the number decides nothing, because of {told}"
        return replace(self, verdict=UNSURE, sentence=sentence)


@dataclass(frozen=True)
class Gate:
    """The verdict about a comparison.

    Attributes
    ----------
    checks : tuple of Check
        One for each condition.
    """

    checks: tuple[Check, ...]

    @property
    def verdict(self) -> str:
        """The worst verdict of its conditions: "failed", "inconclusive" or "passed"."""
        return min((check.verdict for check in self.checks), key=_WORST_FIRST.index)

    @property
    def passed(self) -> bool:
        """Whether every condition passed."""
        return self.verdict == PASSED

    def __bool__(self) -> bool:
        """Return `passed`, so that ``assert gate(...)`` means what it says."""
        return self.passed

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict as plain data for JSON, NaN as None."""
        checks = [asdict(check) for check in self.checks]
        for check in checks:
            check["value"] = None if isnan(check["value"]) else check["value"]
        return {"verdict": self.verdict, "checks": checks}


@dataclass(frozen=True)
class Noisy:
    """A number, and what is known of its noise.

    Attributes
    ----------
    value : float
        NaN if it is not known.
    error : float or None
        Its standard error; None if it is compared as it is.
    low, high : float
        Its limits, of the level `level`.
    reason : str
        Why the standard error is not known although it was asked for.
    """

    value: float
    error: float | None = None
    low: float = 0.0
    high: float = 0.0
    level: float = 0.0
    reason: str = ""

    @classmethod
    def around(cls, value: float, error: float, level: float) -> "Noisy":
        """Return a number with limits at the same distance on both sides."""
        half = NormalDist().inv_cdf((1 + level) / 2) * error
        return cls(value, error, value - half, value + half, level)

    @classmethod
    def of(cls, score: Score, part: str, sure: Certainty | None) -> "Noisy | None":
        """Return a number of a score, None if it does not have it; without `sure`, numbers are compared as they are."""
        numbers = numbers_of(score)
        if part and sure is not None and sure.standard_error is None and part in OF_CERTAINTY and part not in numbers:
            return cls(float("nan"), reason=sure.reason)
        if part and part not in numbers:
            return None
        value = numbers[part] if part else float(score.value)
        if isnan(value) or sure is None or part not in ("", "corrected"):
            return cls(value)
        if sure.standard_error is None:
            return cls(value, reason=sure.reason)
        if part or not sure.bias:  # then it is what the limits of the certainty are about
            return cls(value, sure.standard_error, numbers["low"], numbers["high"], sure.level)
        return cls.around(value, sure.standard_error, sure.level)


def judged(condition: Condition, number: Noisy, what: str = "") -> Check:
    """Compare a number with the bounds of a condition; `what` names it if it is not what the condition says."""
    name, value = what or condition.name, number.value
    if number.reason:
        shown = "" if isnan(value) else f" {value!r}"
        text = f"{UNSURE}: {name}{shown}, whose standard error is not known, because {number.reason}"
        return Check(condition.text, UNSURE, f"{text}; fails if {condition.text}", value)
    limits = (value, value) if number.error is None else (number.low, number.high)
    sides = {condition.side(limit) for limit in limits}
    verdict = FAILED if isnan(value) else UNSURE if len(sides) > 1 else FAILED if sides != {0} else PASSED
    sentence = f"{verdict}: {name} {_shown(number)}"
    sentence += ", on both sides of the bound" if verdict == UNSURE else ""
    facts = () if number.error is None else (number.error, *limits)
    return Check(condition.text, verdict, f"{sentence}; fails if {condition.text}", value, *facts)


def worst_first(check: Check) -> int:
    """Return the place of a check among others, the worst verdict first."""
    return _WORST_FIRST.index(check.verdict)


def _shown(number: Noisy) -> str:
    if number.error is None:
        return repr(number.value)
    digits = decimals(number.error)
    noise = f"± {number.error:.{digits}f} (standard error)"
    limits = f"{100 * number.level:g}% limits {number.low:.{digits}f} to {number.high:.{digits}f}"
    return f"{number.value:.{digits}f} {noise}, {limits}"
