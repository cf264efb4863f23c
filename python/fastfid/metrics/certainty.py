"""The record of how sure a score is."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .fid_certainty import Parts

LEVEL = 0.95


@dataclass(frozen=True, eq=False)
class Certainty:
    """A score with its bias, its noise and what they mean. What is not known is None.

    Attributes
    ----------
    value : float
        The score of the images given.
    n : tuple of int or None
        Number of images of each side.
    level : float
        Of the limits.
    method : str
        How the figures were found: "leave-one-out" (FID, sFID, Inception Score), "U-statistic" (KID); or "subsets"
        (KID as a tool computes it), of which none but the value is known.
    fixed : tuple of str
        Sides without images, "a" or "b", which count as exactly known.
    bias : float or None
        How much of it is expected to come from the finite number of images.
    corrected : float or None
        ``value - bias``, an estimate for infinitely many images. That of a FID can be below 0, and is on half of all
        pairs of sets from one population.
    noise_floor : float or None
        The expected score of two sets of these sizes from one population; None beside a side that is exactly known.
    standard_error : float or None
        Of `corrected`.
    low, high : float or None
        Confidence limits of the score of infinitely many images. Those of a distance are never below 0, and `low` is 0
        exactly if `p_value` is at least 1 - `level`.
    p_value : float or None
        Probability of two sets at least as different if both came from one population. That of the FID compares means
        and covariances only.
    influence_x, influence_y : ndarray or None, shape (n,) and (m,)
        The first-order share of each image: how fast the score grows with its weight. They sum to 0 over a side. Images
        with the largest values of a distance make it worse; without image i of x, it falls by about
        ``influence_x[i] / n``.
    reason : str
        Why the fields from `bias` on are None; "" if they are known.
    """

    value: float
    n: tuple[int | None, ...]
    level: float
    method: str
    fixed: tuple[str, ...] = ()
    bias: float | None = None
    corrected: float | None = None
    noise_floor: float | None = None
    standard_error: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    influence_x: NDArray[np.float64] | None = field(default=None, repr=False)
    influence_y: NDArray[np.float64] | None = field(default=None, repr=False)
    reason: str = ""
    # What a FID's was made of, so that the difference to a baseline does not compute it again.
    _parts: "Parts | None" = field(default=None, repr=False)

    @property
    def fid(self) -> float:
        """The same as `value`."""
        return self.value

    def as_dict(self) -> dict[str, Any]:
        """Return the record as plain data for JSON, without the influences."""
        return {name: value for name, value in vars(self).items() if not name.startswith(("influence", "_"))}
