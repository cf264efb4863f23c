"""The Monge Inception Distance: a sliced Wasserstein distance of two sets of features.

    MIND = 3 d · mean over directions u of mean over j of (sorted(X·u)_j - sorted(Y·u)_j)²

float32 rows -> float64 projections, a few directions at a time -> float64 means.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from ..checks import not_in_float32, seed_number, whole_number
from ..errors import InputError
from .base import Metric, Score
from .rows import ROWS, Rows

if TYPE_CHECKING:
    from ..fit import Fit

_DIRECTIONS, _ROWS = 128, 4096  # of one product
_STREAM = 2605  # so that the directions are independent of features that were drawn with the same seed

Matrix = NDArray[np.float64]
Chosen = NDArray[np.int64]


@dataclass(frozen=True)
class MIND(Metric):
    """Monge Inception Distance [1]_ between the features of two sets.

    There is one convention, "torch-fidelity", that of its development version 0.5. The formula is the same; its random
    directions come from torch's generator, so its value differs by the error that ``Score.parts`` states.

    Parameters
    ----------
    directions : int
        Number of random directions.
    seed : int
        Chooses the directions and, if one side has more images, which of them count.

    Notes
    -----
    ``Score.parts`` has ``directions_error``, the standard error from the random choice of directions. Both sides need
    equally many images: as in torch-fidelity, a random subset is taken of the larger one, with a warning.

    References
    ----------
    .. [1] Q. Berthet et al. (2026), "MIND: Monge Inception Distance for generative models evaluation",
       arXiv 2605.06797.

    Examples
    --------
    >>> MIND(directions=100).directions
    100
    """

    directions: int = 1000
    seed: int = 0

    name: ClassVar[str] = "mind"
    needs = (ROWS,)

    def __post_init__(self) -> None:
        """Check the parameters."""
        whole_number("directions", self.directions, 1)
        seed_number(self.seed)

    def value(self, a: "Fit", b: "Fit") -> Score:
        """Compute the mean over the directions, and its error."""
        x, y = (cast(Rows, side[ROWS]).matrix for side in (a, b))
        n, m = len(x), len(y)
        least = min(n, m)
        warnings: tuple[str, ...] = ()
        if least == 0:
            raise InputError("mind needs at least 1 image of each side")
        rng = np.random.RandomState((self.seed, _STREAM))
        chosen = [_chosen(len(rows), least, rng) for rows in (x, y)]
        if n != m:
            warnings = (f"mind: a random {least} of the {max(n, m)} images of the larger side were used",)
        distances = 3 * x.shape[1] * sliced(x, y, unit_directions(self.directions, x.shape[1], rng), *chosen)
        if not np.isfinite(distances).all():
            raise not_in_float32("the features")
        parts = {"directions_error": _standard_error(distances)}
        parameters: dict[str, Any] = {"directions": self.directions, "seed": self.seed, "images": least}
        return Score(float(distances.mean()), parts, "torch-fidelity", parameters, (n, m), "lower", warnings)


def unit_directions(count: int, dims: int, rng: np.random.RandomState) -> Matrix:
    """Return random directions, uniform on the sphere, (count, dims)."""
    found = rng.standard_normal((count, dims))
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found


def sliced(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    directions: Matrix,
    chosen_x: Chosen | None = None,
    chosen_y: Chosen | None = None,
) -> Matrix:
    """Return the squared Wasserstein distance of two sets along each direction, not finite if a value is not.

    Parameters
    ----------
    x, y : ndarray, shape (n, d) and (m, d)
    directions : ndarray of float64, shape (k, d)
    chosen_x, chosen_y : ndarray of int64, optional
        The rows that count, equally many of each side; all by default.

    Returns
    -------
    ndarray of float64, shape (k,)
    """
    sides = [(rows, np.arange(len(rows)) if some is None else some) for rows, some in ((x, chosen_x), (y, chosen_y))]
    found = np.empty(len(directions))
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(directions), _DIRECTIONS):
            some = directions[start : start + _DIRECTIONS]
            sorted_x, sorted_y = (np.sort(_projections(*side, some), axis=1) for side in sides)
            found[start : start + _DIRECTIONS] = np.square(sorted_x - sorted_y).mean(axis=1)
    return found


def _chosen(n: int, count: int, rng: np.random.RandomState) -> Chosen:
    """Choose rows at random, in their order, or all of them."""
    return np.sort(rng.permutation(n)[:count]) if n > count else np.arange(n)


def _projections(rows: NDArray[np.floating], chosen: Chosen, directions: Matrix) -> Matrix:
    """Return the coordinate of each chosen row along each direction, (k, n). Only a block of rows is copied at once."""
    found = np.empty((len(directions), len(chosen)))
    for start in range(0, len(chosen), _ROWS):
        found[:, start : start + _ROWS] = directions @ rows[chosen[start : start + _ROWS]].astype(np.float64).T
    return found


def _standard_error(values: Matrix) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
