"""The result of `plan`."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from ._core import __version__
from .fit import Side
from .metrics.inception_noise import BIAS_TIMES, NOISE_TIMES
from .numbers_shown import decimals, markdown, rounded_up


@dataclass(frozen=True)
class Reading:
    """What the FID of some numbers of images reads.

    Attributes
    ----------
    n, m : int or None
        Number of generated and of real images; None for a side that is exactly known.
    fid : float
        Its mean, as `score` and other tools give it.
    standard_deviation : float
        By how much it differs from one draw of images to the next.
    bias : float
        The part of `fid` that comes from the finite number of images.
    """

    n: int | None
    m: int | None
    fid: float
    standard_deviation: float
    bias: float


@dataclass(frozen=True)
class Plan:
    """How many images a FID needs.

    Attributes
    ----------
    fid : float
        The FID of infinitely many images that this is about, with the bias of the pilot removed.
    n : int or None
        Number of images that gives the wanted standard deviation; None if nothing was wanted, or for the `reason`.
    standard_deviation, half_width : float or None
        What was wanted. The second is None if the first was given.
    level : float
        Confidence level of `half_width`.
    reference : int or None
        Number of real images, if it stays as it is.
    dims : int
    readings : tuple of Reading
        For 1,000, 2,000, 5,000, 10,000 and 50,000 images.
    rule_of_thumb : bool
        True if there was no pilot.
    reason : str
        Why no number of images suffices; "" if one does.
    a, b : Side or None
        The two sides of the pilot.
    standard_error : float or None
        That of `fid`, from the pilot.
    warnings, notes : tuple of str
        Messages issued during the run.
    """

    fid: float
    n: int | None
    standard_deviation: float | None
    half_width: float | None
    level: float
    reference: int | None
    dims: int
    readings: tuple[Reading, ...]
    rule_of_thumb: bool
    reason: str = ""
    a: Side | None = None
    b: Side | None = None
    standard_error: float | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join([self.table(), *self.conclusion, self.citation])

    def of_pilot(self, a: Side, b: Side, error: float, warnings: tuple[str, ...], notes: tuple[str, ...]) -> "Plan":
        """Return the plan with what is known about its pilot."""
        return replace(self, a=a, b=b, standard_error=error, warnings=warnings, notes=notes)

    @property
    def citation(self) -> str:
        """What to state beside the numbers."""
        pilot = "rule of thumb"
        if self.a and self.b:
            counts = ("exact statistics" if n is None else f"{n} images" for n in (self.a.n, self.b.n))
            pilot = f"pilot of {' and '.join(counts)}"
        return f"fastfid {__version__}; {pilot}; {self.dims} dims"

    @property
    def conclusion(self) -> tuple[str, ...]:
        """What the plan says, in sentences."""
        return tuple(_sentences(self))

    def table(self) -> str:
        """Return a Markdown table: what the FID of some numbers of images reads."""
        return "\n".join(_rows(self))

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as plain data for JSON."""
        facts = {name: value for name, value in vars(self).items() if name not in ("a", "b", "readings")}
        return {
            **facts,
            "readings": [asdict(reading) for reading in self.readings],
            "a": self.a.as_dict() if self.a else None,
            "b": self.b.as_dict() if self.b else None,
            "conclusion": list(self.conclusion),
            "citation": self.citation,
        }


def _sentences(plan: Plan) -> Iterator[str]:
    if plan.standard_error is not None:
        digits = decimals(plan.standard_error)
        yield f"FID without bias: {plan.fid:.{digits}f} ± {plan.standard_error:.{digits}f}, from this pilot."
        if plan.fid < 2 * plan.standard_error:
            yield (
                "That is less than two standard errors from 0. If the true FID is larger than this estimate, so are "
                "the numbers below and in the table."
            )
    if plan.standard_deviation is not None:
        wanted = f"a standard deviation of {plan.standard_deviation:.3g}"
        if plan.half_width is not None:
            wanted = f"{100 * plan.level:g} % limits of ± {plan.half_width:g}"
        if plan.n is None:
            yield f"No number of images gives {wanted}: {plan.reason}."
        else:
            yield f"For {wanted}: {_growing(plan, rounded_up(plan.n))}."
            if plan.n < 3 * plan.dims:
                yield f"Use at least {3 * plan.dims}: with fewer than 3 for each dim, certainty cannot be computed."
    if plan.rule_of_thumb:
        yield (
            "This is a rule of thumb for Inception's 2048 features, from one set of photographs of flowers. Where it "
            f"was checked, the true bias was {BIAS_TIMES[0]:g} to {BIAS_TIMES[1]:g} times the one above, and the true "
            f"standard deviation {NOISE_TIMES[0]:g} to {NOISE_TIMES[1]:g} times. A pilot is surer: fastfid plan A B, "
            f"with at least {3 * plan.dims} images a side."
        )
    yield (
        '"FID reads" is what fastfid and other tools print for so many images, on average. It falls as their number '
        "grows, because its bias falls: compare only FIDs of equally many images, or use certainty and rank."
    )


def _growing(plan: Plan, n: int) -> str:
    reading = plan.readings[0]
    if plan.reference is not None:
        return f"{n} generated images, with {plan.reference} real ones"
    if reading.n is None:
        return f"{n} real images; the generated side is exactly known"
    return f"{n} generated images" if reading.m is None else f"{n} images on each side"


def _rows(plan: Plan) -> Iterator[str]:
    yield markdown(["generated images", "real images", "FID reads", "standard deviation", "bias in it"])
    yield markdown(["---:"] * 5)
    for reading in plan.readings:
        digits = decimals(reading.standard_deviation)
        numbers = (reading.fid, reading.standard_deviation, reading.bias)
        counts = ("exact" if count is None else str(count) for count in (reading.n, reading.m))
        yield markdown([*counts, *(f"{number:.{digits}f}" for number in numbers)])
