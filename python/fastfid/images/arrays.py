"""Arrays of images as they come: channels first or last, integers or floats."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .decode import Decoded
from .quantise import Quantise
from .rgb import as_rgb, check_arrays

_COLOURS = (1, 3)


def decoded(array: NDArray[Any], name: str, quantise: Quantise | None = None) -> Decoded:
    """Convert one image, whose channels are last, to 8-bit RGB.

    Parameters
    ----------
    array : ndarray, shape (H, W, 3), (H, W, 1) or (H, W)
        Integers in 0...255, or floats if `quantise` says how they become integers.
    name : str
        Name of the image in errors.
    quantise : Quantise, optional

    Raises
    ------
    ImageError
        If a float is NaN or infinite.
    InputError
        As `fastfid.images.rgb.as_rgb` does.
    """
    if quantise is None or array.dtype.kind != "f":
        return Decoded(as_rgb(array, name))
    check_arrays(array.shape, array.dtype, name, stack=False, floats=True)
    pixels, losses = quantise(array, name)
    return Decoded(as_rgb(pixels, name), losses)


def channels_last(array: NDArray[Any], name: str, *, tensor: bool = False) -> NDArray[Any]:
    """Return an image (C, H, W), or several (N, C, H, W), as a view with the channels last; others unchanged.

    Parameters
    ----------
    array : ndarray
    name : str
        Name of the array in errors.
    tensor : bool
        True if its channels are usually first, as in torch. Otherwise channels that may be last are taken to be last.

    Raises
    ------
    InputError
        If the channels of a tensor may be first or last.

    Examples
    --------
    >>> channels_last(np.zeros((2, 3, 5, 8)), "x").shape
    (2, 5, 8, 3)
    """
    if not have_channels(array.shape):
        return array
    first, last = (array.shape[axis] in _COLOURS for axis in (-3, -1))
    if first and last and tensor:
        raise InputError(
            f"{name}: in shape {tuple(array.shape)} the channels may be first or last: give a NumPy array with the "
            "channels last"
        )
    return np.moveaxis(array, -3, -1) if first and not last else array


def have_channels(shape: tuple[int, ...]) -> bool:
    """Return True for one or many images with 1 or 3 channels, first or last."""
    return len(shape) in (3, 4) and (shape[-3] in _COLOURS or shape[-1] in _COLOURS)
