"""The plots of a report, as marks of an SVG that the template writes. All text is escaped there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import floor, log10
from typing import Any

from ..metrics.certainty import Certainty
from .chance import Chance
from .directions import Direction
from .spectra import Spectrum
from .subsets import Subset
from .verdict import shown_as

WIDTH = 420.0  # small, so that text is readable where the page is narrow
_LEFT = 46.0
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_WIDE = 7.2  # of a character, at most


@dataclass(frozen=True)
class Mark:
    """One element of an SVG."""

    tag: str
    attributes: dict[str, Any]
    text: str = ""


@dataclass(frozen=True)
class Plot:
    """A plot with what a screen reader says of it."""

    id: str
    height: float
    title: str
    description: str
    marks: Sequence[Mark] = field(default_factory=list)
    width: float = WIDTH


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Mark:
    """Return a line of a class of the style sheet."""
    return Mark("line", {"x1": _at(x1), "y1": _at(y1), "x2": _at(x2), "y2": _at(y2), "class": kind})


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> Mark:
    """Return a text; `anchor` is start, middle or end."""
    return Mark("text", {"x": _at(x), "y": _at(y), "class": kind or None, "text-anchor": anchor}, words)


def centred(x: float, y: float, words: str, kind: str) -> Mark:
    """Return a text around x, moved so far that it ends within the plot."""
    half = _WIDE * len(words) / 2
    return text(min(max(x, half), WIDTH - half), y, words, kind, "middle")


def circle(x: float, y: float, kind: str) -> Mark:
    """Return a dot."""
    return Mark("circle", {"cx": _at(x), "cy": _at(y), "r": 4, "class": kind})


def path(points: Sequence[tuple[float, float]], kind: str) -> Mark:
    """Return a line through points."""
    return Mark("path", {"d": "M" + "L".join(f"{_at(x)} {_at(y)}" for x, y in points), "class": kind})


def rectangle(x: float, y: float, width: float, height: float, kind: str) -> Mark:
    """Return a filled rectangle."""
    return Mark("rect", {"x": _at(x), "y": _at(y), "width": _at(width), "height": _at(height), "class": kind})


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return round numbers between two others.

    Examples
    --------
    >>> ticks(0, 6.3)
    [0.0, 2.0, 4.0, 6.0]
    """
    rough = (high - low) / about
    unit = 10.0 ** floor(log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough * 0.999)
    first = -floor(-low / step + 1e-9)
    return [step * k + 0.0 for k in range(first, floor(high / step + 1e-9) + 1)]


def ruler(sure: Certainty) -> Plot:
    """Return the FID, its noise floor and its value without bias on one axis."""
    number = shown_as(sure)
    value, corrected, low, high = (float(v or 0.0) for v in (sure.value, sure.corrected, sure.low, sure.high))
    left, right, rows = 112.0, WIDTH - 14, [("FID as read", value)]
    if sure.noise_floor is not None:
        rows.append(("noise floor", sure.noise_floor))
    least, most = min(0.0, corrected), max(value, high, sure.noise_floor or 0.0) * 1.04
    scale = Scale(least, most or 1.0, left, right)
    bottom = 26.0 * (len(rows) + 1) + 10
    marks = list(scale.axis(bottom, 6))
    for k, (name, at) in enumerate(rows):
        y = 20 + 26.0 * k
        marks += [text(left - 12, y + 4, name, "name", "end"), line(scale(0), y, scale(at), y, "stem")]
        marks += [circle(scale(at), y, "dot" if k == 0 else "hollow"), _beside(scale(at), y, number(at))]
    y = 20 + 26.0 * len(rows)
    marks += [text(left - 12, y + 4, "without bias", "name", "end")]
    marks += [line(scale(low), y, scale(high), y, "limits"), line(scale(low), y - 5, scale(low), y + 5, "cap")]
    marks += [line(scale(high), y - 5, scale(high), y + 5, "cap"), circle(scale(corrected), y, "dot")]
    marks.append(_beside(scale(max(high, corrected)), y, f"{number(low)} to {number(high)}"))
    beside = "" if sure.noise_floor is None else f" The noise floor is {number(sure.noise_floor)}."
    return Plot(
        "ruler",
        bottom + 24,
        f"The FID beside {'its noise floor and ' if beside else ''}its value without bias",
        f"The FID reads {number(value)}.{beside} Without bias it is {number(corrected)}, with "
        f"{100 * sure.level:g}% limits {number(low)} to {number(high)}.",
        marks,
    )


def _beside(x: float, y: float, words: str) -> Mark:
    if x + 10 + _WIDE * len(words) > WIDTH:
        return text(x - 10, y - 8, words, "value", "end")
    return text(x + 10, y + 4, words, "value")


def terms(mean: float, covariance: float) -> Plot:
    """Return the two terms of the FID as parts of one bar."""
    parts = [("means", mean), ("covariances", covariance)]
    whole = sum(max(part, 0.0) for _, part in parts) or 1.0
    cut = (WIDTH - 4) * max(mean, 0.0) / whole
    shown = [f"{name} {part:.4g} ({max(part, 0.0) / whole:.0%})" for name, part in parts]
    marks = [rectangle(0, 0, cut, 18, "part-mean"), rectangle(cut + 4, 0, WIDTH - 4 - cut, 18, "part-covariance")]
    marks += [text(0, 36, shown[0], "name"), text(WIDTH, 36, shown[1], "name", "end")]
    return Plot("terms", 40, "The two terms of the FID", f"{'; '.join(shown)}.", marks)


def growth(subsets: Sequence[Subset], sure: Certainty | None) -> Plot:
    """Return the FID against the number of images, and what more images would read."""
    place = 0 if subsets[-1].n[0] is not None else 1
    sizes, fids = [float(each.n[place] or 0) for each in subsets], [each.fid for each in subsets]
    whole, end = sizes[-1], sizes[-1]
    expected: list[tuple[float, float]] = []
    lines: list[Mark] = []
    if sure is not None and sure.corrected is not None:
        end = 8 * whole
        more = [whole * 2 ** (k / 4) for k in range(13)]
        expected = [(n, sure.corrected + (sure.bias or 0.0) * whole / n) for n in more]
    values = [*fids, *(fid for _, fid in expected), sure.corrected or 0.0 if sure else 0.0, 0.0]
    across = Scale(log10(sizes[0]), log10(end), _LEFT, WIDTH - 14)
    up = Scale(min(values), max([*values, (sure.high or 0.0) if sure else 0.0]) * 1.05 or 1.0, 196, 14)
    if sure is not None and sure.corrected is not None:
        number = shown_as(sure)
        low, high = up(sure.low or 0.0), up(sure.high or 0.0)
        lines = [rectangle(_LEFT, high, WIDTH - 14 - _LEFT, low - high, "band")]
        lines += [line(_LEFT, up(sure.corrected), WIDTH - 14, up(sure.corrected), "without")]
        lines += [text(_LEFT + 6, max(low, up(sure.corrected)) - 5, f"FID∞ {number(sure.corrected)}", "value")]
        lines += [path([(across(log10(n)), up(fid)) for n, fid in expected], "expected")]
    points = [(across(log10(n)), up(fid)) for n, fid in zip(sizes, fids, strict=True)]
    marks = [*up.grid(_LEFT, WIDTH - 14), *across.powers(196, sizes[0], end), *lines, path(points, "through")]
    marks += [circle(x, y, "dot" if k == len(points) - 1 else "hollow") for k, (x, y) in enumerate(points)]
    marks.append(text((_LEFT + WIDTH - 14) / 2, 232, f"images of {'AB'[place]}", "name", "middle"))
    read = ", ".join(f"{fid:.4g} of {n:.0f}" for n, fid in zip(sizes, fids, strict=True))
    beyond = "" if sure is None or sure.corrected is None else f" For infinitely many images: {number(sure.corrected)}."
    return Plot("growth", 240, "FID against the number of images", f"The FID reads {read} images.{beyond}", marks)


def spectrum(shares: Sequence[float], chance: Chance | None) -> Plot:
    """Return the share of the FID along each of the leading directions, and what they hold by chance."""
    by_chance = chance.shares if chance else ()
    up = Scale(0.0, max([*shares, *by_chance, chance.limit if chance else 0.0]) * 1.08, 150, 12)
    wide = (WIDTH - 14 - _LEFT) / len(shares)
    marks = [*up.grid(_LEFT, WIDTH - 14, "%")]
    for k, share in enumerate(shares):
        x = _LEFT + wide * k
        marks.append(rectangle(x + wide * 0.12, up(share), wide * 0.76, 150 - up(share), "bar"))
        if k == 0 or (k + 1) % 5 == 0:
            marks.append(text(x + wide / 2, 166, str(k + 1), "tick", "middle"))
    marks += [
        line(_LEFT + wide * k, up(share), _LEFT + wide * (k + 1), up(share), "by-chance")
        for k, share in enumerate(by_chance[: len(shares)])
    ]
    marks.append(text((_LEFT + WIDTH - 14) / 2, 184, "direction", "name", "middle"))
    listed = ", ".join(f"{share:.1%}" for share in shares)
    beside = f" By chance: {', '.join(f'{share:.1%}' for share in by_chance)}." if by_chance else ""
    return Plot(
        "spectrum", 192, "Share of the FID along the leading directions", f"From the first on: {listed}.{beside}", marks
    )


def eigenvalues(spectra: Sequence[Spectrum]) -> Plot | None:
    """Return the eigenvalues of both covariances on logarithmic scales; None if a side does not vary."""
    if not all(spectrum.values for spectrum in spectra):
        return None
    values = [value for spectrum in spectra for value in spectrum.values]
    last = max(spectrum.places[-1] for spectrum in spectra)
    across = Scale(0.0, log10(max(last, 2)), _LEFT, WIDTH - 14)
    up = Scale(log10(min(values)) - 0.1, log10(max(values)) + 0.1, 150, 12)
    powers = range(floor(up.low) + 1, floor(up.high) + 1)
    marks = [line(_LEFT, 150, WIDTH - 14, 150, "axis"), *across.powers(150, 1, max(last, 2))]
    for power in powers:
        if len(powers) < 8 or power % 2 == 0:
            marks += [line(_LEFT, up(power), WIDTH - 14, up(power), "grid")]
            marks += [text(_LEFT - 7, up(power) + 4, f"10{str(power).translate(_RAISED)}", "tick", "end")]
    for spectrum, kind in zip(spectra, "ab", strict=True):
        points = [(across(log10(k)), up(log10(v))) for k, v in zip(spectrum.places, spectrum.values, strict=True)]
        marks.append(path(points, f"line-{kind}"))
    marks.append(text((_LEFT + WIDTH - 14) / 2, 184, "main direction of each side", "name", "middle"))
    a, b = (f"from {each.values[0]:.3g} to {each.values[-1]:.3g} at {each.places[-1]}" for each in spectra)
    return Plot("eigenvalues", 192, "The variances of A and B along their main directions", f"A: {a}. B: {b}.", marks)


def histograms(direction: Direction, number: int) -> Plot:
    """Return the distribution of both sides along a direction."""
    edges = direction.edges
    across = Scale(edges[0], edges[-1] if edges[-1] > edges[0] else edges[0] + 1, 14, WIDTH - 14)
    up = Scale(0.0, max(max(counts) for counts in direction.counts) * 1.08, 96, 22)
    marks = list(across.axis(96, 6))
    for counts, kind in zip(direction.counts, "ab", strict=True):
        corners = [(across(edges[0]), up(0.0))]
        for k, count in enumerate(counts):
            corners += [(across(edges[k]), up(count)), (across(edges[k + 1]), up(count))]
        marks.append(path([*corners, (across(edges[-1]), up(0.0))], f"outline-{kind}"))
    for mean, kind, beside, anchor in ((direction.shift, "a", 4, "start"), (0.0, "b", -4, "end")):
        x = min(max(across(mean), 16.0), WIDTH - 16)
        marks += [line(x, 16, x, 96, f"mean-{kind}"), text(x + beside, 12, kind.upper(), f"letter-{kind}", anchor)]
    unit = direction.unit
    marks.append(text(WIDTH / 2, 130, f"standard deviations of {unit} from the mean of B", "name", "middle"))
    spreads = (f"{direction.spread:.3g}", "1" if unit == "B" else "0")
    return Plot(
        f"direction-{number}",
        136,
        f"The two sides along direction {number}",
        f"In standard deviations of {unit}: A has the mean {direction.shift:.3g} and the standard deviation "
        f"{spreads[0]}, B the mean 0 and the standard deviation {spreads[1]}.",
        marks,
    )


class Scale:
    """Maps numbers to places."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self.low, self.high = low, high if high > low else low + 1
        self.start, self.end = start, end

    def __call__(self, value: float) -> float:
        """Return the place of a number."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def axis(self, y: float, about: int) -> Iterator[Mark]:
        """Yield a horizontal axis with its numbers."""
        yield line(self.start, y, self.end, y, "axis")
        for value in ticks(self.low, self.high, about):
            yield line(self(value), y, self(value), y + 4, "axis")
            yield centred(self(value), y + 17, f"{value:g}", "tick")

    def grid(self, left: float, right: float, unit: str = "") -> Iterator[Mark]:
        """Yield horizontal lines with numbers on the left."""
        for value in ticks(self.low, self.high, 5):
            yield line(left, self(value), right, self(value), "grid" if value else "axis")
            words = f"{100 * value:.3g} %" if unit else f"{value:.3g}".replace("e+0", "e")
            yield text(left - 7, self(value) + 4, words, "tick", "end")

    def powers(self, y: float, first: float, last: float) -> Iterator[Mark]:
        """Yield numbers on a horizontal scale of powers of ten, with 2 and 5 between them if there is room."""
        factors = (1, 2, 5) if last < 200 * first else (1,)
        for power in range(floor(log10(first)), floor(log10(last)) + 1):
            for factor in factors:
                if first <= (value := factor * 10.0**power) <= last:
                    yield line(self(log10(value)), y, self(log10(value)), y + 4, "axis")
                    yield centred(self(log10(value)), y + 17, f"{value:,.0f}", "tick")


def _at(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
