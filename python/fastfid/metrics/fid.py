"""The Fréchet Inception Distance as a metric."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from ..checks import level_number, seed_number, truth
from .base import Metric, Need, Score
from .certainty import LEVEL, Certainty
from .feature_blocks import Given
from .fid_certainty import certainty_of
from .frechet import check_method, distance
from .intervals import Blocks, check_replicates, interval_of
from .moments import MOMENTS, Statistics
from .rows import Rows

if TYPE_CHECKING:
    from ..fit import Fit

# Saved statistics, which lack these, count as exactly known.
_GROUPS = Need("features", Blocks, optional=True)
_ROWS = Need("features", Rows, optional=True)
_TOO_ALIKE = 0.9999  # a p-value


@dataclass(frozen=True)
class FID(Metric):
    """Fréchet distance between the Gaussians fitted to the features of two sets.

    Parameters
    ----------
    method : {"auto", "schur"}
        How to compute the trace term; see `frechet_distance`.
    bootstrap : int
        Number of replicates for a 95 % confidence interval; 0 for none.
    seed : int
        Seed of the replicates.
    certainty : bool
        Whether to compute the bias, the noise and the limits as well; see `fastfid.certainty`. It keeps the features
        of all images, 8 KiB each at 2048 dims.
    level : float
        Confidence level of the limits of `certainty`.
    """

    method: str = "auto"
    bootstrap: int = 0
    seed: int = 0
    certainty: bool = False
    level: float = LEVEL

    name: ClassVar[str] = "fid"

    def __post_init__(self) -> None:
        """Check the parameters."""
        check_method(self.method)
        check_replicates(self.bootstrap)
        seed_number(self.seed)
        truth("certainty", self.certainty)
        level_number(self.level)

    @property
    def needs(self) -> tuple[Need, ...]:
        """The moments, the groups of the jackknife for an interval, and the rows for the certainty."""
        return (MOMENTS, *([_GROUPS] if self.bootstrap else []), *([_ROWS] if self.certainty else []))

    def value(self, a: "Fit", b: "Fit") -> Score:
        """Compute the distance, its terms, its error estimate and its interval."""
        gaussians = [cast(Statistics, side[MOMENTS]).gaussian() for side in (a, b)]
        result = distance(gaussians[0], gaussians[1], method=self.method)
        interval = None
        if self.bootstrap:
            groups = [cast(Blocks | None, side.get(_GROUPS)) for side in (a, b)]
            interval = interval_of(gaussians, groups, result.value, self.bootstrap, self.seed)
        sure = self._certainty(a, b)
        return Score(
            value=result.value,
            parts={**result.parts(), "interval": interval},
            convention="Heusel et al. (2017)",
            parameters={"method": self.method},
            n=(a.n, b.n),
            better="lower",
            warnings=_warnings(result.offset, sure),
            certainty=sure,
        )

    def _certainty(self, a: "Fit", b: "Fit") -> Certainty | None:
        if not self.certainty:
            return None
        return certainty_of(Given.of(a, "the first side"), Given.of(b, "the second side"), self.level)


def _warnings(offset: float, sure: Certainty | None) -> tuple[str, ...]:
    found = []
    if offset:
        found.append(f"no usable square root: {offset:g} was added to the diagonals of both covariances")
    if sure is not None and sure.p_value is not None and sure.p_value > _TOO_ALIKE:
        found.append(
            "too-alike: the sets are more alike than independent sets from one source: if they share images, or one "
            "was made from the other, the limits of the FID do not hold"
        )
    return tuple(found)
