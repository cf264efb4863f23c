"""Shows a history as a table, with the course of one number."""

from collections.abc import Iterator, Sequence
from statistics import NormalDist

from .errors import InputError, UsageError
from .history import History
from .history_entry import MINUS_BASELINE, Entry
from .metrics.certainty import LEVEL
from .numbers_shown import decimals, markdown
from .terminal import printable

_MOST_NAMED = 40
_STRIP = 24  # characters
_LARGEST = 1e300  # sums of a few such numbers are finite
_Z = NormalDist().inv_cdf((1 + LEVEL) / 2)


def number_of(history: History, name: str = "") -> str:
    """Return the number to show the course of: `name`, or the first metric of the newest run."""
    names = dict.fromkeys(key for entry in reversed(history.entries) for key in entry.metrics)
    if not names:
        raise InputError("the history has no runs")
    wanted = name or next(iter(names))
    if wanted not in names:
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        raise UsageError(f"none of the runs has {name}; they have {', '.join([*names][:_MOST_NAMED])}{more}")
    return wanted


def table(history: History, course: str) -> Iterator[str]:
    """Yield the lines of a Markdown table, the newest run last, with a line where numbers stop being comparable."""
    asked = [name for entry in history.entries for name in entry.line["conventions"]]
    beside = [MINUS_BASELINE for entry in history.entries if MINUS_BASELINE in entry.metrics]
    metrics = list(dict.fromkeys([*asked, *beside, course]))
    yield markdown(["time (UTC)", "note", "images", *metrics, "gate", f"course of {course}"])
    yield markdown(["---", "---", "---", *["---:"] * len(metrics), "---", "---"])
    for changes, part in parts(history.entries):
        if changes:
            text = f"not comparable with the above: {printable('; '.join(changes))}"
            yield markdown([text, *[""] * (len(metrics) + 4)])
        scale = scale_of(part, course)
        for entry in part:
            cells = [entry.time.strftime("%Y-%m-%d %H:%M"), printable(entry.note), _images(entry)]
            cells += [_shown(entry, metric) for metric in metrics]
            yield markdown([*cells, printable(entry.verdict), _strip(entry, course, scale)])


def parts(entries: Sequence[Entry]) -> Iterator[tuple[list[str], list[Entry]]]:
    """Yield groups of runs that can be compared, each with what changed before it."""
    changes: list[str] = []
    group: list[Entry] = []
    for entry in entries:
        if group and (found := entry.changes(group[-1])):
            yield changes, group
            changes, group = found, []
        group.append(entry)
    if group:
        yield changes, group


def limits(entry: Entry, metric: str) -> tuple[float, float, float] | None:
    """Return the lower limit, the value and the upper limit of a number, None if the run does not have it.

    The limits are the value where its standard error is not known. A number too large for a scale counts as missing.
    """
    value, error = entry.metrics.get(metric), entry.metrics.get(f"{metric}.standard_error") or 0.0
    if value is None or abs(value) > _LARGEST:
        return None
    error = min(max(error, 0.0), _LARGEST)
    return value - _Z * error, value, value + _Z * error


def scale_of(entries: Sequence[Entry], metric: str) -> tuple[float, float]:
    """Return the lowest and the highest limit of a number."""
    known = [found for entry in entries if (found := limits(entry, metric))]
    return min((low for low, _, _ in known), default=0.0), max((high for _, _, high in known), default=1.0)


def _images(entry: Entry) -> str:
    return " and ".join("unknown" if count is None else str(count) for count in entry.n)


def _shown(entry: Entry, metric: str) -> str:
    value, error = entry.metrics.get(metric), entry.metrics.get(f"{metric}.standard_error")
    if value is None:
        return ""
    if metric == MINUS_BASELINE:
        return _shown_difference(value, error, str(entry.line["baseline"].get("name")))
    return f"{value:.{decimals(error)}f} ± {error:.{decimals(error)}f}" if error and error > 0 else f"{value:.6g}"


def _shown_difference(value: float, error: float | None, name: str) -> str:
    number = f"{value:+.{decimals(error)}f} ± {error:.{decimals(error)}f}" if error else f"{value:+.6g}"
    bias = "" if error is not None else ", bias included,"
    return printable(f"{number}{bias} to {name}")


def _strip(entry: Entry, metric: str, scale: tuple[float, float]) -> str:
    """Return a line of characters with `o` at the value and dashes between its limits."""
    if (found := limits(entry, metric)) is None:
        return ""
    least, most = scale
    span = most - least
    low, value, high = (round(((x - least) / span if span else 0.5) * (_STRIP - 1)) for x in found)
    return "".join("o" if i == value else "-" if low <= i <= high else "." for i in range(_STRIP))
