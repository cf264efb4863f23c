"""The table of the scores, and that of the classes."""

from collections.abc import Iterator, Mapping, Sequence
from math import log
from statistics import median
from typing import TYPE_CHECKING, Any

from ..metrics.base import Score
from .evidence import Evidence
from .verdict import TITLES, plain, shown_as

if TYPE_CHECKING:
    from ..comparison import Comparison

_MOST_CLASSES = 30  # shown at once; the others can be unfolded
_CLOSE = 1.5  # times as many images at most
_LEFT_OUT = ("mean_term", "trace_term", "error_estimate")  # the page shows the terms of the FID elsewhere
_NAMES = {
    "std": "standard deviation over the splits",
    "subset_std": "standard deviation of the subsets, which is no standard error",
    "standard_error": "standard error by a formula",
}
#: The parts of a score that get a line of their own, and what they say. The value of the score is the first.
_OWN_LINES = {
    "prdc": {
        "precision": "images of A among those of B",
        "recall": "images of B among those of A",
        "density": "how densely B surrounds the images of A; 1 if the sets are alike",
        "coverage": "images of B with an image of A nearby",
    }
}


def score_rows(scores: Mapping[str, Score], n: tuple[int | None, ...]) -> Iterator[dict[str, Any]]:
    """Yield the lines of the table of scores; `n` are the numbers of images of the sides."""
    for name, score in scores.items():
        facts = _facts(score, n)
        for part, says in _OWN_LINES.get(name, {}).items():
            if part in score.parts:
                yield _row(part.capitalize(), score.parts[part], [says, facts])
                facts = ""  # the same for all parts
        if facts:
            yield _row(TITLES.get(name, name), score.value, [*_others(score), facts]) | _certainty(score)


def _facts(score: Score, n: tuple[int | None, ...]) -> str:
    own = " / ".join("?" if n is None else f"{n:,}" for n in score.n)
    facts = [
        f"{score.better} is better",
        score.convention and f"as in {score.convention}",
        f"of {own} images" if score.n != n[: len(score.n)] else "",
    ]
    return "; ".join(fact for fact in facts if fact)


def _row(name: str, value: float, about: Sequence[str]) -> dict[str, Any]:
    texts = [text for text in about if text]
    return {"name": name, "value": value, "shown": plain(value), "about": texts, "without": ""}


def _others(score: Score) -> list[str]:
    """Return the other numbers of a score as text; the certainty has the better standard error."""
    known = score.certainty is not None and score.certainty.standard_error is not None
    left_out = (*_LEFT_OUT, *(("standard_error",) if known else ()))
    numbers = {part: value for part, value in score.parts.items() if isinstance(value, int | float)}
    texts = [
        f"{_NAMES.get(part, part.replace('_', ' '))} {plain(value)}"
        for part, value in numbers.items()
        if part not in left_out and value != score.value
    ]
    return [", ".join(texts)] if texts else []


def _certainty(score: Score) -> dict[str, str]:
    sure = score.certainty
    if sure is None or sure.standard_error is None:
        return {}
    number = shown_as(sure)
    return {
        "without": f"{number(sure.corrected)} ± {number(sure.standard_error)}",
        "level": f"{100 * sure.level:g}%",
        "limits": f"{number(sure.low)} to {number(sure.high)}",
    }


def without_limits(scores: Mapping[str, Score]) -> list[str]:
    """Say of which scores but the FID, of which the verdict says it, the limits are not known, and why."""
    return [
        f"{TITLES.get(name, name)} without limits: {score.certainty.reason}."
        for name, score in scores.items()
        if name != "fid" and score.certainty is not None and score.certainty.standard_error is None
    ]


def classes_of(result: "Comparison", evidence: Evidence) -> dict[str, Any] | None:
    """Return the table of the classes, the worst first; None without classes."""
    if not result.classes:
        return None
    metric = next(iter(result.scores))
    lower = result.scores[metric].better == "lower"
    found = sorted(result.classes.items(), key=lambda item: item[1][metric].value, reverse=lower)
    most = max((abs(scores[metric].value) for _, scores in found), default=0.0) or 1.0
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "n": " / ".join(f"{n:,}" for n in scores[metric].n if n is not None),
            "values": [_of_class(scores[each]) for each in result.scores],
            "width": f"{100 * max(scores[metric].value, 0.0) / most:.1f}",
        }
        for name, scores in found
    ]
    return {
        "metrics": [TITLES.get(name, name) for name in result.scores],
        "rows": rows[:_MOST_CLASSES],
        "others": rows[_MOST_CLASSES:],
        "count": len(rows),
        "mean": f"{TITLES.get(metric, metric)} {plain(result.over_classes(metric)[0])}",
        "without": any(score.certainty and score.certainty.bias for _, scores in found for score in scores.values()),
        "bias": _bias(result, evidence) if "fid" in result.scores else "",
    }


def _of_class(score: Score) -> tuple[str, float]:
    sure = score.certainty
    if sure is None or sure.standard_error is None:
        return plain(score.value), score.value
    number = shown_as(sure)
    if not sure.bias:
        return f"{number(score.value)} ± {number(sure.standard_error)}", score.value
    without = f"{number(sure.corrected)} ± {number(sure.standard_error)}"
    return f"{number(score.value)}, without bias {without}", score.value


def _bias(result: "Comparison", evidence: Evidence) -> str:
    """Say how much of the FIDs of classes may be bias."""
    counts = [min(n for n in scores["fid"].n if n is not None) for scores in result.classes.values()]
    usual, whole, sure = median(counts), result.scores["fid"], result.scores["fid"].certainty
    text = "The FID of few images reads too high, and a class has few."
    parts = [(min(n for n in each.n if n is not None), each.fid) for each in evidence.subsets[:-1]]
    n, fid = min(parts, key=lambda part: abs(log(part[0] / usual)), default=(0, 0.0))
    if n and 1 / _CLOSE <= n / usual <= _CLOSE:
        return (
            f"{text} For scale: of {n:,} images a side, about as many as a class has here, chosen from all classes, it "
            f"reads {fid:.4g} where that of all images reads {whole.value:.4g}. The difference is bias, and much "
            "of the FID of a class may be bias as well."
        )
    if sure is not None and sure.bias is not None:
        every = min(n for n in whole.n if n is not None)
        return (
            f"{text} For scale: the bias of all images is {shown_as(sure)(sure.bias)}, and it grows about as fast as "
            f"the number of images falls: times {every / usual:.3g} for the {usual:,.0f} images of a class here."
        )
    return f"{text} Here a class has {usual:,.0f} images, and much of its FID may be bias."
