"""The spatial FID of ADM: the Fréchet distance of features that keep their place in the image."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from ..checks import level_number, truth
from .base import Metric, Need, Score
from .certainty import LEVEL, Certainty
from .feature_blocks import Given
from .fid_certainty import certainty_of
from .frechet import check_method, distance
from .moments import Statistics
from .rows import Rows

if TYPE_CHECKING:
    from ..fit import Fit

SPATIAL = Need("spatial", Statistics)
_ROWS = Need("spatial", Rows, optional=True)  # saved statistics, which lack these, count as exactly known


@dataclass(frozen=True)
class SFID(Metric):
    """Fréchet distance between the Gaussians fitted to the spatial features of two sets [1]_.

    The features are the first 7 channels of ``Mixed_6d.branch1x1``, 17 x 17 of them: 2023 numbers (ADM calls the layer
    ``mixed_6/conv``). ADM's is the definition in use [2]_, so there is one convention, "adm".

    Parameters
    ----------
    method : {"auto", "schur"}
        How to compute the trace term; see `frechet_distance`. ADM's own is "schur".
    certainty : bool
        Whether to compute the bias, the noise and the limits as well, as `FID` does. That needs 6069 images a side.
    level : float
        Confidence level of the limits of `certainty`.

    Notes
    -----
    ``Score.parts`` has ``mean_term``, ``trace_term``, ``error_estimate`` and ``rank``, as for `FID`.

    References
    ----------
    .. [1] C. Nash et al. (2021), "Generating images with sparse representations".
    .. [2] P. Dhariwal and A. Nichol (2021), "Diffusion models beat GANs on image synthesis".

    Examples
    --------
    >>> SFID().needs[0].role
    'spatial'
    """

    method: str = "auto"
    certainty: bool = False
    level: float = LEVEL

    name: ClassVar[str] = "sfid"

    def __post_init__(self) -> None:
        """Check the parameters."""
        check_method(self.method)
        truth("certainty", self.certainty)
        level_number(self.level)

    @property
    def needs(self) -> tuple[Need, ...]:
        """The moments, and the rows for the certainty."""
        return (SPATIAL, *([_ROWS] if self.certainty else []))

    def value(self, a: "Fit", b: "Fit") -> Score:
        """Compute the distance, its terms and its error estimate."""
        sides = [cast(Statistics, side[SPATIAL]) for side in (a, b)]
        result = distance(sides[0].gaussian(), sides[1].gaussian(), method=self.method)
        warnings = [
            f"few-images: sfid: {side.n} images of the {name} side are fewer than {side.dims} dims; it is exact but "
            "biased upwards"
            for name, side in zip(("first", "second"), sides, strict=True)
            if side.n is not None and side.n < side.dims
        ]
        if result.offset:
            warnings.append(f"sfid: no usable square root: {result.offset:g} was added to both diagonals")
        return Score(
            value=result.value,
            parts=result.parts(),
            convention="adm",
            parameters={"method": self.method},
            n=(sides[0].n, sides[1].n),
            better="lower",
            warnings=tuple(warnings),
            certainty=self._certainty(a, b),
        )

    def _certainty(self, *sides: "Fit") -> Certainty | None:
        if not self.certainty:
            return None
        x, y = (_given(side, name) for side, name in zip(sides, ("the first side", "the second side"), strict=True))
        return certainty_of(x, y, self.level)


def _given(side: "Fit", name: str) -> Given:
    moments, rows = cast(Statistics, side[SPATIAL]), cast(Rows | None, side.get(_ROWS))
    return Given(name, moments.gaussian(), moments.n, None if rows is None else rows.matrix)
