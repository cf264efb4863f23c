"""`gate`: whether a comparison passes: its numbers against bounds, with their noise if that is known."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite, isnan
from statistics import NormalDist
from typing import Any

from .against import Against
from .checks import real_number, shown
from .comparison import Comparison
from .conditions import Condition, condition_of_delta, conditions_of_bounds, own_numbers
from .errors import InputError
from .flat import OF_CERTAINTY, numbers_of
from .metrics.base import Score
from .numbers_shown import decimals

PASSED, FAILED, UNSURE = "passed", "failed", "inconclusive"


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
        verdicts = {check.verdict for check in self.checks}
        return next(verdict for verdict in (FAILED, UNSURE, PASSED) if verdict in verdicts)

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


def gate(comparison: Comparison, fail_if: str | Sequence[str] = (), *, max_delta: float | None = None) -> Gate:
    """Decide whether a comparison passes.

    Parameters
    ----------
    comparison : Comparison
    fail_if : str or sequence of str
        Conditions under which it fails: ``"fid > 12.5"``, ``"kid >= 0.01"``, ``"prdc.recall < 0.5"`` or
        ``"fid outside 23.0:23.9"``. A bound itself passes, unless the sign is ``>=`` or ``<=``. After a dot comes a
        part of a score, or a number of its certainty, such as "corrected".
    max_delta : float, optional
        It also fails if the FID without bias is more than this above that of the `baseline` of the comparison.

    Returns
    -------
    Gate

    Raises
    ------
    InputError
        If a condition cannot be read, or names a number that the comparison does not have.

    Notes
    -----
    Without ``certainty=True``, numbers are compared as they are. With it, a score is compared with its 95 % limits,
    ``value ± 1.96 standard errors``; ``"fid.corrected"``, the value without its bias, and a score without bias, as the
    KID is, with the limits of the certainty. If they lie on both sides of a bound, the verdict is "inconclusive", and
    also if the standard error cannot be computed. Metrics without a formula for their noise, such as precision, are
    compared as they are. The difference to a baseline always has its limits. What is not a number fails. Bounds that a
    protocol states are conditions, too.

    Examples
    --------
    >>> import numpy as np
    >>> import fastfid
    >>> generated, real = np.random.RandomState(0).randn(2, 500, 8)
    >>> result = fastfid.compare(generated, real, features=True, metrics=["fid", "kid"])
    >>> fastfid.gate(result, ["fid > 0.2", "kid > 0.01"]).verdict
    'passed'
    """
    texts = [fail_if] if isinstance(fail_if, str) else list(fail_if)
    if comparison.protocol:
        texts = conditions_of_bounds(comparison.protocol.bounds) + texts
    checks = [_checked(Condition.of(text), comparison.scores, comparison.sure) for text in texts]
    if max_delta is not None:
        checks.append(_against(comparison.baseline, max_delta_number(max_delta)))
    if not checks:
        raise InputError("a gate needs a condition: fail_if='fid > 12.5', or max_delta beside a baseline")
    return Gate(tuple(checks))


def max_delta_number(value: Any) -> float:
    """Return a finite number as a float, or raise `InputError`."""
    number = real_number(value)
    if not isfinite(number):
        raise InputError(f"max_delta must be a finite number, got {shown(value)}")
    return number


def _checked(condition: Condition, scores: Mapping[str, Score], known: bool) -> Check:
    metric, part = condition.split(list(scores))
    score, sure = scores[metric], scores[metric].certainty
    if not known and part not in OF_CERTAINTY:  # computed for a report only
        sure = None
    condition.check(list(scores), certainty=sure is not None)
    numbers = numbers_of(score)
    if part and sure is not None and sure.standard_error is None and part in OF_CERTAINTY and part not in numbers:
        return _unknown(condition, float("nan"), sure.reason)
    if part and part not in numbers:
        raise InputError(f"{condition.text!r}: {own_numbers(metric, list(numbers))}")
    value = numbers[part] if part else float(score.value)
    if isnan(value) or sure is None or part not in ("", "corrected"):
        return _judged(condition, value)
    if sure.standard_error is None:
        return _unknown(condition, value, sure.reason)
    half = NormalDist().inv_cdf((1 + sure.level) / 2) * sure.standard_error
    corrected = bool(part) or not sure.bias  # then it is what the limits of the certainty are about
    limits = (numbers["low"], numbers["high"]) if corrected else (value - half, value + half)
    return _judged(condition, value, sure.standard_error, limits, sure.level)


def _judged(
    condition: Condition,
    value: float,
    error: float | None = None,
    limits: tuple[float, float] | None = None,
    level: float = 0.0,
    what: str = "",
) -> Check:
    low, high = limits or (value, value)
    sides = {condition.side(low), condition.side(high)}
    verdict = FAILED if isnan(value) else UNSURE if len(sides) > 1 else FAILED if sides != {0} else PASSED
    if error is None:
        noise = ""
        shown_value = repr(value)
    else:
        digits = decimals(error)
        noise = f" ± {error:.{digits}f} (standard error), {level:.0%} limits {low:.{digits}f} to {high:.{digits}f}"
        noise += ", on both sides of the bound" if verdict == UNSURE else ""
        shown_value = f"{value:.{digits}f}"
    sentence = f"{verdict}: {what or condition.name} {shown_value}{noise}; fails if {condition.text}"
    return Check(condition.text, verdict, sentence, value, error, *(limits or (None, None)))


def _unknown(condition: Condition, value: float, reason: str, what: str = "") -> Check:
    number = "" if isnan(value) else f" {value!r}"
    sentence = (
        f"{UNSURE}: {what or condition.name}{number}, whose standard error is not known, because {reason}; fails if "
        f"{condition.text}"
    )
    return Check(condition.text, UNSURE, sentence, value)


def _against(other: Against | None, most: float) -> Check:
    if other is None:
        raise InputError("max_delta needs a baseline: compare(..., baseline=OTHER), or --baseline")
    condition = Condition(condition_of_delta(most), "", None, most)
    what = f"fid without bias, minus that of {other.name}:"
    if other.difference is None or other.standard_error is None or other.low is None or other.high is None:
        return _unknown(condition, float("nan"), other.reason, what)
    return _judged(condition, other.difference, other.standard_error, (other.low, other.high), other.level, what)
