"""The Fréchet Inception Distance as a metric."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from ..checks import seed_number
from .base import Metric, Need, Score
from .frechet import check_method, distance
from .intervals import Blocks, check_replicates, interval_of
from .moments import Statistics

if TYPE_CHECKING:
    from ..fit import Fit

MOMENTS = Need("features", Statistics)
_GROUPS = Need("features", Blocks, optional=True)  # saved statistics count as exactly known


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
    """

    method: str = "auto"
    bootstrap: int = 0
    seed: int = 0

    name: ClassVar[str] = "fid"

    def __post_init__(self) -> None:
        """Check the parameters."""
        check_method(self.method)
        check_replicates(self.bootstrap)
        seed_number(self.seed)

    @property
    def needs(self) -> tuple[Need, ...]:
        """The moments, and the groups of the jackknife if there is to be an interval."""
        return (MOMENTS, _GROUPS) if self.bootstrap else (MOMENTS,)

    def value(self, a: "Fit", b: "Fit") -> Score:
        """Compute the distance, its terms, its error estimate and its interval."""
        gaussians = [cast(Statistics, side[MOMENTS]).gaussian() for side in (a, b)]
        result = distance(gaussians[0], gaussians[1], method=self.method)
        interval = None
        if self.bootstrap:
            groups = [cast(Blocks | None, side.get(_GROUPS)) for side in (a, b)]
            interval = interval_of(gaussians, groups, result.value, self.bootstrap, self.seed)
        return Score(
            value=result.value,
            parts={**result.parts(), "interval": interval},
            convention="Heusel et al. (2017)",
            parameters={"method": self.method},
            n=(a.n, b.n),
            better="lower",
            warnings=_warnings(result.offset),
        )


def _warnings(offset: float) -> tuple[str, ...]:
    if not offset:
        return ()
    return (f"no usable square root: {offset:g} was added to the diagonals of both covariances",)
