"""What makes two sets of images hard to compare, as far as the images themselves show it.

A glance at a few files tells before the network runs where two folders have nothing in common; the rest is told when
all images were seen. Each warning begins with its code, so that
``warnings.filterwarnings("ignore", "duplicates:")`` silences one kind.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from math import sqrt
from typing import NamedTuple, TypeVar

import numpy as np

from .errors import FastFIDError
from .images.decode import Decoded
from .images.observed import Seen, Tally
from .messages import Report
from .sources import Source
from .sources.kept import Kept
from .sources.pieces import choose, read_checked

#: What each code is about.
CODES = {
    "format": "one side is JPEG, the other is not",
    "jpeg-quality": "the JPEG files of the two sides were compressed differently",
    "size": "the images of the two sides have different sizes",
    "upscaled": "mode clean enlarges images from below 64 pixels",
    "damaged": "files that can be decoded and yet say themselves that they are damaged",
    "duplicates": "exact copies, within a side or across both",
    "few-images": "fewer images than dims",
    "unequal-n": "very different numbers of images",
}
_GLANCE = 16  # images of each side
_MOST_KEPT = 1 << 26  # bytes of their pixels
_SMALL = 64  # pixels; below, clean's filter has nothing to average
_LOSSLESS = frozenset({"PNG", "BMP", "PPM", "TIFF"})
# Two random halves of one mixed set must not warn, two differently made sets must. After a glance, only sides whose
# samples do not overlap at all are told: of 16 and 16 images of one set that is one chance in a hundred million.
_MIXTURE_APART = 0.25  # share of the images that would have to change their format
_QUALITY_APART = 5
_SIZE_APART = 1.1
_NUMBER_APART = 5


_T = TypeVar("_T")


class Side(NamedTuple):
    """One side as far as it is known: its name, its number of images, and what was seen of them."""

    name: str
    n: int | None
    seen: Tally | None = None


def glance(source: Source, limit: int | None = None, seed: int = 0) -> tuple[Tally | None, Source]:
    """Look at a few images of a folder or an archive, of those that `limit` and `seed` choose.

    Returns
    -------
    seen : Tally or None
        None if there are no files to look at, or one cannot be read: the run will say so.
    source : Source
        The source to go on with: it keeps what was decoded here, as far as memory allows.
    """
    chosen = choose(source, limit, seed)
    if chosen is None or not source.files or source.ordered:
        return None, source
    places = np.sort(np.random.RandomState(0).permutation(len(chosen))[:_GLANCE])
    indices = [int(chosen[place]) for place in places]
    tally, kept, room = Tally(), dict[int, Decoded](), _MOST_KEPT
    try:
        for index, item in zip(indices, read_checked(source, indices), strict=False):
            image = item.decode()
            tally.add([Seen.of(image)])
            if (room := room - image.pixels.nbytes) >= 0:
                kept[index] = image
    except FastFIDError:
        return None, Kept(source, kept)
    # Left to the later look: copies, which so few cannot show, and damage, of which the number is told.
    tally.repeated, tally.digests = 0, set()
    tally.damaged, tally.damages = 0, []
    tally.sampled = True
    return tally, Kept(source, kept)


def check(sides: list[Side], dims: int, mode: str, report: Report) -> None:
    """Warn of what is seen on one or two sides, and was not told in this report before."""
    found = [finding for side in sides for finding in _of_one(side, dims, mode)]
    if len(sides) == 2:
        found += _of_two(*sides)
    for code, about, text in found:
        report.warn_once((code, about), f"{code}: {text}")


def _of_one(side: Side, dims: int, mode: str) -> Iterator[tuple[str, str, str]]:
    if side.n is not None and side.n < dims:
        text = f"{side.name}: {side.n} images are fewer than {dims} dims; exact for them, but biased upwards"
        yield "few-images", side.name, text
    if side.seen is None:
        return
    total = sum(side.seen.sizes.values())
    small = sum(count for size, count in side.seen.sizes.items() if min(size) < _SMALL)
    if mode == "clean" and small >= (total if side.seen.sampled else 1):
        text = f"{side.name}: {small / total:.0%} of the images have a side below {_SMALL} pixels and are enlarged"
        yield "upscaled", side.name, f"{text}; the antialiasing of 'clean' only acts where it shrinks"
    if side.seen.damaged:
        more = ", ..." if side.seen.damaged > len(side.seen.damages) else ""
        text = f"{side.name}: {side.seen.damaged} of {total} images were decoded from files that say they are damaged"
        yield "damaged", side.name, f"{text}: {'; '.join(side.seen.damages)}{more}"
    if side.seen.repeated:
        yield "duplicates", side.name, f"{side.name}: {side.seen.repeated} of {total} images are copies of others in it"


def _of_two(a: Side, b: Side) -> Iterator[tuple[str, str, str]]:
    if a.n and b.n and max(a.n, b.n) >= _NUMBER_APART * min(a.n, b.n):
        yield "unequal-n", "", f"{a.n} images in {a.name}, {b.n} in {b.name}; the bias of a FID depends on both numbers"
    if a.seen is None or b.seen is None:
        return
    one, other = a.seen, b.seen
    sampled = one.sampled or other.sampled

    def both(first: str, second: str) -> str:
        return f"{first} in {a.name}, {second} in {b.name}" + (f" (of {_GLANCE} looked at)" if sampled else "")

    apart = _share_apart(_kinds(one.encodings), _kinds(other.encodings))
    if apart > _MIXTURE_APART and not (sampled and apart < 1):
        text = both(_shares(one.encodings), _shares(other.encodings))
        yield "format", "", f"{text}; lossy compression alone changes a FID"
    if one.qualities and other.qualities:
        qualities = [round(np.median([*side.qualities.elements()])) for side in (one, other)]
        far = _unlike(one.qualities, other.qualities) or abs(qualities[0] - qualities[1]) > _QUALITY_APART
        few = any(side.qualities.total() < side.sizes.total() for side in (one, other))  # of 16, not all are JPEG
        if far and not (sampled and (few or _overlap(one.qualities, other.qualities))):
            text = both(*(f"quality about {quality}" for quality in qualities))
            yield "jpeg-quality", "", f"{text}; lossy compression alone changes a FID"
    lengths = [[sqrt(h * w) for h, w in side.sizes.elements()] for side in (one, other)]
    low, high = sorted(np.median(side) for side in lengths)
    far = _unlike(one.sizes, other.sizes) or high > _SIZE_APART * low
    if far and not (sampled and _overlap(*lengths)):
        text = both(_most_common(one.sizes), _most_common(other.sizes))
        yield "size", "", f"{text}; resizing alone changes a FID"
    if shared := len(one.digests & other.digests):
        yield "duplicates", "", f"{shared} images are in both {a.name} and {b.name}"


def _overlap(one: Iterable[float], other: Iterable[float]) -> bool:
    """Whether the ranges of two sets of numbers overlap."""
    return max(min(one), min(other)) <= min(max(one), max(other))


def _unlike(one: Counter[_T], other: Counter[_T]) -> bool:
    """Whether each side has a single value, and not the same."""
    return len(one) == len(other) == 1 and one.keys() != other.keys()


def _kinds(encodings: Counter[str]) -> Counter[str]:
    kinds: Counter[str] = Counter()
    for encoding, count in encodings.items():
        kinds["lossless" if encoding in _LOSSLESS else encoding] += count
    return kinds


def _share_apart(one: Counter[str], other: Counter[str]) -> float:
    """Total variation distance of two mixtures; 0 where one of them is empty."""
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
