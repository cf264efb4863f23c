"""Brings an image to the size of a data set, as the published tools do it.

RGB (h, w, 3) uint8 -> (size, size, 3) uint8.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError

if TYPE_CHECKING:
    from PIL import Image as PillowImage

Pixels = NDArray[np.uint8]


class Crop(NamedTuple):
    """One way, in words, and its function of an image and the size."""

    told: str
    apply: Callable[[Pixels, int], Pixels]


def crop(image: Pixels, size: int, kind: str) -> Pixels:
    """Return an image of `size` x `size` pixels, made in one of the ways in `CROPS`.

    Raises
    ------
    ImageError
        If the image cannot be brought to that size in that way.

    Examples
    --------
    >>> crop(np.zeros((40, 60, 3), np.uint8), 16, "square").shape
    (16, 16, 3)
    """
    return np.ascontiguousarray(CROPS[kind].apply(image, size))


def _whole(image: Pixels, size: int) -> Pixels:
    height, width = image.shape[:2]
    if (height, width) != (size, size):
        raise ImageError(f"it has {width}x{height} pixels; the protocol takes images of {size}x{size} as they are")
    return image


def _stretch(image: Pixels, size: int) -> Pixels:
    return image if image.shape[:2] == (size, size) else _lanczos(image, size)


def _square(image: Pixels, size: int) -> Pixels:
    height, width = image.shape[:2]
    side = min(height, width)
    return _lanczos(_cut(image, (height - side) // 2, (width - side) // 2, side), size)


def _square_to_even(image: Pixels, size: int) -> Pixels:
    height, width = image.shape[:2]
    side = min(height, width)
    return _lanczos(_cut(image, round((height - side) / 2), round((width - side) / 2), side), size)


def _adm(image: Pixels, size: int) -> Pixels:
    from PIL import Image

    whole = Image.fromarray(image)
    while min(whole.size) >= 2 * size:
        whole = whole.resize((whole.width // 2, whole.height // 2), Image.Resampling.BOX)
    return _centre(_scaled(whole, size, Image.Resampling.BICUBIC), size)


def _adm_lsun(image: Pixels, size: int) -> Pixels:
    from PIL import Image

    return _centre(_scaled(Image.fromarray(image), size, Image.Resampling.BOX), size)


def _scaled(image: "PillowImage.Image", size: int, resample: int) -> Pixels:
    """Resize the shorter side to `size`, with both sides rounded to the nearest, halves to even."""
    from PIL import Image

    scale = size / min(image.size)
    width, height = round(image.width * scale), round(image.height * scale)
    if Image.MAX_IMAGE_PIXELS is not None and width * height > 2 * Image.MAX_IMAGE_PIXELS:
        raise ImageError(
            f"{image.width}x{image.height} pixels become {width}x{height} when the shorter side is resized to {size}, "
            "more than 2 * PIL.Image.MAX_IMAGE_PIXELS"
        )
    return np.asarray(image.resize((width, height), resample))


def _lanczos(image: Pixels, size: int) -> Pixels:
    from PIL import Image

    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.LANCZOS))


def _centre(image: Pixels, size: int) -> Pixels:
    return _cut(image, (image.shape[0] - size) // 2, (image.shape[1] - size) // 2, size)


def _cut(image: Pixels, top: int, left: int, side: int) -> Pixels:
    return np.ascontiguousarray(image[top : top + side, left : left + side])


CROPS = {
    "whole": Crop("unchanged", _whole),
    "stretch": Crop("stretched by Pillow's Lanczos", _stretch),
    "square": Crop("centre square, odd margins rounded down at the left and top; Pillow's Lanczos", _square),
    "square-to-even": Crop("centre square, odd margins rounded to even; Pillow's Lanczos", _square_to_even),
    "adm": Crop(
        "halved by Pillow's box filter until below twice the size; shorter side by bicubic; centre square", _adm
    ),
    "adm-lsun": Crop("shorter side by Pillow's box filter; centre square", _adm_lsun),
}
