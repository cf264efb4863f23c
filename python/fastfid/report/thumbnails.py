"""Reads the images that a report shows once more, and makes small pictures of them."""

from base64 import b64encode
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from ..errors import FastFIDError
from ..files.reading import cause
from ..fit import Side
from ..images.decode import digest
from ..messages import warn
from ..sources.pieces import read_checked

LONGEST = 144  # pixels of the longer side
_QUALITY = 78


@dataclass(frozen=True)
class Picture:
    """An image that the report names.

    Attributes
    ----------
    name : str
    thumbnail : str
        A ``data:`` address of a small picture; "" without one.
    enlarged : bool
        Whether the image itself is so small that the page enlarges it.
    digest : int or None
        Hash of its pixels.
    """

    name: str
    thumbnail: str = ""
    enlarged: bool = False
    digest: int | None = None


def reason_for_none(side: Side, *, thumbnails: bool) -> str:
    """Return why a side has no pictures, or "" if it has some."""
    if not thumbnails:
        return "thumbnails were not asked for"
    if side.source is None:
        return f"{side.name} was given without images"
    if side.source.ordered:
        return f"{side.name} can be read only once, or only from its start"
    return ""


def pictures(
    side: Side, rows: Iterable[int], name: Callable[[int], str], place: Callable[[int], int] | None
) -> dict[int, Picture]:
    """Return the images of some rows of a side; `place` is None if they cannot be read again."""
    found = {row: Picture(name(row)) for row in sorted(rows)}
    if place is None or side.source is None:
        return found
    at = {place(row): row for row in found}
    indices = sorted(at)
    try:
        for index, item in zip(indices, read_checked(side.source, indices), strict=False):
            row = at[index]
            with suppress(FastFIDError):
                found[row] = _picture(found[row].name, item.decode().pixels)
    except Exception as error:  # a source may be anybody's, and the scores are there
        warn(f"report: {side.name} could not be read again for its thumbnails: {cause(error)}")
    return found


def _picture(name: str, pixels: NDArray[np.uint8]) -> Picture:
    from PIL import Image

    image = Image.fromarray(pixels)
    enlarged = max(image.size) <= LONGEST // 2
    image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    file = BytesIO()
    image.save(file, "WEBP", quality=_QUALITY, lossless=enlarged)
    return Picture(name, f"data:image/webp;base64,{b64encode(file.getvalue()).decode()}", enlarged, digest(pixels))
