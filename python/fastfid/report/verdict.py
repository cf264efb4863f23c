"""What a comparison says, in one sentence."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..metrics.base import Score
from ..metrics.certainty import Certainty
from ..numbers_shown import decimals

if TYPE_CHECKING:
    from ..comparison import Comparison

_LEAST_P = 1e-15
TOO_ALIKE = 0.9999  # a p-value
#: How the names of metrics are written.
TITLES = {"fid": "FID", "kid": "KID", "is": "Inception Score", "sfid": "sFID", "prdc": "Precision", "cmmd": "CMMD"}
TITLES |= {"mind": "MIND", "vendi": "Vendi score", "authpct": "AuthPct"}


@dataclass(frozen=True)
class Verdict:
    """The conclusion in a few words, and the sentence behind it."""

    headline: str
    sentence: str


def verdict_of(result: "Comparison") -> Verdict:
    """Return the verdict on the FID, or on the first score if there is none."""
    name = "fid" if "fid" in result.scores else next(iter(result.scores))
    score, title = result.scores[name], TITLES.get(name, name)
    sure = score.certainty
    if sure is None or sure.standard_error is None:
        return _unsure(result, score, title)
    if score.better == "higher":
        number = shown_as(sure)
        limits = f"{100 * sure.level:g}% limits {number(sure.low)} to {number(sure.high)}"
        text = f"The {title} is {number(sure.value)}; without the bias of so few images {number(sure.corrected)}, "
        text += f"{limits}."
        return Verdict(f"{title} {number(sure.value)}, {limits}", text)
    return _of_distance(sure, title)


def _of_distance(sure: Certainty, title: str) -> Verdict:
    number = shown_as(sure)
    limits = f"between {number(sure.low)} and {number(sure.high)} ({100 * sure.level:g}% limits)"
    without = f"without the bias of so few images it is {number(sure.corrected)}, {limits}"
    if sure.corrected is not None and sure.corrected < 0:
        without = (
            f"the bias of so few images explains all of it ({number(sure.corrected)} is left), and the "
            f"{100 * sure.level:g}% limits reach from 0 to {number(sure.high)}"
        )
    if sure.p_value is not None and sure.p_value > TOO_ALIKE:
        return Verdict(
            "The sets are too much alike to be independent",
            f"The {title} of {number(sure.value)} is below what two independent sets from one source would read; if "
            "they share images, or one was made from the other, its limits do not hold.",
        )
    if sure.p_value is not None and sure.p_value >= 1 - sure.level:
        beside = (
            f", close to the {number(sure.noise_floor)} of two such sets from one source" if sure.noise_floor else ""
        )
        return Verdict(
            "This number may be noise",
            f"The {title} reads {number(sure.value)}{beside}, so nothing here says that the two sets differ; "
            f"{without}.",
        )
    floor = (
        f"two sets of these sizes from one source would read {number(sure.noise_floor)}; " if sure.noise_floor else ""
    )
    return Verdict("The two sets differ", f"The {title} reads {number(sure.value)}; {floor}{without}.")


def _unsure(result: "Comparison", score: Score, title: str) -> Verdict:
    sure, text = score.certainty, f"The {title} reads {plain(score.value)}"
    interval = score.parts.get("interval")
    if interval is not None:
        text += (
            f"; with as many images it would be between {plain(interval.low)} and {plain(interval.high)} "
            f"({100 * interval.level:g}% interval, bias included)"
        )
    if sure is not None and interval is not None:
        limits = f"{100 * interval.level:g}% interval {interval.low:.4g} to {interval.high:.4g}"
        why = sure.reason.partition("; ")[0]  # without the way out, which was taken
        return Verdict(f"{title} {score.value:.4g}, {limits}", f"{text}. {sentence(why)}")
    if sure is not None:
        return Verdict("How sure this is cannot be said", f"{text}. {sentence(sure.reason)}")
    asked = result.evidence is not None
    why = "There is no formula for how sure it is." if asked else "How sure it is was not asked for."
    return Verdict(f"{title} {plain(score.value)}", f"{text}. {why}")


def shown_as(sure: Certainty) -> Callable[[float | None], str]:
    """Return a function that shows numbers with as many digits as the standard error has."""
    digits = decimals(sure.standard_error or 0.0)
    return lambda value: "–" if value is None else f"{value + 0.0:.{digits}f}"


def plain(value: float) -> str:
    """Show a number whose error is not known."""
    return f"{value:.6g}"


def chance(p: float) -> str:
    """Show a p-value."""
    return f"{p:.2g}" if p > _LEAST_P else f"< {_LEAST_P:g}"


def sentence(text: str) -> str:
    """Return a reason as a sentence."""
    return f"{text[:1].upper()}{text[1:]}." if text else ""
