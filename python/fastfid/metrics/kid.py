"""The Kernel Inception Distance: the squared maximum mean discrepancy of two sets of features.

    k(x, y) = (x·y / d + 1)³
    KID = mean k(x, x') + mean k(y, y') - 2 mean k(x, y)        (x and x', y and y' different images)

float32 rows -> float32 products of the centred rows in blocks -> float64 kernel values and sums. The tools average this
over random subsets; the value over all pairs is the expectation of theirs, and has no randomness.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..checks import one_of, seed_number, whole_number
from ..errors import InputError
from .base import Metric, Score
from .rows import ROWS, Rows

if TYPE_CHECKING:
    from ..fit import Fit

_LEAST_FOR_ERROR = 4  # images a side; the variance is estimated from groups of four different ones

Matrix = NDArray[np.float32] | NDArray[np.float64]
Vector = NDArray[np.float64]


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
        else:
            (value, variance), parameters = mmd(x, y), {}
            parts = {"standard_error": variance**0.5 if variance >= 0 else float("nan")}
        return Score(value, parts, self.convention, parameters, (len(x), len(y)), "lower")

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


class _Sums(NamedTuple):
    """Sums over a matrix of kernel values: of each row, of each column, and of the squares."""

    rows: Vector
    columns: Vector
    squares: float


def mmd(x: Matrix, y: Matrix) -> tuple[float, float]:
    """Unbiased estimate of the squared maximum mean discrepancy, and of the variance of that estimate.

    Parameters
    ----------
    x, y : ndarray, shape (n, d) and (m, d), both float32 or both float64
        C-contiguous, n and m at least 2; may be memory-mapped and read-only.

    Returns
    -------
    value : float
        May be negative.
    variance : float
        Unbiased, so it may be negative; NaN below 4 rows a side.
    """
    n, m = len(x), len(y)
    xx, yy, xy = _sums(x, x, same=True), _sums(y, y, same=True), _sums(x, y)
    means = xx.rows.sum() / (n * (n - 1)), yy.rows.sum() / (m * (m - 1)), xy.rows.sum() / (n * m)
    value = float(means[0] + means[1] - 2 * means[2])
    if min(n, m) < _LEAST_FOR_ERROR:
        return value, float("nan")
    first = 4 * _first_order(xx, xy.rows, xy, m) / n + 4 * _first_order(yy, xy.columns, xy, n) / m
    second = 2 * _second_order(xx) / (n * (n - 1)) + 2 * _second_order(yy) / (m * (m - 1))
    return value, float(first + second + 4 * _second_order_across(xy) / (n * m))


def _sums(x: Matrix, y: Matrix, *, same: bool = False) -> _Sums:
    """Sum the kernel over all pairs, without those of an image with itself if both sets are the same."""
    return _Sums(*_core.polynomial_sums(x, y, same))


# Below, h(x) is the mean of k(x, .) under one distribution; products of means are estimated over different images, so
# that each estimate is unbiased.


def _first_order(own: _Sums, across: Vector, xy: _Sums, m: int) -> float:
    """Variance over x of h(x) under x's distribution minus h(x) under the other's; m images in the other set."""
    n, s, t = len(own.rows), own.rows.sum(), across.sum()
    other = xy.columns if across is xy.rows else xy.rows
    both = own.rows @ across
    squared = (own.rows @ own.rows - own.squares) / (n * (n - 1) * (n - 2))
    squared += (across @ across - xy.squares) / (n * m * (m - 1)) - 2 * both / (n * (n - 1) * m)
    mean = (s**2 - 4 * own.rows @ own.rows + 2 * own.squares) / (n * (n - 1) * (n - 2) * (n - 3))
    mean += (t**2 - across @ across - other @ other + xy.squares) / (n * (n - 1) * m * (m - 1))
    mean -= 2 * (s * t - 2 * both) / (n * (n - 1) * (n - 2) * m)
    return float(squared - mean)


def _second_order(own: _Sums) -> float:
    """Variance of k(x, x') that neither x nor x' explains."""
    n, s, of_rows = len(own.rows), own.rows.sum(), own.rows @ own.rows
    one = own.squares / (n * (n - 1)) - 2 * (of_rows - own.squares) / (n * (n - 1) * (n - 2))
    return float(one + (s**2 - 4 * of_rows + 2 * own.squares) / (n * (n - 1) * (n - 2) * (n - 3)))


def _second_order_across(xy: _Sums) -> float:
    """Variance of k(x, y) that neither x nor y explains."""
    n, m, s = len(xy.rows), len(xy.columns), xy.rows.sum()
    of_rows, of_columns = xy.rows @ xy.rows, xy.columns @ xy.columns
    one = xy.squares / (n * m) - (of_rows - xy.squares) / (n * m * (m - 1))
    one -= (of_columns - xy.squares) / (n * (n - 1) * m)
    return float(one + (s**2 - of_rows - of_columns + xy.squares) / (n * (n - 1) * m * (m - 1)))
