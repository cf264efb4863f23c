"""The Inception Score of one set of images, from the network's logits.

    p = softmax(logits),  score = exp(mean over images of sum p (log p - log mean p)),  over each split

float32 logits without the bias of the last layer (as ADM, improved-gan and torch-fidelity take them) -> float64.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from ..checks import one_of, whole_number
from ..errors import InputError
from .base import Metric, Need, Score
from .rows import Rows

if TYPE_CHECKING:
    from ..fit import Fit

LOGITS = Need("logits_unbiased", Rows)
CONVENTIONS = ("torch-fidelity", "improved-gan", "adm")
_SEED = 2020  # torch-fidelity's
_ADM_SPLIT = 5000  # images

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class InceptionScore(Metric):
    """Inception Score [1]_ of the first side.

    Parameters
    ----------
    convention : {"torch-fidelity", "improved-gan", "adm"}
        "torch-fidelity" shuffles the images with its seed 2020 and cuts them into `splits` parts; "improved-gan" does
        not shuffle. "adm" takes blocks of 5000 images in order. The score is the mean over the parts.
    splits : int
        Number of parts; not used by "adm".

    Notes
    -----
    ``Score.parts`` has ``std``, the standard deviation over the parts (ddof 0).

    References
    ----------
    .. [1] T. Salimans et al. (2016), "Improved techniques for training GANs".

    Examples
    --------
    >>> InceptionScore(splits=1).sides
    1
    """

    convention: str = "torch-fidelity"
    splits: int = 10

    name: ClassVar[str] = "is"
    sides: ClassVar[int] = 1
    needs = (LOGITS,)

    def __post_init__(self) -> None:
        """Check the parameters."""
        one_of("convention", self.convention, CONVENTIONS)
        whole_number("splits", self.splits, 1)

    def value(self, a: "Fit") -> Score:
        """Return the score and its spread over the parts."""
        logits = cast(Rows, a[LOGITS]).matrix.astype(np.float64)
        if len(logits) < self.splits:
            raise InputError(
                f"the Inception Score needs an image for each of its {self.splits} splits, got {len(logits)}"
            )
        scores = [_score(part) for part in self._parts(logits)]
        parameters = {} if self.convention == "adm" else {"splits": self.splits}
        spread = {"std": float(np.std(scores))}
        return Score(float(np.mean(scores)), spread, self.convention, parameters, (len(logits),), "higher")

    def _parts(self, logits: Matrix) -> Iterator[Matrix]:
        n = len(logits)
        if self.convention == "adm":
            yield from (logits[first : first + _ADM_SPLIT] for first in range(0, n, _ADM_SPLIT))
            return
        if self.convention == "torch-fidelity":
            logits = logits[np.random.RandomState(_SEED).permutation(n)]
        for i in range(self.splits):
            yield logits[i * n // self.splits : (i + 1) * n // self.splits]


def _score(logits: Matrix) -> float:
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    p = np.exp(log_p)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * (log_p - np.log(p.mean(axis=0))), 0.0)  # a class that nobody has adds nothing
    return float(np.exp(terms.sum(axis=1).mean()))
