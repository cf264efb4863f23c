"""All messages of a run: warnings, notes, and checks of whether the two sets can be compared fairly.

The library itself never prints. Each warning from these checks begins with its code, so that
``warnings.filterwarnings("ignore", "duplicates:")`` silences one kind.
"""

import logging
import os
import sys
import warnings
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from types import FrameType
from typing import TypeVar

from .arguments import spelled
from .checks import agreeing, counted
from .errors import FastFIDWarning
from .fit import Facts, Side
from .images.observed import Tally
from .images.quantise import OUTSIDE
from .metrics.base import Score
from .provenance import Provenance
from .sources import GLANCE

log = logging.getLogger("fastfid")

#: The meaning of each code.
CODES = {
    "format": "one side is JPEG, the other is not",
    "jpeg-quality": "the JPEG files of the two sides were compressed differently",
    "size": "the images of the two sides have different sizes",
    "upscaled": "mode clean enlarges images below 64 pixels",
    "damaged": "files that can be decoded although they contain signs of damage",
    "duplicates": "exact copies, within a side or across both",
    "same-images": "at least half of the images of one side are in the other",
    "too-alike": "sets that are more alike than independent sets can be",
    "left-out": "images that cannot be decoded, with --on-error skip",
    "many-left-out": "more than a tenth of a side left out",
    "no-record": "statistics that do not say which model and mode made them",
    "forced": "sides that were made in different ways and compared because of --force",
    "baseline": "a baseline that is the first side itself",
    "few-images": "fewer images than dims, or than a metric should have",
    "unequal-n": "very different numbers of images",
    "classes": "classes that only one side has",
    "small-classes": "classes with fewer images than dims",
    "protocol-n": "another number of images than the protocol's",
    "protocol-size": "images of another size than the protocol's",
    "protocol-reference": "a real side that is not the protocol's, or of which that is not known",
}
#: Stands for all warnings without a code where a code may stand.
OTHER = "other"
# The losses that `decode` reports, as the end of a sentence that begins with "N images have".
_LOSSES = {
    "16-bit": "16 bits a channel; values above 255 become 255, as in every tool",
    "alpha": "transparency; it is dropped, as in every tool",
    "larger than PIL.Image.MAX_IMAGE_PIXELS": "more pixels than PIL.Image.MAX_IMAGE_PIXELS",
    OUTSIDE: "values outside value_range; they are clamped to it",
}
_SMALL = 64  # pixels; below this, the filter of mode clean has nothing to average
_LOSSLESS = frozenset({"PNG", "BMP", "PPM", "TIFF"})
# Two random halves of one mixed set must not give a warning; two sets made in different ways must. After a glance there
# is a warning only if the two samples do not overlap at all. For 16 and 16 images of one set that has a probability of
# one in a hundred million.
_MIXTURE_APART = 0.25  # share of the images that would have to change their format
_QUALITY_APART = 5
_SIZE_APART = 1.1
_NUMBER_APART = 5
_MOST_SHARED = 0.5  # of the images of the smaller side; with more, the score is not about two sets
_T = TypeVar("_T")
_N = TypeVar("_N", int, float)
_PACKAGE = os.path.dirname(__file__) + os.sep  # noqa: PTH120 - spelled as in the file names of frames


def warn(message: str) -> None:
    """Issue a `FastFIDWarning` that points at the caller's line, the first one outside this package."""
    frame: FrameType | None = sys._getframe(1)
    level = 2
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, FastFIDWarning, stacklevel=level)


@dataclass
class Messages:
    """Collects the messages of one run.

    Attributes
    ----------
    warnings : list of str
        Facts that a reader of the number should know. Each is also issued as a `FastFIDWarning`.
    notes : list of str
        Facts that need no warning. Each is also logged to the logger ``fastfid``.
    """

    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _told: dict[object, int] = field(default_factory=dict, repr=False)

    def warn(self, message: str) -> None:
        """Record a warning and issue it."""
        self.warnings.append(message)
        warn(message)

    def warn_once(self, about: object, message: str) -> None:
        """Record a warning and issue it. If there is one with the same `about`, only replace its recorded text."""
        if about in self._told:
            self.warnings[self._told[about]] = message
        else:
            self._told[about] = len(self.warnings)
            self.warn(message)

    def note(self, message: str) -> None:
        """Record a note and log it."""
        self.notes.append(message)
        log.info(message)

    def repeat(self, spoken: "Messages") -> None:
        """Record and issue the messages of another process."""
        for text in spoken.warnings:
            self.warn(text)
        for text in spoken.notes:
            self.note(text)


def code_of(warning: str) -> str:
    """Return the code of a warning, "other" if it has none.

    Examples
    --------
    >>> code_of("duplicates: 2 images are in both a and b"), code_of("a: the largest pixel is 1")
    ('duplicates', 'other')
    """
    code = warning.partition(": ")[0]
    return code if code in CODES else OTHER


def shortage(chunk: int, batch_size: int, device: str) -> str | None:
    """Return a warning if memory did not suffice for the batch size, else None."""
    if not 0 < chunk < batch_size:
        return None
    return (
        f"out of memory on {device} with batches of {batch_size} images: they were run {chunk} at a time, as "
        f"{spelled('batch_size', chunk)} does"
    )


def tell_of_run(name: str, seen: Tally, provenance: Provenance | None, messages: Messages) -> None:
    """Warn about images of one side that were left out, changed or run in smaller batches."""
    if provenance and (text := shortage(seen.chunk, provenance.batch_size, provenance.device)):
        messages.warn(text)
    if text := seen.left_out(name):
        messages.warn(text)
    for loss, count in seen.losses.items():
        messages.warn(f"{name}: {counted(count, 'image')} {agreeing(count, 'has', 'have')} {_LOSSES.get(loss, loss)}")
    if seen.sizes and seen.largest <= 1:
        messages.warn(f"{name}: the largest pixel is {seen.largest}; integers in 0…255 are expected, not in 0…1")


def tell_of_sides(sides: Sequence[Side], facts: Facts, messages: Messages, *, fid: bool = True) -> None:
    """Warn about anything that makes one side, or two, hard to compare; update warnings that were issued before.

    `fid` is False if the FID is not asked for; then the numbers of images are no matter.
    """
    dims = facts.roles.get("features", 0) if fid else 0
    for place, side in enumerate(sides):
        for code, text in _of_one(side, dims, side.provenance.mode if side.provenance else facts.mode):
            messages.warn_once((code, place), f"{code}: {text}")
    if len(sides) == 2:
        for code, text in _of_two(*sides, fid=fid):
            messages.warn_once((code, "both"), f"{code}: {text}")


def tell_of_scores(scores: Mapping[str, Score], messages: Messages) -> None:
    """Warn about scores: what the metrics say, and values that are not numbers."""
    for name, score in scores.items():
        for text in score.warnings:
            messages.warn(text)
        if score.value != score.value:
            messages.warn(f"{name} is not a number (NaN) for these images")


def _of_one(side: Side, dims: int, mode: str) -> Iterator[tuple[str, str]]:
    if side.n is not None and side.n < dims:
        text = f"{side.name}: {side.n} images are fewer than {dims} dims; the FID is exact but biased upwards"
        yield "few-images", text
    if side.seen is None:
        return
    total = sum(side.seen.sizes.values())
    small = sum(count for size, count in side.seen.sizes.items() if min(size) < _SMALL)
    if mode == "clean" and small >= (total if side.seen.sampled else 1):
        text = f"{side.name}: {small / total:.0%} of the images have a side below {_SMALL} pixels and are enlarged"
        yield "upscaled", f"{text}; the antialiasing of 'clean' only acts when it shrinks an image"
    if side.seen.damaged:
        more = ", ..." if side.seen.damaged > len(side.seen.damages) else ""
        were = agreeing(side.seen.damaged, "was", "were")
        text = f"{side.name}: {side.seen.damaged} of {total} images {were} decoded from files with signs of damage"
        yield "damaged", f"{text}: {'; '.join(side.seen.damages)}{more}"
    if repeated := side.seen.repeated:
        are = agreeing(repeated, "is a copy of another image", "are copies of other images")
        yield "duplicates", f"{side.name}: {repeated} of {total} images {are}"


def _of_two(a: Side, b: Side, *, fid: bool) -> Iterator[tuple[str, str]]:
    if fid and a.n and b.n and max(a.n, b.n) >= _NUMBER_APART * min(a.n, b.n):
        yield "unequal-n", f"{a.n} images in {a.name}, {b.n} in {b.name}; the bias of the FID depends on both"
    if a.seen is None or b.seen is None or not (a.seen.sizes and b.seen.sizes):
        return
    one, other = a.seen, b.seen
    sampled = one.sampled or other.sampled

    def both(first: str, second: str) -> str:
        return f"{first} in {a.name}, {second} in {b.name}" + (f" (of {GLANCE} images looked at)" if sampled else "")

    apart = _share_apart(_kinds(one.encodings), _kinds(other.encodings))
    if apart > _MIXTURE_APART and not (sampled and apart < 1):
        text = both(_shares(one.encodings), _shares(other.encodings))
        yield "format", f"{text}; lossy compression alone changes the FID"
    if one.qualities and other.qualities:
        qualities = [round(_median(side.qualities)) for side in (one, other)]
        far = _unlike(one.qualities, other.qualities) or abs(qualities[0] - qualities[1]) > _QUALITY_APART
        few = any(side.qualities.total() < side.sizes.total() for side in (one, other))  # of 16, not all are JPEG
        if far and not (sampled and (few or _overlap(one.qualities, other.qualities))):
            text = both(*(f"quality about {quality}" for quality in qualities))
            yield "jpeg-quality", f"{text}; lossy compression alone changes the FID"
    lengths = [_lengths(side.sizes) for side in (one, other)]
    low, high = sorted(_median(side) for side in lengths)
    far = _unlike(one.sizes, other.sizes) or high > _SIZE_APART * low
    if far and not (sampled and _overlap(*lengths)):
        text = both(_most_common(one.sizes), _most_common(other.sizes))
        yield "size", f"{text}; resizing alone changes the FID"
    if shared := len(one.digests & other.digests):
        text = f"{counted(shared, 'image')} {agreeing(shared, 'is', 'are')} in both {a.name} and {b.name}"
        most = shared >= _MOST_SHARED * min(len(one.digests), len(other.digests))
        yield ("same-images", f"{text}: they are not two sets") if most else ("duplicates", text)


def _lengths(sizes: Counter[tuple[int, int]]) -> Counter[float]:
    """Return the geometric mean of both sides of the images, with their numbers."""
    lengths: Counter[float] = Counter()
    for (height, width), count in sizes.items():
        lengths[sqrt(height * width)] += count
    return lengths


def _median(values: Mapping[_N, int]) -> float:
    """Return the median of counted values, of which there may be any number."""
    total, passed = sum(values.values()), 0
    middle: list[float] = []
    for value in sorted(values):
        passed += values[value]
        if not middle and 2 * passed >= total:
            middle.append(value)
        if 2 * passed > total:
            return (middle[0] + value) / 2
    raise ValueError("there is no value")


def _overlap(one: Collection[float], other: Collection[float]) -> bool:
    """Return True if the ranges of two sets of numbers overlap."""
    return max(min(one), min(other)) <= min(max(one), max(other))


def _unlike(one: Counter[_T], other: Counter[_T]) -> bool:
    """Return True if each side has a single value and the two values differ."""
    return len(one) == len(other) == 1 and one.keys() != other.keys()


def _kinds(encodings: Counter[str]) -> Counter[str]:
    kinds: Counter[str] = Counter()
    for encoding, count in encodings.items():
        kinds["lossless" if encoding in _LOSSLESS else encoding] += count
    return kinds


def _share_apart(one: Counter[str], other: Counter[str]) -> float:
    """Return the total variation distance of two mixtures; 0 if one of them is empty."""
    if not (one and other):
        return 0.0
    return sum(abs(one[kind] / one.total() - other[kind] / other.total()) for kind in one | other) / 2


def _shares(encodings: Counter[str]) -> str:
    if len(encodings) == 1:
        return next(iter(encodings))
    return ", ".join(f"{count / encodings.total():.0%} {kind}" for kind, count in encodings.most_common())


def _most_common(sizes: Counter[tuple[int, int]]) -> str:
    (height, width), _ = sizes.most_common(1)[0]
    return f"{width}x{height} pixels" if len(sizes) == 1 else f"{len(sizes)} sizes, most often {width}x{height},"
