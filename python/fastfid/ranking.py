"""The result of `rank`: generators from the best to the worst, and which of them can be told apart."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import floor, log10
from typing import Any

from ._core import __version__
from .fit import Side
from .numbers_shown import decimals
from .provenance import Provenance

BETTER, WORSE, UNSURE = "better", "worse", "cannot tell"
_GROWING = (
    "The other sets have to grow as much, the real one too.",
    "The other generators' sets have to grow as much.",
)


@dataclass(frozen=True)
class Standing:
    """One generator's FID, and its difference to the best. What is not known is None.

    Attributes
    ----------
    name : str
    n : int or None
        Number of images.
    fid : float
        As `score` gives it. With different numbers of images, these are not comparable.
    corrected, bias, standard_error, low, high : float or None
        ``fid - bias``, the part of the FID that comes from the finite number of images, and the standard error and
        limits of `corrected`, as in `Certainty`.
    difference : float or None
        `corrected` minus that of the best generator, whose own is 0.
    difference_error, difference_low, difference_high : float or None
        Standard error and limits of `difference`; None for the best. The limits are corrected for the number of
        generators.
    verdict : {"better", "worse", "cannot tell"}
        "worse" if `difference_low` is above 0. The best is "better" if all others are worse.
    images_to_tell : int or None
        With how many images of this generator, and as many times more of every other set, a true difference as large
        as the one seen would be told with a chance of 80 %. None if it is told already, or 100 million do not suffice.
    reason : str
        Why the fields from `corrected` on are None; "" if they are known.
    """

    name: str
    n: int | None
    fid: float
    corrected: float | None = None
    bias: float | None = None
    standard_error: float | None = None
    low: float | None = None
    high: float | None = None
    difference: float | None = None
    difference_error: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    verdict: str = UNSURE
    images_to_tell: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class Ranking:
    """Generators by their FID to the same real images, the best first.

    Attributes
    ----------
    standings : tuple of Standing
        By `corrected`; then those for which it is not known, by `fid`.
    real : Side
        Name and number of images of the real side.
    level : float
        Confidence level of all limits, and 1 minus the largest chance that the best generator is called worse.
    paired : bool
        Whether the generators were compared image by image.
    fixed : bool
        True if the real side has no images and counts as exactly known: the verdicts are then about the distance to
        that very mean and covariance, not to what the real images were drawn from.
    provenance : Provenance or None
        How the features were made; None if no side says.
    warnings, notes : tuple of str
        Messages issued during the run.
    """

    standings: tuple[Standing, ...]
    real: Side
    level: float
    paired: bool
    fixed: bool
    provenance: Provenance | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def best(self) -> Standing:
        """The first standing."""
        return self.standings[0]

    @property
    def citation(self) -> str:
        """What to state beside the numbers: version, numbers of images, weights."""
        made = self.provenance
        counts = dict.fromkeys(_count(one.n) for one in self.standings)
        facts = [
            f"fastfid {__version__}",
            f"n {', '.join(counts)} against {'exact statistics' if self.fixed else _count(self.real.n)}",
            "paired by image" if self.paired else "",
            f"mode {made.mode}" if made else "",
            f"{made.model} (SHA-256 {made.sha256[:12]})" if made else "",
        ]
        return "; ".join(fact for fact in facts if fact)

    def table(self) -> str:
        """Return a Markdown table: one line for each generator, the best first."""
        return "\n".join(_rows(self))

    @property
    def conclusion(self) -> tuple[str, ...]:
        """What the table says, in sentences."""
        return tuple(_sentences(self))

    def as_dict(self) -> dict[str, Any]:
        """Return the result as plain data for JSON."""
        return {
            "standings": [asdict(one) for one in self.standings],
            "conclusion": list(self.conclusion),
            "real": self.real.as_dict(),
            "level": self.level,
            "paired": self.paired,
            "fixed": self.fixed,
            "citation": self.citation,
            "provenance": asdict(self.provenance) if self.provenance else None,
            "warnings": list(self.warnings),
            "notes": list(self.notes),
        }


def rounded_up(n: int) -> int:
    """Return a number of images with two digits that is not smaller.

    Examples
    --------
    >>> rounded_up(81_234), rounded_up(82_000), rounded_up(7)
    (82000, 82000, 7)
    """
    unit = int(10 ** max(0, floor(log10(n)) - 1))
    return -(-n // unit) * unit


def markdown(cells: Sequence[str]) -> str:
    """Return a row of a Markdown table."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _rows(result: Ranking) -> Iterator[str]:
    percent = f"{100 * result.level:g} %"
    columns = ["generator", "images", "FID", "without bias", f"{percent} limits", "above the best by", "limits of that"]
    yield markdown([*columns, "verdict", "images to tell"])
    yield markdown(["---", "---:", "---:", "---:", "---:", "---:", "---:", "---", "---:"])
    errors = [e for one in result.standings for e in (one.standard_error, one.difference_error) if e]
    digits = decimals(min(errors, default=0.0))  # the same for all lines, so that they can be compared
    for one in result.standings:
        tell = "" if one.images_to_tell is None else str(rounded_up(one.images_to_tell))
        cells = [one.name, _count(one.n), f"{one.fid:.{digits}f}", _number(one.corrected, digits)]
        cells += [_limits(one.low, one.high, digits), _number(one.difference or None, digits)]
        yield markdown([*cells, _limits(one.difference_low, one.difference_high, digits), one.verdict, tell])


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _limits(low: float | None, high: float | None, digits: int) -> str:
    return "" if low is None else f"{_number(low, digits)} to {_number(high, digits)}"


def _count(n: int | None) -> str:
    return "unknown" if n is None else str(n)


def _sentences(result: Ranking) -> Iterator[str]:
    best, known = result.best, [one for one in result.standings if not one.reason]
    unsure = [one.name for one in known[1:] if one.verdict == UNSURE]
    if best.verdict == BETTER:
        yield f"{best.name} is better than {'the other' if len(known) == 2 else 'all others'}."
    elif unsure:
        yield f"{best.name} has the lowest FID without bias, but cannot be told from {', '.join(unsure)}."
    elif known:
        yield f"{best.name} has the lowest FID without bias, of those for which it is known."
    if worse := [one.name for one in known if one.verdict == WORSE]:
        yield f"Worse than {best.name}: {', '.join(worse)}."
    for one in result.standings:
        if one.reason:
            yield f"No verdict about {one.name}: {one.reason}."
    if len(known) > 1:
        yield (
            f"The chance that the best generator is called worse is at most {100 * (1 - result.level):.2g} %. This is "
            "about these images: training again changes a FID more than drawing images again."
        )
    if any(one.images_to_tell for one in known):
        yield (
            "Images to tell: with so many, a true difference of this size would be told with a chance of 80 %. "
            f"{_GROWING[result.fixed]}"
        )
    if result.fixed:
        yield f"{result.real.name} has no images and counts as exactly known."
    else:
        yield f"{result.real.name} counts as a sample of {_count(result.real.n)} images."
