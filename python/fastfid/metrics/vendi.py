"""The Vendi Score of one set: the effective number of different images in it.

    K = X Xᵀ / n,   X the rows scaled to length 1
    score = exp(-sum w log w),   w the eigenvalues of K

The nonzero eigenvalues of X Xᵀ / n are those of Xᵀ X / n, the second moment, so the score is computed in one pass and
in memory that does not grow with n. float32 rows -> float64 unit rows -> float64 moments and eigenvalues.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import numpy as np
from numpy.typing import NDArray

from ..checks import not_in_float32, real_number, shown, whole_number
from ..errors import InputError
from .base import Accumulator, Metric, Need, Score, check_version
from .moments import Statistics
from .unit_rows import lengths_of, without_direction

if TYPE_CHECKING:
    from ..fit import Fit

_EPS = float(np.finfo(np.float64).eps)
_NEAR_ONE = 0.1  # orders this near to 1 have their own formula


class UnitMoments(Accumulator):
    """The mean and covariance of rows that were scaled to length 1.

    Parameters
    ----------
    dims : int
        Length of a row.

    Attributes
    ----------
    moments : Statistics
    first_zero : int or None
        Index of the first row that is all zeros, and has no direction.
    """

    def __init__(self, dims: int) -> None:
        self.dims = dims
        self.moments = Statistics(dims)
        self.first_zero: int | None = None

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.moments.n or 0

    def update(self, rows: NDArray[np.float32], /) -> Self:
        """Add rows (k, dims); raise `InputError` if a value is not finite."""
        lengths = lengths_of(rows)
        if not np.isfinite(lengths).all():
            raise not_in_float32("the features")
        if self.first_zero is None and not lengths.all():
            self.first_zero = self.n + int(np.argmin(lengths))
        self.moments.update(rows / np.where(lengths, lengths, 1.0)[:, None])
        return self

    def merge(self, other: Self, /) -> Self:
        """Add the rows of another."""
        if self.first_zero is None and other.first_zero is not None:
            self.first_zero = self.n + other.first_zero
        self.moments.merge(other.moments)
        return self

    def __getstate__(self) -> dict[str, Any]:
        moments = {f"moments_{name}": value for name, value in self.moments.__getstate__().items()}
        return {"version": self.version, "dims": self.dims, "first_zero": self.first_zero, **moments}

    def __setstate__(self, state: dict[str, Any]) -> None:
        check_version(self, state)
        self.__init__(state["dims"])  # type: ignore[misc]
        of_moments = {name.removeprefix("moments_"): value for name, value in state.items() if "moments_" in name}
        self.moments.__setstate__(of_moments)
        if self.moments.dims != self.dims:
            raise InputError(f"a state of {self.dims} dims has moments of {self.moments.dims}")
        self.first_zero = state["first_zero"]
        if self.first_zero is not None:
            whole_number("first_zero", self.first_zero, 0, self.n - 1)

    def eigenvalues(self) -> NDArray[np.float64]:
        """Return the eigenvalues of the second moment; there are n or `dims` of them, whichever is less."""
        n, rows = self.n, self.moments.rows
        if rows is not None:  # at most as many rows as dims: the matrix of their products is the smaller one
            matrix = rows @ rows.T / n
        else:
            matrix = self.moments.sigma * ((n - 1) / n) + np.outer(self.moments.mu, self.moments.mu)
        return np.linalg.eigvalsh(matrix.astype(np.float64, copy=False))


UNIT_MOMENTS = Need("features", UnitMoments)


@dataclass(frozen=True)
class Vendi(Metric):
    """Vendi Score [1]_ of the first side: n if all images differ as much as they can, 1 if all are alike.

    Images are compared by the cosine of their features. That is what the authors' code and dgm-eval do with features,
    so there is one convention, "vendi".

    Parameters
    ----------
    q : float
        Order of the entropy [2]_: 1 is Shannon's, as in [1]_. Lower orders give rare kinds of images more weight; 0
        counts all that there are. ``float("inf")`` only sees the most frequent kind.

    Notes
    -----
    ``Score.parts`` has ``rank``, the number of eigenvalues that are not zero to rounding: no order gives more. The
    score grows with the number of images, so only compare sets of one size.

    References
    ----------
    .. [1] D. Friedman and A. B. Dieng (2023), "The Vendi Score: A diversity evaluation metric for machine learning".
    .. [2] A. P. Pasarkar and A. B. Dieng (2024), "Cousins of the Vendi Score".

    Examples
    --------
    >>> Vendi().sides
    1
    """

    q: float = 1.0

    name: ClassVar[str] = "vendi"
    sides: ClassVar[int] = 1
    needs = (UNIT_MOMENTS,)

    def __post_init__(self) -> None:
        """Check the parameters."""
        if not real_number(self.q) >= 0:
            raise InputError(f"q must be a number of at least 0, or float('inf'); got {shown(self.q)}")

    def value(self, a: "Fit") -> Score:
        """Compute the effective number of images."""
        directions = cast(UnitMoments, a[UNIT_MOMENTS])
        if directions.first_zero is not None:
            raise without_direction(directions.first_zero, "the first side")
        n, dims = directions.n, directions.dims
        if n == 0:
            raise InputError("the Vendi Score needs at least 1 image")
        w = directions.eigenvalues()
        rank = int(np.count_nonzero(_nonzero(w)))
        warnings = (f"few-images: vendi: the score of {n} images is at most {n}",) if n < dims else ()
        parameters = {"q": float(self.q)}
        return Score(effective_number(w, float(self.q)), {"rank": rank}, "vendi", parameters, (n,), "higher", warnings)


def effective_number(w: NDArray[np.float64], q: float = 1.0) -> float:
    """Return the exponential of the entropy of order q of eigenvalues that sum to 1.

    Eigenvalues that are zero to rounding do not count.

    Parameters
    ----------
    w : ndarray, shape (n,)
    q : float
        At least 0, or infinity.

    Examples
    --------
    >>> import numpy as np
    >>> similarity = np.array([[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1]])
    >>> round(effective_number(np.linalg.eigvalsh(similarity / 3)), 4)
    2.1573
    """
    p = w[_nonzero(w)]
    p = p / p.sum()
    if q == 1:
        entropy = -float((p * np.log(p)).sum())
    elif q == float("inf"):
        entropy = -float(np.log(p.max()))
    elif abs(q - 1) < _NEAR_ONE:  # p^q = p + p (p^(q - 1) - 1), without the digits that the 1 would cost
        entropy = float(np.log1p((p * np.expm1((q - 1) * np.log(p))).sum())) / (1 - q)
    else:  # the largest p apart, so that no power of it vanishes
        most = float(p.max())
        entropy = float(np.log(((p / most) ** q).sum())) / (1 - q) + q / (1 - q) * float(np.log(most))
    return float(np.exp(entropy))


def _nonzero(w: NDArray[np.float64]) -> NDArray[np.bool_]:
    return w > w.size * _EPS * float(w.max())
