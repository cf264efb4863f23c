"""Draws the course of one number of a history as an SVG."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

from .history import History
from .history_entry import Entry
from .history_table import limits, parts, scale_of
from .metrics.certainty import LEVEL
from .verdicts import FAILED, UNSURE
from .xml_text import xml_text

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 720, 320, 72, 16, 40, 64
_COLOUR = "#0b57d0"
START = b"<!-- fastfid: history -->"  # of each picture
_TICKS, _DATES = 5, 8
_LEGEND = "filled: passed, or no gate; hollow: failed; square: inconclusive; dashed line: not comparable across it"


class _Axes(NamedTuple):
    """Where a run and a value are."""

    runs: int
    least: float
    most: float

    def x(self, run: float) -> float:
        return _LEFT + (run + 0.5) / self.runs * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return _TOP + (self.most - value) / (self.most - self.least) * (_HEIGHT - _TOP - _BOTTOM)


def picture(history: History, metric: str) -> str:
    """Return a picture with a point for each run, its limits, and a gap where runs do not compare."""
    shown = [entry for entry in history.entries if limits(entry, metric)]
    low, high = scale_of(shown, metric)
    pad = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    axes = _Axes(max(1, len(shown)), low - pad, high + pad)
    title = escape(xml_text(f"Course of {metric} in {len(shown)} runs, the newest at the right"))
    return "\n".join(
        (
            START.decode(),
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
            f'height="{_HEIGHT}" role="img" lang="en" font-family="sans-serif" font-size="12">',
            f"<title>{title}</title>",
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
            f'<text x="{_LEFT}" y="22">{title}; bars are {LEVEL:.0%} limits</text>',
            f'<path d="M{_LEFT} {_TOP}V{_HEIGHT - _BOTTOM}H{_WIDTH - _RIGHT}" fill="none" stroke="#444"/>',
            *_labels(shown, axes),
            *_courses(shown, metric, axes),
            f'<text x="{_LEFT}" y="{_HEIGHT - 14}">{_LEGEND}</text>',
            "</svg>",
            "",
        )
    )


def _labels(shown: Sequence[Entry], axes: _Axes) -> Iterator[str]:
    for i in range(_TICKS):
        value = axes.least + i / (_TICKS - 1) * (axes.most - axes.least)
        yield f'<text x="{_LEFT - 6}" y="{axes.y(value) + 4:.1f}" text-anchor="end">{value:.4g}</text>'
    for i in range(0, len(shown), -(-len(shown) // _DATES) or 1):
        date = shown[i].time.strftime("%Y-%m-%d")
        yield f'<text x="{axes.x(i):.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{date}</text>'


def _courses(shown: Sequence[Entry], metric: str, axes: _Axes) -> Iterator[str]:
    run = 0
    for changes, part in parts(shown):
        if changes:
            x = axes.x(run - 0.5)
            text = escape(xml_text("; ".join(changes)))
            yield f'<path d="M{x:.1f} {_TOP}V{_HEIGHT - _BOTTOM}" stroke="#444" stroke-dasharray="4 4">'
            yield f"<title>{text}</title></path>"
        found = [limits(entry, metric) or (0.0, 0.0, 0.0) for entry in part]
        points = " ".join(f"{axes.x(run + i):.1f},{axes.y(value):.1f}" for i, (_, value, _) in enumerate(found))
        yield f'<polyline points="{points}" fill="none" stroke="{_COLOUR}"/>'
        for i, (entry, (low, value, high)) in enumerate(zip(part, found, strict=True)):
            yield from _point(entry, axes.x(run + i), axes.y(low), axes.y(value), axes.y(high), f"{value:.6g}")
        run += len(part)


def _point(entry: Entry, x: float, low: float, y: float, high: float, value: str) -> Iterator[str]:
    words = (value, entry.time.strftime("%Y-%m-%d %H:%M UTC"), entry.verdict, entry.note)
    title = f"<title>{escape(xml_text('; '.join(word for word in words if word)))}</title>"
    style = f'fill="{"white" if entry.verdict == FAILED else _COLOUR}" stroke="{_COLOUR}" stroke-width="2"'
    if low != high:
        yield f'<path d="M{x:.1f} {low:.1f}V{high:.1f}" stroke="{_COLOUR}" stroke-width="2"/>'
    if entry.verdict == UNSURE:
        yield f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" {style}>{title}</rect>'
    else:
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" {style}>{title}</circle>'
