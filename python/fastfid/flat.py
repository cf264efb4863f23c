"""The numbers of a comparison as one flat dictionary, under names that trackers of experiments accept.

MLflow takes letters, digits, ``_``, ``-``, ``.``, space, ``:`` and ``/``, but its store of files cannot hold both
``fid`` and ``fid/low``. Weights & Biases advises letters, digits and ``_``, no digit first, and makes groups at ``/``.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

import numpy as np

from .metrics.base import Score

#: What the names of the numbers of classes begin with.
CLASSES = "classes"

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


def named(scores: Mapping[str, Score]) -> Iterator[tuple[tuple[str, ...], float]]:
    """Yield every number of some scores, with the name of the metric and that of the part."""
    for name, score in scores.items():
        yield (name,), float(score.value)
        for part, value in numbers_of(score).items():
            yield (name, part), value


def flat(scores: Mapping[str, Score], classes: Mapping[str, Mapping[str, Score]]) -> dict[str, float]:
    """Return every number of some scores, and the values of those of each class.

    Examples
    --------
    >>> flat({"prdc": Score(0.7, {"recall": 0.5})}, {"a cat": {"prdc": Score(0.6)}})
    {'prdc': 0.7, 'prdc_recall': 0.5, 'classes/a_cat/prdc': 0.6}
    """
    found: dict[str, float] = {}
    for words, value in named(scores):
        found[_free("_".join(map(plain_word, words)), found)] = value
    for of, own in classes.items():
        for name, score in own.items():
            found[_free(f"{CLASSES}/{plain_word(of)}/{plain_word(name)}", found)] = float(score.value)
    return found


def _free(name: str, taken: Mapping[str, float]) -> str:
    """Return the name, with a number if another name became the same."""
    names = (name if i == 1 else f"{name}_{i}" for i in count(1))
    return next(free for free in names if free not in taken and free != CLASSES)


def plain_word(text: str) -> str:
    """Return a text with characters that every tracker accepts.

    Examples
    --------
    >>> plain_word("a cat"), plain_word("1")
    ('a_cat', '_1')
    """
    word = re.sub(r"[^0-9A-Za-z_]", "_", text)
    return word if re.match("[A-Za-z_]", word) else f"_{word}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
