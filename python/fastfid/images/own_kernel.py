"""The kernel of a `Preprocessing`: crop and resize, then the scaling of each channel."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..errors import ImageError
from .preprocess import Kernel, Preprocessing, size_of, tables

if TYPE_CHECKING:
    from PIL import Image as PillowImage

_INTERPOLATE: dict[str, Kernel] = {
    "torch-bicubic": _core.interpolate_torch_bicubic,
    "tensorflow-bilinear": _core.interpolate_tensorflow,
}


def own_kernel(p: Preprocessing) -> Kernel:
    """Return the kernel of a preprocessing."""
    write = _scaled(p, _INTERPOLATE[p.resize]) if p.resize in _INTERPOLATE else _looked_up(p)

    def fill(image: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
        if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise ValueError(f"an image of shape {image.shape} is not RGB with pixels, (h, w, 3)")
        if out.dtype != np.float32:  # some versions of NumPy would convert
            raise TypeError(f"the output is {out.dtype}, not float32")
        write(_centre_square(image) if p.crop else image, out)

    return fill


def _looked_up(p: Preprocessing) -> Kernel:
    """Pillow's resize, then a lookup table for each channel."""
    values = tables(p)

    def write(image: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
        pixels = np.asarray(_by_pillow(p, image))
        for channel, table, plane in zip(np.moveaxis(pixels, 2, 0), values, out, strict=True):
            np.take(table, channel, out=plane, mode="clip")  # never clips; with "raise" NumPy would buffer the output

    return write


def _scaled(p: Preprocessing, interpolate: Kernel) -> Kernel:
    """A resize in float32, then the arithmetic of the tables: one rounding, then mean and std in float32."""
    (low, high), (height, width) = p.range, size_of(p)
    mean, std = (np.asarray(each, np.float32)[:, None, None] for each in (p.mean, p.std))

    def write(image: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
        if out.shape != (3, height, width):
            raise ValueError(f"the output has shape {out.shape}, not {(3, height, width)}")
        rows, columns, top, left = _frame(p, *image.shape[:2])
        whole = np.empty((3, rows, columns), np.float32)
        interpolate(image, whole)
        planes = whole[:, top : top + height, left : left + width].astype(np.float64)
        planes *= high - low
        planes /= 255
        planes += low
        np.subtract(planes.astype(np.float32), mean, out=out)
        out /= std

    return write


def _centre_square(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return np.ascontiguousarray(image[top : top + side, left : left + side])


def _by_pillow(p: Preprocessing, image: NDArray[np.uint8]) -> "PillowImage.Image":
    from PIL import Image  # slow to import, and no statistics need it

    rows, columns, top, left = _frame(p, *image.shape[:2])
    height, width = size_of(p)
    whole = Image.fromarray(image).resize((columns, rows), Image.Resampling[p.resize.upper()])
    return whole if p.shortest is None else whole.crop((left, top, left + width, top + height))


def _frame(p: Preprocessing, height: int, width: int) -> tuple[int, int, int, int]:
    """Return height and width of the resized image, and the corner (top, left) of the crop from it.

    Rounded as in torchvision: the longer side is rounded down, the corner to the nearest integer, halves to even.
    """
    from PIL import Image

    out_height, out_width = size_of(p)
    if p.shortest is None:
        return out_height, out_width, 0, 0
    shorter = min(height, width)
    rows, columns = int(p.shortest * height / shorter), int(p.shortest * width / shorter)
    if Image.MAX_IMAGE_PIXELS is not None and columns * rows > 2 * Image.MAX_IMAGE_PIXELS:
        raise ImageError(
            f"an image of {width}x{height} pixels (width x height) becomes {columns}x{rows} when its "
            f"shorter side is resized to {p.shortest}, more than 2 * PIL.Image.MAX_IMAGE_PIXELS"
        )
    return rows, columns, round((rows - out_height) / 2), round((columns - out_width) / 2)
