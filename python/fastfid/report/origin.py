"""What the directions and influences say, and whether they say anything beyond chance."""

from typing import TYPE_CHECKING

from .chance import Chance
from .directions import Direction, End
from .evidence import Evidence
from .verdict import TOO_ALIKE

if TYPE_CHECKING:
    from ..comparison import Comparison

_FEW = 3  # directions
_MOSTLY, _RARELY = 0.75, 0.25


def is_noise(result: "Comparison") -> bool:
    """Whether the FID is one that two sets from one source may have."""
    sure = result.scores["fid"].certainty if "fid" in result.scores else None
    p = None if sure is None else sure.p_value
    return sure is not None and p is not None and 1 - sure.level <= p <= TOO_ALIKE


def is_too_alike(result: "Comparison") -> bool:
    """Whether the two sides cannot be independent, so that the formulas for chance do not hold."""
    sure = result.scores["fid"].certainty if "fid" in result.scores else None
    return sure is not None and sure.p_value is not None and sure.p_value > TOO_ALIKE


def measure(result: "Comparison", evidence: Evidence) -> Chance | None:
    """Return what chance shows, if that is a measure for these sides."""
    return None if is_too_alike(result) else evidence.chance


def standing_out(result: "Comparison", evidence: Evidence) -> tuple[int, str]:
    """Return how many of the leading directions can be interpreted, and what to say of all of them."""
    sure, chance, shares = result.scores["fid"].certainty, evidence.chance, evidence.shares
    if is_too_alike(result):
        return len(shares), "The two sides share images, or one was made from the other, so chance is no measure here."
    if is_noise(result):
        return 0, (
            "The FID may be noise, and so may its directions: two sets from one source have some as well. None is "
            "interpreted here."
        )
    if chance is None:
        if sure is not None and sure.p_value is not None:
            return len(shares), "The FID is more than noise. Of a single direction, that cannot be said here."
        return len(shares), "Whether they are more than noise cannot be said here."
    found = sum(share > chance.limit for share in shares)
    if not found:
        return 0, (
            "No direction stands out from chance: the difference is spread over many directions, or it is noise. None "
            "is interpreted here."
        )
    held = sum(shares[:found])
    which = "All that are shown stand" if found == len(shares) else f"The first {found} stand" if found > 1 else ""
    text = f"{which or 'Only the first stands'} out from chance, with {held:.0%} of the FID."
    few = found <= _FEW and held > 0.5
    return found, f"{text} So the difference has few main causes." if few else text


def course(direction: Direction) -> str:
    """Describe a direction in words."""
    if direction.unit == "A":
        return "B does not vary along it at all."
    shift = f"{direction.shift:.1f} standard deviations of B to the right of B's"
    if direction.shift < 0.05:
        shift = "about where B's is"
    return f"The mean of A is {shift}, and A spreads {direction.spread:.2g} times as widely as B."


def owner(end: End) -> str:
    """Say which side an end of a direction belongs to."""
    if end.of_a >= _MOSTLY:
        return f"mostly A: {end.of_a:.0%} of the outermost images"
    if end.of_a <= _RARELY:
        return f"mostly B: {1 - end.of_a:.0%} of the outermost images"
    return f"both sides: {end.of_a:.0%} of the outermost images are of A"
