"""From a comparison to the plain data that the template shows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from .._core import __version__
from ..checks import counted
from ..fit import Side
from ..metrics.base import Score
from ..numbers_shown import decimals
from . import plots
from .advice import advice_on
from .closest import Closest
from .directions import Shown
from .evidence import Evidence
from .thumbnails import Picture
from .verdict import TITLES, chance, plain, sentence, shown_as, verdict_of

if TYPE_CHECKING:
    from ..comparison import Comparison

_ASK = "not asked for; compare(..., report=True), or --report on the command line, computes this part"
_MOST_LISTED = 50  # files that were left out
_MOST_CLASSES = 30  # shown at once; the others can be unfolded
_PAIRS = {"ab": "Between A and B", "aa": "Within A", "bb": "Within B"}


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
        absent=dict.fromkeys(("directions", "subsets", "influential", "closest"), _ASK)
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
        "scores": list(_scores(result)),
        "level": f"{100 * max((s.certainty.level for s in result.scores.values() if s.certainty), default=0.95):g}%",
        "warnings": [advice_on(warning) for warning in result.warnings],
        "notes": result.notes,
        "absent": {name: sentence(reason) for name, reason in evidence.absent.items()},
        "terms": plots.terms(result.mean_term, result.trace_term) if "fid" in result.scores else None,
        **_plots(result, evidence),
        "directions": [
            {
                "share": f"{direction.share:.1%}",
                "plot": plots.histograms(direction, k) if direction.edges else None,
                "cards": [gallery.cards(i, shown, "{:+.1f} sd") for i, shown in enumerate(direction.farthest)],
            }
            for k, direction in enumerate(evidence.directions, 1)
        ],
        "influential": [gallery.cards(i, shown, "{:.4g}") for i, shown in enumerate(evidence.influential)],
        "closest": [_pairs(name, found, gallery) for name, found in evidence.closest.items()],
        "copies": _copies(evidence.copies),
        "without": [reason for reason in dict.fromkeys(gallery.without) if reason],
        "classes": _classes(result),
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


def _scores(result: "Comparison") -> Iterator[dict[str, Any]]:
    for name, score in result.scores.items():
        numbers = {part: value for part, value in score.parts.items() if isinstance(value, int | float)}
        yield {
            "name": TITLES.get(name, name),
            "value": score.value,
            "shown": plain(score.value),
            "better": score.better,
            "convention": score.convention,
            "n": " / ".join("?" if n is None else f"{n:,}" for n in score.n),
            "parts": {part.replace("_", " "): plain(value) for part, value in numbers.items() if value != score.value},
            **_certainty(score),
        }


def _certainty(score: Score) -> dict[str, str]:
    sure = score.certainty
    if sure is None or sure.standard_error is None:
        return {"without": "", "limits": "", "reason": sure.reason if sure else ""}
    number = shown_as(sure)
    return {
        "without": f"{number(sure.corrected)} ± {number(sure.standard_error)}",
        "limits": f"{number(sure.low)} to {number(sure.high)}",
        "reason": "",
    }


def _plots(result: "Comparison", evidence: Evidence) -> dict[str, plots.Plot | None]:
    sure = result.certainty if "fid" in result.scores else None
    return {
        "growth": plots.growth(evidence.subsets, sure) if evidence.subsets else None,
        "spectrum": plots.spectrum(evidence.shares) if evidence.shares else None,
    }


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
    return {
        "title": _PAIRS[name],
        "pairs": [
            {
                "cards": [gallery.card(one, pair.rows[0]), gallery.card(other, pair.rows[1])],
                "distance": f"{pair.distance:.4g}",
                "same": gallery.same((one, other), pair.rows),
            }
            for pair in found.pairs
        ],
        "typical": f"{found.typical:.4g}",
        "searched": "" if found.searched == found.of else f"{found.searched:,} of the {found.of:,}",
    }


def _copies(copies: Mapping[str, int]) -> list[str]:
    texts = {"a": "within A", "b": "within B", "ab": "in both A and B"}
    return [f"{copies[name]:,} {text}" for name, text in texts.items() if name in copies]


def _classes(result: "Comparison") -> dict[str, Any] | None:
    if not result.classes:
        return None
    metric = next(iter(result.scores))
    lower = result.scores[metric].better == "lower"
    found = sorted(result.classes.items(), key=lambda item: item[1][metric].value, reverse=lower)
    most = max((abs(scores[metric].value) for _, scores in found), default=0.0) or 1.0
    rows = [
        {
            "name": name,
            "n": " / ".join(f"{n:,}" for n in scores[metric].n if n is not None),
            "values": [(_with_error(scores[each]), scores[each].value) for each in result.scores],
            "width": f"{100 * max(scores[metric].value, 0.0) / most:.1f}",
        }
        for name, scores in found
    ]
    return {
        "metrics": [TITLES.get(name, name) for name in result.scores],
        "rows": rows[:_MOST_CLASSES],
        "others": rows[_MOST_CLASSES:],
        "count": len(rows),
        "mean": f"{TITLES.get(metric, metric)} {plain(result.over_classes(metric)[0])}",
    }


def _with_error(score: Score) -> str:
    sure = score.certainty
    if sure is None or sure.standard_error is None:
        return plain(score.value)
    number = shown_as(sure)
    return f"{number(score.value)} ± {number(sure.standard_error)}"


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
