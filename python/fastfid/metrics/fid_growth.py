"""How the noise and the bias of a FID fall as the numbers of images grow."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Self

import numpy as np

from ..errors import InputError
from .fid_certainty import Pair, Parts

_MOST = 1e12  # images; more count as "no number of images suffices"


class Noise(ABC):
    """What the FID of n and m images does: its mean is `distance` plus `bias`. A known side has infinitely many."""

    distance: float

    @abstractmethod
    def bias(self, n: float, m: float) -> float:
        """Return by how much the FID of n and m images is too large on average."""

    @abstractmethod
    def variance(self, n: float, m: float) -> float:
        """Return the variance for n and m images."""

    def needed(self, sd: float, sizes: Callable[[float], tuple[float, float]]) -> float:
        """Return the least number of images for a standard deviation of at most `sd`, or infinity.

        `sizes` gives the numbers of images of both sides; at least one of them grows with its argument.
        """
        low, high = 1.0, 2.0
        while self.variance(*sizes(high)) > sd**2:
            low, high = high, 2 * high
            if high > _MOST:
                return inf
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.variance(*sizes(middle)) > sd**2 else (low, middle)
        return high


@dataclass(frozen=True)
class Growth(Noise):
    """The noise that a pilot shows.

    It follows from the expansion of the distance in the moments of the two sets. With g = 1/n + 1/m,

        variance = first[0] / n + first[1] / m + second g²,    bias = tilt[0] / n + tilt[1] / m + curve g².
    """

    distance: float
    first: tuple[float, float]
    second: float
    tilt: tuple[float, float]
    curve: float

    @classmethod
    def of(cls, pair: Pair, parts: Parts) -> Self:
        """Take the coefficients from a pilot: two sets of images of any size."""
        counts = [side.count for side in pair.sides]
        g = sum(1 / n for n in counts)
        share, shares = parts.null_variance / g**2, []
        tilt = []
        for n, values in zip(counts, parts.values, strict=True):
            if values is None:
                shares.append(0.0)
                tilt.append(0.0)
                continue
            twice = 2 * parts.second_order / g / n * parts.inflation  # the second-order part, which rows hold twice
            shares.append(max(0.0, values.variance(len(values.change)) - twice))
            tilt.append((n - 1) * float(values.change.mean()))
        # What the jackknife misses is minus the second-order part of the bias, which it counts twice.
        missed = parts.bias - sum(tilt)
        tilt = [bias + 2 * missed / n / g if n < inf else 0.0 for n, bias in zip(counts, tilt, strict=True)]
        rest = max(parts.error**2 - parts.null_variance, 0.0)
        scale = rest / sum(shares) if sum(shares) else 0.0
        first = [n * scale * own if n < inf else 0.0 for n, own in zip(counts, shares, strict=True)]
        unit = 2 * parts.exponent
        n, m = (n if n < inf else 0.0 for n in counts)
        scaled = [parts.corrected, *first, share, n * tilt[0], m * tilt[1], -missed / g**2]
        with np.errstate(over="ignore"):
            found = np.ldexp(scaled, [unit, 2 * unit, 2 * unit, 2 * unit, unit, unit, unit])
        if not np.isfinite(found).all():
            raise InputError("the variance of the FID overflows: the features are too large for float64")
        fid, first_a, first_b, second, tilt_a, tilt_b, curve = (float(value) for value in found)
        return cls(fid, (first_a, first_b), second, (tilt_a, tilt_b), curve)

    def variance(self, n: float, m: float) -> float:
        """Return the variance for n and m images."""
        return self.first[0] / n + self.first[1] / m + self.second * (1 / n + 1 / m) ** 2

    def bias(self, n: float, m: float) -> float:
        """Return by how much the FID of n and m images is too large on average."""
        return self.tilt[0] / n + self.tilt[1] / m + self.curve * (1 / n + 1 / m) ** 2
