"""Whether two records are of the same images, as far as their numbers and hashes tell."""

from collections.abc import Iterator
from pathlib import PurePath

from . import effects
from .effects import Effect
from .recorded import Recorded

_OTHER = Effect("large", "other images, whatever their names are", "score the same two sets")
_OF_NETWORK = ("sha256", "mode", "dims", "precision")
_ORDINALS = ("the first side", "the second side")

Values = tuple[str, tuple[str, str], Effect]


def pairs(one: Recorded, other: Recorded) -> list[tuple[int, int]]:
    """Return the sides to compare with each other; a statistics file stands for the side that is most like it."""
    if bool(one.digest) == bool(other.digest):
        return [(i, i) for i in range(min(len(one.n), len(other.n)))]
    if other.digest:
        return [(place, 0) for _, place in pairs(other, one)]
    return [(0, _like(one, other))]


def _like(statistics: Recorded, result: Recorded) -> int:
    """Return which side of a result has the images of statistics, or their name; else the real side."""
    for place in range(len(result.n)):
        if _same(statistics, result, 0, place):
            return place
    names = [PurePath(name).name for name in result.names]
    name = PurePath(statistics.name).name
    return names.index(name) if name in names else len(names) - 1


def same(one: Recorded, other: Recorded, i: int, j: int) -> bool | None:
    """Return whether two sides have the same images; None if that is not known."""
    if None not in (one.n[i], other.n[j]) and one.n[i] != other.n[j]:
        return False
    return _same(one, other, i, j)


def _same(one: Recorded, other: Recorded, i: int, j: int) -> bool | None:
    one_network = all(getattr(one.made, name, "") == getattr(other.made, name, "") for name in _OF_NETWORK)
    return one.identities[i].same(other.identities[j], one_network=one_network)


def other_images(one: Recorded, other: Recorded) -> Iterator[Values]:
    """Yield what differs between the images: their number, and which they are."""
    matched = pairs(one, other)
    counts = [tuple(record.n[pair[place]] for pair in matched) for place, record in enumerate((one, other))]
    if None not in (*counts[0], *counts[1]) and counts[0] != counts[1]:
        dims = max(record.made.dims if record.made else 0 for record in (one, other))
        shown = [" and ".join(map(str, count)) for count in counts]
        yield "images", (shown[0], shown[1]), effects.of_n(counts[0], counts[1], dims)
    for i, j in matched:
        hashed = one.identities[i].images and other.identities[j].images
        if (hashed or not (one.digest and other.digest)) and _same(one, other, i, j) is False:
            what = "images" if one.digest and other.digest else f"images of {_ORDINALS[j if one.digest else i]}"
            yield what, (str(one.identities[i]), str(other.identities[j])), _OTHER


def not_compared(one: Recorded, other: Recorded) -> Iterator[str]:
    """Yield what only one of the two records, or neither."""
    if bool(one.digest) != bool(other.digest):
        statistics, result = (one, other) if one.digest else (other, one)
        yield f"scores, settings and warnings, which {statistics.name} does not have"
        yield f"mean and covariance, which {result.name} does not have"
    if any(same(one, other, i, j) is None for i, j in pairs(one, other)):
        yield "whether the images are the same, which the two do not record in one way"


def nothing_differs(one: Recorded, other: Recorded) -> str:
    """Say that statistics and a result have nothing that differs."""
    statistics, result = (one, other) if one.digest else (other, one)
    ((_, place),) = pairs(statistics, result)
    alike = same(statistics, result, 0, place)
    is_it = f"{statistics.name} has the very images of {_ORDINALS[place]} of {result.name}"
    if alike is None:
        is_it = f"nothing says whether {statistics.name} is {_ORDINALS[place]} of {result.name}"
    return f"Nothing that both record differs: {is_it}."
