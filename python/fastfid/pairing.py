"""Whether image i of several generators was made from the same seed, as far as the names of the images tell."""

from collections.abc import Sequence

from .errors import InputError
from .fit import Side
from .messages import Messages
from .sources.pieces import choose


def image_names(side: Side) -> list[str] | None:
    """Return what names the images of a side within it, as far as these are files."""
    if side.source is None or not side.source.files or side.source.size is None:
        return None
    chosen = choose(side.source, *side.selection)
    assert chosen is not None
    return [side.source.key_of(int(index)) for index in chosen]


def check_names(sides: Sequence[Side], names: Sequence[list[str] | None], messages: Messages) -> None:
    """Check that all generators have the same images, as far as that is known before they are read.

    If some have names and others none, as statistics have, a warning says that only the order counts.
    """
    nameless = [side.name for side, own in zip(sides, names, strict=True) if own is None]
    if 0 < len(nameless) < len(sides):
        messages.warn(
            f"paired by order: {', '.join(nameless)} has no names of images to compare with those of the others; its "
            "image i is taken to be of the same seed as their image i"
        )
    for side, own in zip(sides[1:], names[1:], strict=True):
        first, n = sides[0], (sides[0].n, side.n)
        if names[0] is not None and own is not None:
            for row, (one, other) in enumerate(zip(names[0], own, strict=False)):
                if one != other:
                    raise InputError(f"not paired: image {row} is {one} in {first.name}, and {other} in {side.name}")
        if None not in n and n[0] != n[1]:
            raise InputError(
                f"not paired: {first.name} has {n[0]} images, and {side.name} has {n[1]}{_extra(names[0], own)}"
            )


def _extra(one: list[str] | None, other: list[str] | None) -> str:
    """Say which image only one of two sides has, if their names begin alike."""
    if one is None or other is None:
        return ""
    return f"; only one of them has {max(one, other, key=len)[min(len(one), len(other))]}"


def check_images(first: Side, side: Side, names: list[str] | None) -> None:
    """Check that two generators that have been read have the same images, without those that were left out."""
    gaps = [tally.gaps if (tally := one.seen) else [] for one in (first, side)]
    if gaps[0] != gaps[1]:
        n = len(names) if names else 0
        left_out = [{gap + i for i, gap in enumerate(gaps_of_one)} for gaps_of_one in gaps]
        row = min(left_out[0] ^ left_out[1])
        name = names[row] if names and row < n else f"image {row}"
        raise InputError(f"not paired: {name} was left out of {first.name} or of {side.name} only; remove it from all")
    if first.n != side.n:
        raise InputError(f"not paired: {first.name} has {first.n} images, and {side.name} has {side.n}")
