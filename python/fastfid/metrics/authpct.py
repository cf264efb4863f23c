"""AuthPct: the share of generated images that are not too close to one training image, and the closest pairs.

A generated image is authentic if its nearest training image lies farther away than that training image's own nearest
neighbour in the training set. float32 rows -> squared distances, decided as in float64.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from .. import _core
from ..errors import InputError
from .base import Metric, Score
from .rows import ROWS, Rows

if TYPE_CHECKING:
    from ..fit import Fit

_COPIES = 20  # pairs that are listed


@dataclass(frozen=True)
class AuthPct(Metric):
    """Percentage of authentic images [1]_ on the generated first side; the second side is the training set.

    There is one convention, "authpct", that of the code of [2]_, which dgm-eval took over.

    Notes
    -----
    ``Score.parts`` has, for the generated images in their order, ``nearest`` (n,), the index of the nearest training
    image, int64, and ``distance`` (n,), the distance to it, float64; and ``copies``, up to 20 tuples (generated image,
    training image, distance) of the closest pairs, closest first. `compare` puts the names of the images there, and
    `value` has their indices. Equally near training images count by the lower index.

    A low percentage is a sign of copying, but a high one is no proof against it: a copy of an image that has an even
    closer neighbour in the training set counts as authentic, unless the features are identical. Look at the closest
    pairs.

    References
    ----------
    .. [1] A. Alaa et al. (2022), "How faithful is your synthetic data?".
    .. [2] M. Jiralerspong et al. (2023), "Feature likelihood divergence".

    Examples
    --------
    >>> AuthPct().name
    'authpct'
    """

    name: ClassVar[str] = "authpct"
    needs = (ROWS,)

    def check(self, *n: int | None) -> None:
        """Raise `InputError` if the training set has no two images."""
        if len(n) == 2 and n[1] is not None and n[1] < 2:
            raise InputError(f"authpct needs at least 2 training images on the second side, got {n[1]}")

    def value(self, a: "Fit", b: "Fit") -> Score:
        """Compare the distances to the nearest training images."""
        generated, training = (cast(Rows, side[ROWS]).matrix for side in (a, b))
        self.check(len(generated), len(training))
        indices, squared = _core.nearest(generated, training, 1, False)
        own = _core.nearest(training, training, 1, True)[1][:, 0]
        nearest, distance = indices[:, 0], np.sqrt(squared[:, 0])
        closest = np.argsort(squared[:, 0], kind="stable")[:_COPIES]
        parts = {
            "nearest": nearest,
            "distance": distance,
            "copies": tuple((int(i), int(nearest[i]), float(distance[i])) for i in closest),
        }
        value = 100 * float(np.mean(own[nearest] < squared[:, 0]))
        twins = int(np.count_nonzero(own == 0))
        warnings: tuple[str, ...] = ()
        if twins:
            warnings = (
                f"duplicates: authpct: {twins} training images have an exact copy in the training set; a generated "
                "image near them counts as authentic unless it is identical",
            )
        return Score(value, parts, "authpct", {}, (len(generated), len(training)), "higher", warnings)
