"""From a comparison to the plain data that the template shows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from .._core import __version__
from ..checks import counted
from ..fit import Side
from ..numbers_shown import decimals
from . import origin, plots
from .advice import advice_on
from .closest import Closest, Pair
from .directions import Direction, Shown
from .evidence import Evidence
from .scores import classes_of, score_rows, without_limits
from .thumbnails import Picture
from .verdict import chance, plain, sentence, shown_as, verdict_of

if TYPE_CHECKING:
    from ..comparison import Comparison

_ASK = "not asked for; compare(..., report=True), or --report on the command line, computes this part"
_MOST_LISTED = 50  # files that were left out
_SHOWN = 3  # directions with images
_PAIRS = {
    "ab": ("Between A and B", "an image of A that shows the same as one of B may be a copied training image"),
    "aa": ("Within A", "pairs that show the same are of a generator that repeats itself"),
    "bb": ("Within B", "pairs that show the same are copies among the real images"),
}


@dataclass(frozen=True)
class Card:
    """A picture with its name and the reason why it is shown."""

    side: str
    name: str
    note: str
    picture: Picture


def page_of(result: "Comparison", *, thumbnails: bool) -> dict[str, Any]:
    """Return everything that the template shows."""
    sides = [side for side in (result.a, result.b) if side]
    evidence = result.evidence or Evidence(
        absent=dict.fromkeys(("directions", "spectra", "subsets", "influential", "closest"), _ASK)
    )
    gallery = _Gallery(evidence, sides, thumbnails=thumbnails)
    return {
        "version": __version__,
        "title": " and ".join(_last(side.name) for side in sides),
        "verdict": verdict_of(result),
        "cautions": list(_cautions(result)),
        "sides": [_side(side, letter) for side, letter in zip(sides, "AB", strict=False)],
        "facts": list(_facts(result)),
        "ruler": _ruler(result),
        "floor": "fid" in result.scores and result.certainty is not None and result.certainty.noise_floor is not None,
        "fid": "fid" in result.scores,
        "scores": list(score_rows(result.scores, tuple(side.n for side in sides))),
        "without_limits": without_limits(result.scores),
        "warnings": [advice_on(warning) for warning in result.warnings],
        "notes": result.notes,
        "absent": {name: sentence(reason) for name, reason in evidence.absent.items()},
        "terms": _terms(result) if "fid" in result.scores else None,
        **_plots(result, evidence),
        **_origin(result, evidence, gallery),
        "influential": [gallery.cards(i, shown, "{:.4g}") for i, shown in enumerate(evidence.influential)],
        "closest": [_pairs(name, found, gallery) for name, found in evidence.closest.items()],
        "own": "B" if "bb" in evidence.closest else "A",
        "copies": _copies(evidence.copies),
        "without": [reason for reason in dict.fromkeys(gallery.without) if reason],
        "classes": classes_of(result, evidence),
        "left_out": [_left_out(side, letter) for side, letter in zip(sides, "AB", strict=False) if side.rejected],
        "made": list(_made(result)),
        "citation": result.citation,
        "command": result.command,
    }


def _last(path: str) -> str:
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2] or path


def _cautions(result: "Comparison") -> Iterator[str]:
    """What a reader has to know before the numbers."""
    for note in result.notes:
        if note.endswith("not comparable with published FIDs"):
            yield sentence(note)
    for name in result.certainty.fixed if "fid" in result.scores and result.certainty else ():
        yield f"{name.upper()} is statistics without images, and counts as exactly known."
    other = result.baseline
    if other is not None and other.difference is not None and other.standard_error is not None:
        digits = decimals(other.standard_error)
        low, high = f"{other.low:.{digits}f}", f"{other.high:.{digits}f}"
        yield (
            f"Without bias, the FID is {other.difference:+.{digits}f} above that of the baseline {other.name}, between "
            f"{low} and {high} ({100 * other.level:g}% limits)."
        )


def _side(side: Side, letter: str) -> dict[str, Any]:
    n = "an unknown number of" if side.n is None else f"{side.n:,}"
    return {"letter": letter, "name": side.name, "n": n, "rejected": len(side.rejected)}


def _facts(result: "Comparison") -> Iterator[tuple[str, str, float | None]]:
    """Yield the key numbers: name, text and value."""
    if "fid" not in result.scores:
        return
    sure = result.certainty
    if sure is None or sure.standard_error is None:
        yield "FID", plain(result.fid), result.fid
        return
    number = shown_as(sure)
    yield "FID", number(result.fid), result.fid
    yield "without bias", f"{number(sure.corrected)} ± {number(sure.standard_error)}", sure.corrected
    yield f"{100 * sure.level:g}% limits", f"{number(sure.low)} to {number(sure.high)}", None
    if sure.noise_floor is not None:
        yield "noise floor", number(sure.noise_floor), sure.noise_floor
    if sure.p_value is not None:
        yield "p-value", chance(sure.p_value), sure.p_value


def _ruler(result: "Comparison") -> plots.Plot | None:
    sure = result.certainty if "fid" in result.scores else None
    return plots.ruler(sure) if sure and sure.standard_error is not None else None


def _terms(result: "Comparison") -> plots.Plot | None:
    """Return the two terms, without rounding; None if nothing is left."""
    rounding = result.error_estimate  # NaN if it is not known
    mean, covariance = (0.0 if abs(term) <= rounding else term for term in (result.mean_term, result.trace_term))
    return plots.terms(mean, covariance) if mean or covariance else None


def _plots(result: "Comparison", evidence: Evidence) -> dict[str, Any]:
    sure = result.certainty if "fid" in result.scores and not origin.is_too_alike(result) else None
    return {
        "beyond": sure is not None and sure.corrected is not None,
        "growth": plots.growth(evidence.subsets, sure) if evidence.subsets and _terms(result) else None,
        "spectrum": plots.spectrum(evidence.shares, origin.measure(result, evidence)) if evidence.shares else None,
        "eigenvalues": plots.eigenvalues(evidence.spectra) if evidence.spectra else None,
    }


def _origin(result: "Comparison", evidence: Evidence, gallery: "_Gallery") -> dict[str, Any]:
    found, text = origin.standing_out(result, evidence) if evidence.shares else (0, "")
    totals = [spectrum.total for spectrum in evidence.spectra]
    return {
        "standing_out": text,
        "by_chance": evidence.shares and origin.measure(result, evidence) is not None,
        "noise": origin.is_noise(result),
        "directions": [
            {
                "share": f"{direction.share:.1%}",
                "course": origin.course(direction),
                "plot": plots.histograms(direction, k),
                "normal": direction.normal.upper(),
                "ends": _ends(direction, gallery),
            }
            for k, direction in enumerate(evidence.directions[: min(found, _SHOWN)], 1)
        ],
        "variety": f"{totals[0] / totals[1]:.3g}" if totals and totals[1] else "",
    }


def _ends(direction: Direction, gallery: "_Gallery") -> list[dict[str, Any]]:
    """Return both ends; the images of the side that an end belongs to come first."""
    found = []
    for name, end in (("Left", direction.left), ("Right", direction.right)):
        first = 0 if end.of_a >= 0.5 else 1
        cards = [card for i in (first, 1 - first) for card in gallery.cards(i, end.outermost[i], "at {:.1f}")]
        found.append({"name": name, "owner": origin.owner(end), "cards": cards})
    return found


class _Gallery:
    """Makes cards of the pictures that the evidence has."""

    def __init__(self, evidence: Evidence, sides: Sequence[Side], *, thumbnails: bool) -> None:
        self._pictures, self._sides, self._thumbnails = evidence.pictures, sides, thumbnails
        self.without = evidence.without if thumbnails else ("thumbnails were not asked for",)

    def card(self, side: int, row: int, note: str = "") -> Card:
        """Return the card of an image."""
        picture = self._pictures[side][row]
        own = self._sides[side].name
        name = picture.name.removeprefix(own).lstrip("/").removesuffix(f" of {own}")
        return Card("AB"[side], name, note, picture if self._thumbnails else Picture(picture.name))

    def cards(self, side: int, shown: Sequence[Shown], note: str) -> list[Card]:
        """Return the cards of several images."""
        return [self.card(side, each.row, note.format(each.value).replace("-", "−")) for each in shown]

    def same(self, sides: tuple[int, int], rows: tuple[int, int]) -> bool:
        """Whether two images are known to have the same pixels."""
        one, other = (self._pictures[side][row].digest for side, row in zip(sides, rows, strict=True))
        return one is not None and one == other


def _pairs(name: str, found: Closest, gallery: _Gallery) -> dict[str, Any]:
    one, other = ("ab".index(letter) for letter in name)
    title, says = _PAIRS[name]
    return {
        "title": title,
        "says": sentence(says),
        "pairs": [
            {
                "cards": [gallery.card(one, pair.rows[0]), gallery.card(other, pair.rows[1])],
                "distance": f"{pair.distance:.4g}",
                "verdict": _copy(pair, found, same=gallery.same((one, other), pair.rows)),
            }
            for pair in found.pairs
        ],
        "typical": f"{found.typical:.4g}",
        "limit": f"{found.limit:.4g}" if found.limit else "",
        "searched": "" if found.searched == found.of else f"{found.searched:,} of the {found.of:,}",
    }


def _copy(pair: Pair, found: Closest, *, same: bool) -> str:
    if same:
        return "the same pixels"
    if pair.distance == 0:
        return "the same features"
    return "likely a copy" if pair.distance < found.limit else ""


def _copies(copies: Mapping[str, int]) -> list[str]:
    texts = {"a": "within A", "b": "within B", "ab": "in both A and B"}
    return [f"{copies[name]:,} {text}" for name, text in texts.items() if name in copies]


def _left_out(side: Side, letter: str) -> dict[str, Any]:
    return {
        "letter": letter,
        "count": counted(len(side.rejected), "file"),
        "files": side.rejected[:_MOST_LISTED],
        "more": max(0, len(side.rejected) - _MOST_LISTED),
    }


def _made(result: "Comparison") -> Iterator[tuple[str, str]]:
    """Yield what made the numbers."""
    if result.protocol:
        yield "protocol", f"{result.protocol.name}, as {result.protocol.tool}"
    if result.reference:
        yield "real side of the protocol", str(result.reference)
    made = asdict(result.provenance) if result.provenance else {}
    for name, value in made.items():
        if name != "versions" and value != "":
            yield {"sha256": "SHA-256 of the weights", "batch_size": "batch size"}.get(name, name), str(value)
    yield "method", result.method
    if result.forced:
        yield "forced", "compared although the two sides were made in different ways"
    for name, version in made.get("versions", {}).items():
        yield name, version
