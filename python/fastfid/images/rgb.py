"""Converts an image in memory to an RGB array, and raises errors with advice for arrays that are not images."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import type_of
from ..errors import InputError
from ..files.reading import failures
from .formats import LONGEST_SIDE

__all__ = ["as_rgb", "check_arrays", "is_array", "is_tensor", "to_array"]

_HALF = ("bfloat16", "float8")  # beginnings of the names of types that NumPy does not have
_LOOKED_AT = 16  # images whose range of values is checked; the whole array may be larger than the memory


def as_rgb(array: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Convert one image in memory to the form that all later steps use.

    Parameters
    ----------
    array : ndarray of integers, shape (H, W, 3), (H, W, 1) or (H, W)
        Values in 0...255, of any integer dtype.
    name : str
        Name of the image in errors.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        C-contiguous; grey is repeated. A read-only view of `array` if that already has this form.

    Raises
    ------
    InputError
        If the dtype is not an integer, a value is outside 0...255, the shape is another one, or a side is longer than
        `LONGEST_SIDE`.

    Examples
    --------
    >>> as_rgb(np.array([[0, 255]]), "grey").tolist()
    [[[0, 0, 0], [255, 255, 255]]]
    """
    check_arrays(array.shape, array.dtype, name, stack=False, values=array)
    if array.dtype != np.uint8:
        low, high = int(array.min()), int(array.max())
        if low < 0 or high > 255:
            raise InputError(f"{name}: the value {low if low < 0 else high} is outside 0...255")
        array = array.astype(np.uint8)
    if array.ndim == 2:
        array = array[..., None]
    return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3)))


def to_array(array: Any, name: str, *, copy: bool) -> NDArray[Any]:
    """Convert an array or a tensor of any library to an ndarray, or raise `InputError`.

    Half precision that NumPy does not have becomes float32, which holds each of its values.
    """
    advice = "; for a torch tensor give x.detach().cpu(), and x.float() if it is bfloat16"
    with failures(f"{name}: {type_of(array)} that NumPy cannot read", advice=advice):
        if is_tensor(array):
            array = array.detach().cpu()
            if str(array.dtype).rpartition(".")[2].startswith(_HALF):
                array = array.float()
        if not hasattr(array, "__array__"):
            array = np.from_dlpack(array)
        found: NDArray[Any] = np.array(array) if copy else np.asarray(array)
        return found.astype(np.float32) if found.dtype.name.startswith(_HALF) else found


def is_tensor(array: object) -> bool:
    """Return True for a torch tensor, without importing torch."""
    return hasattr(array, "detach") and hasattr(array, "cpu")


def is_array(value: object) -> bool:
    """Return True for what `to_array` accepts."""
    return hasattr(value, "__array__") or hasattr(value, "__dlpack__")


def check_arrays(
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    name: str,
    *,
    stack: bool,
    values: NDArray[Any] | None = None,
    floats: bool = False,
) -> None:
    """Check that a dtype and shape can be one image or, if `stack`, N images.

    Parameters
    ----------
    shape, dtype : tuple of int, dtype
        Of the array.
    name : str
        Name of the array in errors.
    stack : bool
        True for N images, False for one.
    values : ndarray, optional
        The array itself, if it is in memory. The advice for floats depends on their range.
    floats : bool
        True if floats are accepted.

    Raises
    ------
    InputError
        If they cannot; the message names the dtype or shape, and says what to do.
    """
    if (hint := _features_hint(shape, dtype, stack)) or dtype.kind not in ("iuf" if floats else "iu"):
        raise InputError(f"{name}: {hint or _dtype_hint(dtype, values)}")
    one = shape[1:] if stack else shape
    if stack and len(shape) == 3 and shape[2] in (1, 3, 4):
        # Grey images of that width are possible but unlikely; passing one colour image instead of N is common.
        raise InputError(
            f"{name}: shape {shape} looks like one image, not (N, H, W); give many images as (N, H, W, 3), "
            "or x[..., None] if these really are grey ones"
        )
    if stack and len(shape) == 3 and shape[0] == 3:
        # N = 3 is unlikely, too. N = 4 is allowed, since the last batch of a loader can have it, and so is N = 1, which
        # means the same either way.
        raise InputError(
            f"{name}: shape {shape} looks like one image with its channels first, not (N, H, W); for that image give "
            "x.transpose(1, 2, 0)[None], or x[..., None] if these really are three grey ones"
        )
    if not (len(one) == 2 or (len(one) == 3 and one[2] in (1, 3))):
        wanted = "(N, H, W, 3), (N, H, W, 1) or (N, H, W)" if stack else "(H, W, 3), (H, W, 1) or (H, W)"
        raise InputError(f"{name}: shape {shape} is not {wanted}{_shape_hint(one, stack)}")
    if 0 in shape:
        raise InputError(f"{name}: shape {shape} holds no pixels")
    if max(one[:2]) > LONGEST_SIDE:
        raise InputError(f"{name}: shape {shape} has a side longer than {LONGEST_SIDE} pixels; crop or shrink it")


def _features_hint(shape: tuple[int, ...], dtype: np.dtype[Any], stack: bool) -> str:
    """Return advice if the array looks like feature vectors, else an empty text."""
    if dtype.kind not in "fV" or len(shape) != (2 if stack else 1) or 0 in shape:
        return ""
    return (
        f"{dtype} of shape {shape} cannot be images. For features, one row per image, use "
        "frechet_distance_from_features(x, y), or give Statistics(dims).update(features) instead of a set of images"
    )


def _dtype_hint(dtype: np.dtype[Any], values: NDArray[Any] | None) -> str:
    refused = f"dtype {dtype} is not accepted, give integers in 0...255"
    if dtype.kind == "b":
        return f'{refused}; convert it with x.astype("uint8") * 255'
    if dtype.kind == "f":
        return f"{refused}, or say what floats mean by value_range and quantise; {_float_hint(values)}"
    if dtype.kind == "V":  # bfloat16, which is not a NumPy dtype, or a structured dtype
        return f'{refused}; convert it with x.astype("float32"), and that to integers'
    if dtype.kind in "OUS":
        return f"{refused}; give paths or PIL images as a list, x.tolist()"
    return f"{refused}; uint8 is best"


_UNIT = (
    'convert values in [0, 1] with (x * 255).round().astype("uint8"); torchmetrics with normalize=True truncates: '
    '(x * 255).astype("uint8")'
)
_SIGNED = 'convert values in [-1, 1] with ((x + 1) * 127.5).round().astype("uint8")'


def _float_hint(values: NDArray[Any] | None) -> str:
    if values is None or not values.size:
        return f"{_UNIT}; {_SIGNED}"
    some = values[:_LOOKED_AT] if values.ndim == 4 else values
    low, high = float(some.min()), float(some.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        return "it holds NaN or infinite values, which are no pixels"
    if low >= 0 and high <= 1:
        return _UNIT
    if low >= -1 and high <= 1:
        return f"{_SIGNED}; leave out round() if your other tool truncates"
    if low >= 0 and high <= 255:
        return 'convert values in [0, 255] with x.round().astype("uint8")'
    return f"its values, from {low:g} to {high:g}, must be brought to 0...255 first"


def _shape_hint(one: tuple[int, ...], stack: bool) -> str:
    if len(one) == 3 and one[2] == 4:
        return "; drop the alpha channel with x[..., :3]"
    if len(one) == 3 and one[0] in (1, 3):
        return "; put the channels last with x.transpose(1, 2, 0)"
    if len(one) == 4 and not stack:
        return "; this is a batch: give its images one by one, (image for batch in batches for image in batch)"
    return ""
