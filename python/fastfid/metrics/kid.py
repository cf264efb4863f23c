"""The Kernel Inception Distance: the squared maximum mean discrepancy of two sets of features.

    k(x, y) = (x·y / d + 1)³
    KID = mean k(x, x') + mean k(y, y') - 2 mean k(x, y)        (x and x', y and y' different images)

float32 rows -> float32 products of the centred rows in blocks -> float64 kernel values and sums. The tools average this
over random subsets; the value over all pairs is the expectation of theirs, and has no randomness.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, cast

import numpy as np

from ..checks import level_number, one_of, seed_number, truth, whole_number
from ..errors import InputError
from .base import Metric, Score
from .certainty import LEVEL, Certainty
from .kid_certainty import certainty_of
from .mmd import Matrix, PairSums, mmd
from .rows import ROWS, Rows

if TYPE_CHECKING:
    from ..fit import Fit


class _Tool(NamedTuple):
    """How a tool draws its subsets."""

    subsets: int
    size: int
    seed: int
    second_first: bool  # the subset of the second set is drawn before that of the first
    any_n: bool  # whether smaller sets have smaller subsets


TOOLS = {
    "torch-fidelity": _Tool(100, 1000, 2020, second_first=False, any_n=False),
    "clean-fid": _Tool(100, 1000, 0, second_first=True, any_n=True),
    "torchmetrics": _Tool(100, 1000, 0, second_first=True, any_n=False),
    "dgm-eval": _Tool(100, 1000, 13579, second_first=True, any_n=True),
    "mmd-gan": _Tool(50, 1000, 0, second_first=False, any_n=False),
}
CONVENTIONS = ("all-pairs", *TOOLS)


@dataclass(frozen=True)
class KID(Metric):
    """Kernel Inception Distance [1]_.

    Parameters
    ----------
    convention : {"all-pairs", "torch-fidelity", "clean-fid", "torchmetrics", "dgm-eval", "mmd-gan"}
        "all-pairs" uses every pair of images once. It is the default because it is what the others estimate, without
        their random error. The others average random subsets as the tool does: "torch-fidelity" with its seed 2020;
        "clean-fid", "dgm-eval" and "mmd-gan", which set no seed here, as after ``numpy.random.seed(subset_seed)``.
        "torchmetrics" draws its subsets with torch, whose random numbers differ from these.
    subsets, subset_size, subset_seed : int, optional
        Number, size and seed of the subsets, by default the tool's: 100 of 1000 images, 50 of 1000 for "mmd-gan".
        "clean-fid" and "dgm-eval" take smaller subsets if a side has fewer images.
    certainty : bool
        Whether to compute the standard error, the limits and the p-value as well, of all pairs only.
    level : float
        Confidence level of the limits of `certainty`.

    Notes
    -----
    ``Score.parts`` has ``standard_error`` (all pairs: the square root of an unbiased estimate of the variance, from the
    Hoeffding decomposition as in [2]_; NaN if the estimate is negative, or below 4 images a side) or ``subset_std`` (a
    tool: the standard deviation of its subsets, which is no standard error).

    References
    ----------
    .. [1] M. Bińkowski et al. (2018), "Demystifying MMD GANs".
    .. [2] D. Sutherland and N. Deka (2019), "Unbiased estimators for the variance of MMD estimators".

    Examples
    --------
    >>> KID(convention="torch-fidelity", subsets=10, subset_size=100).name
    'kid'
    """

    convention: str = "all-pairs"
    subsets: int | None = None
    subset_size: int | None = None
    subset_seed: int | None = None
    certainty: bool = False
    level: float = LEVEL

    name: ClassVar[str] = "kid"
    needs = (ROWS,)

    def __post_init__(self) -> None:
        """Check the parameters."""
        one_of("convention", self.convention, CONVENTIONS)
        given = [name for name in ("subsets", "subset_size", "subset_seed") if getattr(self, name) is not None]
        if given and self.convention not in TOOLS:
            raise InputError(f"{given[0]} needs a convention with subsets: {', '.join(TOOLS)}")
        if self.subsets is not None:
            whole_number("subsets", self.subsets, 1)
        if self.subset_size is not None:
            whole_number("subset_size", self.subset_size, 2)
        if self.subset_seed is not None:
            seed_number(self.subset_seed)
        truth("certainty", self.certainty)
        level_number(self.level)

    def check(self, *n: int | None) -> None:
        """Raise `InputError` if the tool's subsets are larger than a side."""
        tool, least = TOOLS.get(self.convention), min((count for count in n if count is not None), default=None)
        size = self.subset_size or (tool.size if tool else 0)
        if tool and not tool.any_n and least is not None and size > least:
            raise InputError(
                f"{self.convention}'s KID takes subsets of {size} images, and a side has {least}: give a smaller "
                "subset_size"
            )

    def value(self, a: "Fit", b: "Fit") -> Score:
        """Return the KID and its spread."""
        x, y = (cast(Rows, side[ROWS]).matrix for side in (a, b))
        self.check(len(x), len(y))
        if self.convention in TOOLS:
            value, parts, parameters = self._of_subsets(x, y, TOOLS[self.convention])
            sure = self._unknown(value, len(x), len(y))
        else:
            sums, parameters = PairSums.of(x, y), {}
            value, variance = sums.value, sums.variance
            parts = {"standard_error": variance**0.5 if variance >= 0 else float("nan")}
            sure = certainty_of(x, y, sums, self.level) if self.certainty else None
        return Score(value, parts, self.convention, parameters, (len(x), len(y)), "lower", certainty=sure)

    def _unknown(self, value: float, n: int, m: int) -> Certainty | None:
        if not self.certainty:
            return None
        why = f"the spread of {self.convention}'s subsets is no standard error; KID() of all pairs of images has one"
        return Certainty(value, (n, m), self.level, "subsets", reason=why)

    def _of_subsets(self, x: Matrix, y: Matrix, tool: _Tool) -> tuple[float, dict[str, float], dict[str, int]]:
        subsets, seed = self.subsets or tool.subsets, tool.seed if self.subset_seed is None else self.subset_seed
        size = min(self.subset_size or tool.size, len(x), len(y))
        rng = np.random.RandomState(seed)
        values = []
        for _ in range(subsets):
            sides = (y, x) if tool.second_first else (x, y)
            first, second = (side[rng.choice(len(side), size, replace=False)] for side in sides)
            values.append(mmd(first, second)[0])
        spread = {"subset_std": float(np.std(values))}
        return float(np.mean(values)), spread, {"subsets": subsets, "subset_size": size, "subset_seed": seed}
