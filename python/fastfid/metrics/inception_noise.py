"""A rule of thumb for the noise and the bias of FIDs of Inception's 2048 features.

The figures were measured on one set of photographs, flowers of five classes, by bench/plan.py. So were the factors by
which they are off: the bias on single classes and for unequal sets, the noise on differences of many kinds.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from .fid_growth import Noise

DIMS = 2048
USUAL = 50_000  # images a side, of which a FID in a paper is
# 1/n + 1/m, and the mean FID of two sets of n and m images from one population
_FLOOR = ((4e-5, 0.837), (2e-4, 4.21), (4e-4, 8.33), (2 / 1835, 23.1), (2e-3, 38.2), (4e-3, 61.2), (2 / 316, 79.1))
_FIRST = 39.0  # first-order variance of one image, over the FID
_SECOND = 7e4  # second-order variance, over (1/n + 1/m)²
BIAS_TIMES = (0.52, 1.25)  # what was seen, over the rule
NOISE_TIMES = (0.18, 2.1)


@dataclass(frozen=True)
class RuleOfThumb(Noise):
    """The noise of a FID that is `distance` for infinitely many images."""

    distance: float

    @classmethod
    def of(cls, fid: float) -> Self:
        """Take the FID as it is read with 50,000 images a side."""
        nothing = cls(0.0)
        return cls(max(0.0, fid - nothing.bias(USUAL, USUAL)))

    def bias(self, n: float, m: float) -> float:
        """Return by how much the FID of n and m images is too large on average."""
        g, floor = np.array(_FLOOR).T
        x = 1 / n + 1 / m
        inside = float(np.exp(np.interp(np.log(x), np.log(g), np.log(floor))))
        return inside * float(x / np.clip(x, g[0], g[-1]))  # beyond the ends in proportion

    def variance(self, n: float, m: float) -> float:
        """Return the variance for n and m images."""
        return _FIRST * self.distance * (1 / n + 1 / m) + _SECOND * (1 / n + 1 / m) ** 2
