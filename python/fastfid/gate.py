"""`gate`: whether a comparison passes: its numbers against bounds, with their noise if that is known."""

from collections.abc import Collection, Sequence
from math import isfinite
from typing import Any

from .against import Against
from .checks import counted, one_of, real_number, shown, truth
from .comparison import Comparison
from .conditions import Condition, condition_of_delta, condition_of_warnings, conditions_of_bounds, own_numbers
from .errors import InputError, UsageError
from .flat import OF_CERTAINTY, numbers_of
from .gate_classes import check_of_class
from .messages import CODES, OTHER, code_of
from .verdicts import FAILED, PASSED, Check, Gate, Noisy, judged

#: Warnings of which each makes the numbers of a comparison void: no condition passes.
VOID = ("same-images", "too-alike", "many-left-out", "forced")
#: Those that do so for the bounds that a protocol states, which are about its own images and number of images.
VOID_FOR_PROTOCOL = ("protocol-n", "protocol-size", "protocol-reference")


def gate(
    comparison: Comparison,
    fail_if: str | Sequence[str] = (),
    *,
    max_delta: float | None = None,
    fail_on_warning: bool = False,
    silence: Collection[str] = (),
) -> Gate:
    """Decide whether a comparison passes.

    Parameters
    ----------
    comparison : Comparison
    fail_if : str or sequence of str
        Conditions under which it fails: ``"fid > 12.5"``, ``"kid >= 0.01"``, ``"prdc.recall < 0.5"`` or
        ``"fid outside 23.0:23.9"``. A bound itself passes, unless the sign is ``>=`` or ``<=``. After a dot comes a
        part of a score, or a number of its certainty, such as "corrected". With ``per_class``,
        ``"classes/cat/fid > 30"`` is about one class, ``"classes/worst/fid > 30"`` fails if it holds for any class,
        and ``"classes/mean/fid > 30"`` is about the mean of all.
    max_delta : float, optional
        It also fails if the FID without bias is more than this above that of the `baseline` of the comparison.
    fail_on_warning : bool
        It also fails if there is a warning.
    silence : collection of str
        Kinds of warnings that count for nothing, such as "duplicates"; "other" for those without a kind.

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

    Some warnings say that a number means nothing: "same-images", "too-alike", "many-left-out" and "forced"; for the
    bounds of a protocol also "protocol-n", "protocol-size" and "protocol-reference". What would pass is then
    "inconclusive".

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
    if isinstance(silence, str):
        silence = (silence,)
    for code in silence:
        one_of("silence", code, (*CODES, OTHER))
    heard = [text for text in comparison.warnings if code_of(text) not in silence]
    bounds = conditions_of_bounds(comparison.protocol.bounds) if comparison.protocol else []
    checks = _void([_checked(text, comparison) for text in bounds], heard, VOID_FOR_PROTOCOL)
    checks += [_checked(text, comparison) for text in texts]
    if max_delta is not None:
        checks.append(_against(comparison.baseline, max_delta_number(max_delta)))
    checks = _void(checks, heard, VOID)
    if truth("fail_on_warning", fail_on_warning):
        checks.append(_of_warnings(heard))
    if not checks:
        raise UsageError("a gate needs a condition: fail_if='fid > 12.5', or max_delta beside a baseline")
    return Gate(tuple(checks))


def max_delta_number(value: Any) -> float:
    """Return a finite number as a float, or raise `InputError`."""
    number = real_number(value)
    if not isfinite(number):
        raise InputError(f"max_delta must be a finite number, got {shown(value)}")
    return number


def _checked(text: str, comparison: Comparison) -> Check:
    condition = Condition.of(text)
    metric, part = condition.split(list(comparison.scores))
    score = comparison.scores[metric]
    known = comparison.sure or part in OF_CERTAINTY  # a report computes the certainty in any case
    sure = score.certainty if known else None
    condition.check(list(comparison.scores), certainty=sure is not None, classes=bool(comparison.classes))
    if condition.classes:
        return check_of_class(condition, comparison.classes, metric, part, known=known)
    number = Noisy.of(score, part, sure)
    if number is None:
        raise UsageError(f"{shown(condition.text)}: {own_numbers(metric, list(numbers_of(score)))}")
    return judged(condition, number)


def _void(checks: Sequence[Check], warnings: Sequence[str], codes: Collection[str]) -> list[Check]:
    """Return the checks as they are, or, if a warning has one of the codes, so that none passes."""
    reason = next((text for text in warnings if code_of(text) in codes), None)
    return [check if reason is None else check.voided(reason) for check in checks]


def _of_warnings(warnings: Sequence[str]) -> Check:
    condition, count = condition_of_warnings(), len(warnings)
    verdict = FAILED if warnings else PASSED
    found = f"{counted(count, 'warning')}: {'; '.join(warnings)}" if warnings else "no warning"
    return Check(condition, verdict, f"{verdict}: {found}; fails if {condition}", float(count))


def _against(other: Against | None, most: float) -> Check:
    if other is None:
        raise InputError("max_delta needs a baseline: compare(..., baseline=OTHER), or --baseline")
    condition = Condition(condition_of_delta(most), "", None, most)
    what = f"fid without bias, minus that of {other.name}:"
    if other.difference is None or other.standard_error is None or other.low is None or other.high is None:
        return judged(condition, Noisy(float("nan"), reason=other.reason), what)
    return judged(condition, Noisy(other.difference, other.standard_error, other.low, other.high, other.level), what)
