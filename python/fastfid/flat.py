"""The numbers of a comparison as one flat dictionary, under names that trackers of experiments accept.

MLflow takes letters, digits, ``_``, ``-``, ``.``, space, ``:`` and ``/``; Weights & Biases advises letters, digits and
``_``, groups names at ``/``, and wants no digit first. So a name is made of words of letters, digits and ``_`` that are
separated by ``/``.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .metrics.base import Score

#: The numbers of a `Certainty`.
OF_CERTAINTY = ("bias", "corrected", "noise_floor", "standard_error", "low", "high", "p_value")


def numbers_of(score: Score) -> dict[str, float]:
    """Return the numbers of a score besides its value: single numbers among its parts, and those of its certainty.

    Examples
    --------
    >>> numbers_of(Score(0.7, {"recall": 0.5, "nearest": [1, 2]}))
    {'recall': 0.5}
    """
    found = {name: float(value) for name, value in score.parts.items() if _is_number(value)}
    for name in OF_CERTAINTY:
        if (value := getattr(score.certainty, name, None)) is not None:
            found[name] = float(value)
    return found


def flat(scores: Mapping[str, Score], classes: Mapping[str, Mapping[str, Score]]) -> dict[str, float]:
    """Return every number of some scores, and the values of those of each class.

    Examples
    --------
    >>> flat({"prdc": Score(0.7, {"recall": 0.5})}, {"a cat": {"prdc": Score(0.6)}})
    {'prdc': 0.7, 'prdc/recall': 0.5, 'classes/a_cat/prdc': 0.6}
    """
    found: dict[str, float] = {}
    for words, value in _named(scores, classes):
        name = "/".join(map(_word, words))
        # Two names that only differ in characters that are replaced must not share a place.
        number = next(i for i in range(1, len(found) + 2) if (name if i == 1 else f"{name}_{i}") not in found)
        found[name if number == 1 else f"{name}_{number}"] = value
    return found


def _named(
    scores: Mapping[str, Score], classes: Mapping[str, Mapping[str, Score]]
) -> Iterator[tuple[tuple[str, ...], float]]:
    for name, score in scores.items():
        yield (name,), float(score.value)
        for part, value in numbers_of(score).items():
            yield (name, part), value
    for of, own in classes.items():
        for name, score in own.items():
            yield ("classes", of, name), float(score.value)


def _word(text: str) -> str:
    word = re.sub(r"[^0-9A-Za-z_]", "_", text)
    return word if re.match("[A-Za-z_]", word) else f"_{word}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
