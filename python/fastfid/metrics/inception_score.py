"""The Inception Score of one set of images, from the network's logits.

    p = softmax(logits),  score = exp(mean over images of sum p (log p - log mean p)),  over each split

float32 logits without the bias of the last layer (as every tool here takes them) -> float64.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from ..checks import level_number, not_in_float32, one_of, seed_number, truth, whole_number
from ..errors import InputError
from .base import Metric, Need, Score
from .certainty import LEVEL
from .inception_certainty import certainty_of
from .rows import Rows

if TYPE_CHECKING:
    from ..fit import Fit

LOGITS = Need("logits_unbiased", Rows)
_ADM_SPLIT = 5000  # images
_ROWS = 4096  # that are held at once

Bounds = list[tuple[int, int]]


def _even(n: int, splits: int) -> Bounds:
    return [(i * n // splits, (i + 1) * n // splits) for i in range(splits)]


def _chunks(n: int, splits: int) -> Bounds:
    size = -(-n // splits)  # rounded up, so that there may be fewer chunks, and the last may be smaller
    return [(first, min(first + size, n)) for first in range(0, n, size)]


def _equal(n: int, splits: int) -> Bounds:
    size = n // splits  # the rest is dropped
    return [(i * size, (i + 1) * size) for i in range(splits)]


def _blocks(n: int, splits: int) -> Bounds:
    return [(first, min(first + _ADM_SPLIT, n)) for first in range(0, n, _ADM_SPLIT)]


class _Tool(NamedTuple):
    """How a tool orders the images, cuts them into parts, and takes the spread over the parts."""

    cut: Callable[[int, int], Bounds]
    seed: int | None  # of the shuffle; None if it takes the images in their order
    ddof: int = 0


TOOLS = {
    "torch-fidelity": _Tool(_even, 2020),
    "improved-gan": _Tool(_even, None),
    "adm": _Tool(_blocks, None),
    "torchmetrics": _Tool(_chunks, 0, ddof=1),
    "dgm-eval": _Tool(_equal, 2020),
}


@dataclass(frozen=True)
class InceptionScore(Metric):
    """Inception Score [1]_ of the first side.

    Parameters
    ----------
    convention : {"torch-fidelity", "improved-gan", "adm", "torchmetrics", "dgm-eval"}
        How the images are cut into parts; the score is the mean over the parts. "torch-fidelity" shuffles the images
        with its seed 2020 and cuts them evenly into `splits` parts. It is the default because the number then does not
        depend on whether the files are sorted by class. "improved-gan", the first code, does the same without
        shuffling. "adm" takes blocks of 5000 images in order. "torchmetrics" shuffles with torch, whose random numbers
        differ from these, and cuts as ``torch.chunk`` does. "dgm-eval" shuffles with seed 2020 and leaves out the last
        ``n % splits`` images.
    splits : int
        Number of parts; not used by "adm".
    shuffle_seed : int, optional
        Seed of the shuffle, by default the tool's, and 0 for "torchmetrics".
    certainty : bool
        Whether to compute the bias, the standard error and the limits as well.
    level : float
        Confidence level of the limits of `certainty`.

    Notes
    -----
    ``Score.parts`` has ``std``, the standard deviation over the parts: ddof 1 for "torchmetrics", 0 for the others.

    The score of few images is too low [2]_, and each part has few. ``Score.certainty`` has the score of infinitely many
    images in random order, of which every part would have the same score. It is estimated from all images in one part,
    which has the least bias. Influences are those on that score.

    References
    ----------
    .. [1] T. Salimans et al. (2016), "Improved techniques for training GANs".
    .. [2] M. Chong and D. Forsyth (2020), "Effectively unbiased FID and Inception Score and where to find them".

    Examples
    --------
    >>> InceptionScore(splits=1).sides
    1
    """

    convention: str = "torch-fidelity"
    splits: int = 10
    shuffle_seed: int | None = None
    certainty: bool = False
    level: float = LEVEL

    name: ClassVar[str] = "is"
    sides: ClassVar[int] = 1
    needs = (LOGITS,)

    def __post_init__(self) -> None:
        """Check the parameters."""
        one_of("convention", self.convention, TOOLS)
        whole_number("splits", self.splits, 1)
        if self.shuffle_seed is not None:
            seed_number(self.shuffle_seed)
            if TOOLS[self.convention].seed is None:
                raise InputError(f"shuffle_seed needs a convention that shuffles; {self.convention} does not")
        truth("certainty", self.certainty)
        level_number(self.level)

    def check(self, *n: int | None) -> None:
        """Raise `InputError` if there are fewer images than splits."""
        if self.convention != "adm" and n[0] is not None and n[0] < self.splits:
            raise InputError(f"the Inception Score needs an image for each of its {self.splits} splits, got {n[0]}")

    def value(self, a: "Fit") -> Score:
        """Return the score and its spread over the parts."""
        logits, tool = cast(Rows, a[LOGITS]).matrix, TOOLS[self.convention]
        n = len(logits)
        self.check(n)
        parameters: dict[str, Any] = {} if self.convention == "adm" else {"splits": self.splits}
        order = np.arange(n)
        if tool.seed is not None:
            parameters["shuffle_seed"] = tool.seed if self.shuffle_seed is None else self.shuffle_seed
            order = np.random.RandomState(parameters["shuffle_seed"]).permutation(n)
        parts = tool.cut(n, self.splits)
        scores = [_score(logits, order[first:last]) for first, last in parts]
        spread = {"std": float(np.std(scores, ddof=tool.ddof)) if len(scores) > tool.ddof else float("nan")}
        value = float(np.mean(scores))
        every = partial(_log_softmax, logits, np.arange(n))
        sure = certainty_of(value, n, every, self.level) if self.certainty else None
        return Score(value, spread, self.convention, parameters, (n,), "higher", certainty=sure)


def _score(logits: NDArray[np.floating], chosen: NDArray[np.int64]) -> float:
    """Return the score of some rows. They are read twice, a block at a time."""
    mean, total = np.zeros(logits.shape[1]), 0.0
    for log_p in _log_softmax(logits, chosen):
        mean += np.exp(log_p).sum(axis=0)
    mean /= len(chosen)
    log_mean = np.log(mean, out=np.zeros_like(mean), where=mean > 0)  # a class that nobody has adds nothing
    for log_p in _log_softmax(logits, chosen):
        total += float((np.exp(log_p) * (log_p - log_mean)).sum(axis=1).sum())
    return float(np.exp(total / len(chosen)))


def _log_softmax(logits: NDArray[np.floating], chosen: NDArray[np.int64]) -> Iterator[NDArray[np.float64]]:
    for start in range(0, len(chosen), _ROWS):
        rows = logits[chosen[start : start + _ROWS]].astype(np.float64)
        if not np.isfinite(rows).all():
            raise not_in_float32("the logits")
        shifted = rows - rows.max(axis=1, keepdims=True)
        yield shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
