"""Precision, recall, density and coverage: how two sets of features overlap.

Around each image lies a ball that reaches to its k-th nearest neighbour in its own set. With a generated, b real:

    precision = share of a inside a ball of b           recall   = share of b inside a ball of a
    density   = balls of b around an image of a / k     coverage = share of the balls of b that hold an image of a

float32 rows -> squared distances, decided as in float64 -> counts. No matrix of all distances is kept.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..checks import one_of, seed_number, whole_number
from ..errors import InputError
from .base import Metric, Score
from .rows import ROWS, Rows

if TYPE_CHECKING:
    from ..fit import Fit

_WANTED_COVERAGE = 0.95  # by which Naeem et al. choose k and the numbers of images


class _Tool(NamedTuple):
    """How a tool draws the balls, and the random subset of each side that it takes."""

    k: int
    strict: bool  # whether an image at the radius itself is outside
    subset_size: int | None = None
    subset_seed: int | None = None


TOOLS = {
    "prdc": _Tool(5, strict=True),
    "torch-fidelity": _Tool(3, strict=False),
    "adm": _Tool(3, strict=False),
    "dgm-eval": _Tool(5, strict=True, subset_size=10_000, subset_seed=13579),
}


@dataclass(frozen=True)
class PRDC(Metric):
    """Precision and recall [1]_, density and coverage [2]_, of the generated first side and the real second one.

    Parameters
    ----------
    convention : {"prdc", "torch-fidelity", "adm", "dgm-eval"}
        Whose k, and whether an image exactly at the radius is inside. "prdc": k = 5, outside. "torch-fidelity" and
        "adm": k = 3, inside, as in [1]_. "dgm-eval": k = 5, outside, and a random 10,000 images of each side. The
        default is "prdc", the code of the authors of [2]_: it defines all four, and it uses every image.
    k : int, optional
        Which nearest neighbour the radius reaches to, by default the convention's.
    subset_size, subset_seed : int, optional
        "dgm-eval" only: images of each side, by default 10,000 and at most the smaller side, and the seed that chooses
        them. They are chosen as after ``numpy.random.seed(subset_seed)``, first of the real side. dgm-eval sets its
        seed, 13579, only when it cuts a data set to 50,000 images, and draws other random numbers in between.

    Notes
    -----
    ``Score.value`` is the precision, and ``Score.parts`` has ``precision``, ``recall``, ``density`` and ``coverage``;
    with "torch-fidelity" also its ``f_score``. torch-fidelity and ADM define only precision and recall: the other two
    are by the same rule.

    The features are those of the run's model. torch-fidelity takes VGG16 unless it is told otherwise, ADM pool3, and
    dgm-eval DINOv2. ADM computes distances in float16; here they are exact.

    An image with k exact copies in its own set has a ball of radius 0. Nothing lies strictly inside it, not even
    another copy, so with "prdc" two sets that consist of such copies have a precision of 0.

    "prdc" and "dgm-eval" warn of such balls, and if two sets of one distribution have an expected coverage below 0.95.

    References
    ----------
    .. [1] T. Kynkäänniemi et al. (2019), "Improved precision and recall metric for assessing generative models".
    .. [2] M. F. Naeem et al. (2020), "Reliable fidelity and diversity metrics for generative models".

    Examples
    --------
    >>> PRDC(k=3).name, PRDC("torch-fidelity").convention
    ('prdc', 'torch-fidelity')
    """

    convention: str = "prdc"
    k: int | None = None
    subset_size: int | None = None
    subset_seed: int | None = None

    name: ClassVar[str] = "prdc"
    needs = (ROWS,)

    def __post_init__(self) -> None:
        """Check the parameters."""
        one_of("convention", self.convention, TOOLS)
        if self.k is not None:
            whole_number("k", self.k, 1)
        given = [name for name in ("subset_size", "subset_seed") if getattr(self, name) is not None]
        if given and self._tool.subset_size is None:
            raise InputError(f"{given[0]} needs the convention dgm-eval; {self.convention} takes every image")
        if self.subset_size is not None:
            whole_number("subset_size", self.subset_size, 2)
        if self.subset_seed is not None:
            seed_number(self.subset_seed)

    @property
    def _tool(self) -> _Tool:
        return TOOLS[self.convention]

    def check(self, *n: int | None) -> None:
        """Raise `InputError` if a side has no k-th nearest neighbour, because it has k images or fewer."""
        k, size = self.k or self._tool.k, self._subset_size(*n)
        least = min((count for count in (*n, size) if count is not None), default=k + 1)
        if k >= least:
            raise InputError(f"prdc: k={k} needs at least {k + 1} images of each side, got {least}; give a smaller k")

    def value(self, a: "Fit", b: "Fit") -> Score:
        """Count which images lie in which balls."""
        x, y = (cast(Rows, side[ROWS]).matrix for side in (a, b))
        n = len(x), len(y)
        self.check(*n)
        k, strict = self.k or self._tool.k, self._tool.strict
        parameters: dict[str, Any] = {"k": k, "inside": "d < radius" if strict else "d <= radius"}
        if (size := self._subset_size(*n)) is not None:
            seed = self._tool.subset_seed if self.subset_seed is None else self.subset_seed
            rng = np.random.RandomState(seed)
            y, x = (rows[rng.choice(len(rows), size, replace=False)] for rows in (y, x))
            parameters |= {"subset_size": size, "subset_seed": seed}
        radii_x, radii_y = radii(x, k), radii(y, k)
        parts = overlap(x, y, radii_x, radii_y, strict=strict, k=k)
        if self.convention == "torch-fidelity":
            p, r = parts["precision"], parts["recall"]
            parts["f_score"] = 2 * p * r / max(1e-5, p + r)
        warnings: tuple[str, ...] = ()
        if strict:  # the other tools have no coverage, and their balls are never empty
            warnings = _few_images(len(x), len(y), k) + _empty_balls(radii_x, radii_y)
        return Score(parts["precision"], parts, self.convention, parameters, n, "higher", warnings)

    def _subset_size(self, *n: int | None) -> int | None:
        """Return the number of images that the tool takes of each side; None if it takes all."""
        size = self.subset_size or self._tool.subset_size
        return None if size is None else min([size, *(count for count in n if count is not None)])


def radii(rows: NDArray[np.floating], k: int) -> NDArray[np.float64]:
    """Return the squared distance of each row (n, dims) to its k-th nearest neighbour, shape (n,)."""
    return np.ascontiguousarray(_core.nearest(rows, rows, k, True)[1][:, -1])


def overlap(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    radii_x: NDArray[np.float64],
    radii_y: NDArray[np.float64],
    *,
    strict: bool,
    k: int,
) -> dict[str, float]:
    """Return precision, recall, density and coverage of generated rows x and real rows y with these squared radii."""
    in_y, in_x, nearest_y = _core.balls(x, y, radii_x, radii_y, strict)
    return {
        "precision": float(np.mean(in_y > 0)),
        "recall": float(np.mean(in_x > 0)),
        "density": int(in_y.sum()) / (k * len(x)),
        "coverage": float(np.mean(nearest_y < radii_y if strict else nearest_y <= radii_y)),
    }


def expected_coverage(n: int, m: int, k: int) -> float:
    """Return the expected coverage of `m` real images by `n` generated ones of the same distribution.

    ``1 - prod (m - i) / (n + m - i)`` over i = 1..k: all k nearest of the other n + m - 1 images are real (Naeem et al.
    2020, lemma 2).

    Examples
    --------
    >>> round(expected_coverage(10_000, 10_000, 5), 4)
    0.9688
    """
    i = np.arange(1, k + 1)
    return float(1 - np.prod((m - i) / (n + m - i)))


def _few_images(n: int, m: int, k: int) -> tuple[str, ...]:
    expected = expected_coverage(n, m, k)
    if expected >= _WANTED_COVERAGE:
        return ()
    return (
        f"few-images: prdc: with k={k}, {n} generated and {m} real images, even two sets of one distribution have an "
        f"expected coverage of {expected:.3f}; its authors choose k and n so that it is above {_WANTED_COVERAGE}",
    )


def _empty_balls(radii_x: NDArray[np.float64], radii_y: NDArray[np.float64]) -> tuple[str, ...]:
    counts = {"generated": np.count_nonzero(radii_x == 0), "real": np.count_nonzero(radii_y == 0)}
    return tuple(
        f"duplicates: prdc: {count} {side} images have k exact copies or more: their balls have radius 0 and are empty"
        for side, count in counts.items()
        if count
    )
