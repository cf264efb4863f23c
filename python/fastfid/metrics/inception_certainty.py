"""How sure an Inception Score is: its bias and its noise, from the exact scores without one image.

With h_i = Σ p_i log p_i and the mean q of all p, the score is exp(L) with L = mean of h - Σ q log q: the mean of the
divergences d_i = Σ p_i (log p_i - log q). To first order an image changes it through its own divergence only, since
Σ q log q is at its extreme in q: the influence of image i is exp(L) (d_i - L).

The entropy of q is too low on average, by Σ var(p_k) / (2 n q_k) to second order (Chong & Forsyth 2020). With many
classes and few images that is not enough, so the bias of L is taken from the exact values without each image (Efron
1982, "The jackknife"), and so is the variance; exp(L) has the bias exp(L) var(L) / 2 besides.
"""

from collections.abc import Callable, Iterator
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from .certainty import Certainty

LEAST = 30  # images
_TRUSTED = 0.5  # standard errors by which the jackknife and the second order may differ
_ROUNDING = 1e-9  # which is all that images without a difference have

Matrix = NDArray[np.float64]


def certainty_of(value: float, n: int, log_p: Callable[[], Iterator[Matrix]], level: float) -> Certainty:
    """Return the record of a score of n images; ``log_p()`` yields the logarithms of their p, in blocks.

    The bias is that of `value`, which may be the mean over parts of the images; all else is that of one part of all
    images. With infinitely many images both are the same, if the images are in random order.
    """
    facts = (value, (n,), level, "leave-one-out")
    if n < LEAST:
        return Certainty(*facts, reason=f"there are {n} images, and the corrections need at least {LEAST}")
    mean = sum(np.exp(block).sum(axis=0) for block in log_p()) / n
    squares = sum(np.exp(2 * block).sum(axis=0) for block in log_p()) / n
    entropy = -float(_x_log_x(mean).sum())
    of_images = zip(*(_of_images(block, mean, n) for block in log_p()), strict=True)
    own, divergences, without = map(np.concatenate, of_images)
    log_score = float(own.mean()) + entropy
    pseudo = own + n * entropy - (n - 1) * without
    variance = float(pseudo.var(ddof=1)) / n
    some = mean > 0
    second_order = float((mean[some] - squares[some] / mean[some]).sum()) / (2 * (n - 1))
    corrected, other = (np.exp(log - variance / 2) for log in (float(pseudo.mean()), log_score - second_order))
    error = float(corrected * variance**0.5)
    if abs(corrected - other) > _TRUSTED * error + _ROUNDING * corrected:
        classes = np.count_nonzero(some)
        why = f"{n} images are too few for {classes} classes: two estimates of the bias differ too much; take more"
        return Certainty(*facts, reason=why)
    factor = np.exp(NormalDist().inv_cdf((1 + level) / 2) * variance**0.5)
    return Certainty(
        *facts,
        bias=float(value - corrected),
        corrected=float(corrected),
        standard_error=error,
        low=float(max(1.0, corrected / factor)),
        high=float(max(1.0, corrected * factor)),
        influence_x=np.exp(log_score) * (divergences - divergences.mean()),
    )


def _of_images(log_p: Matrix, mean: Matrix, n: int) -> tuple[Matrix, Matrix, Matrix]:
    """Return Σ p log p and the divergence of each image, and the entropy of the mean of the others."""
    p = np.exp(log_p)
    own = (p * log_p).sum(axis=1)
    others = np.maximum((n * mean - p) / (n - 1), 0.0)  # a class that only this image has may round to below 0
    return own, own - p @ np.log(mean, out=np.zeros_like(mean), where=mean > 0), -_x_log_x(others).sum(axis=1)


def _x_log_x(x: Matrix) -> Matrix:
    product: Matrix = x * np.log(x, out=np.zeros_like(x), where=x > 0)
    return product
