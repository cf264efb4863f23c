"""Checks of plain arguments, with messages that name the argument."""

import json
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError
from .files.reading import failures


def shown(value: Any) -> str:
    """Return the text that shows a bad value in a message: its repr, cut after 80 characters."""
    try:
        text = repr(value)
    except Exception:  # a caller's own class, or an int with more digits than Python converts
        text = type_of(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


def counted(number: int, noun: str) -> str:
    """Return a number of things as text.

    Examples
    --------
    >>> counted(1, "archive"), counted(1200, "image")
    ('1 archive', '1200 images')
    """
    return f"{number} {noun}{agreeing(number, '', 's')}"


def agreeing(number: int, one: str, several: str) -> str:
    """Return the word that agrees with a number of things: "is" or "are"."""
    return one if number == 1 else several


def with_article(noun: str) -> str:
    """Return a noun or the name of a type with "a" or "an" before it.

    Examples
    --------
    >>> with_article("IterableDataset"), with_article("ndarray"), with_article("UPath")
    ('an IterableDataset', 'a ndarray', 'a UPath')
    """
    return f"{'an' if noun[:1].lower() in set('aeio') else 'a'} {noun}"


def type_of(value: object) -> str:
    """Return the name of a value's type, with an article, for messages."""
    return with_article(type(value).__name__)


def whole_number(name: str, value: Any, least: int, most: int | None = None) -> int:
    """Return `value` as an int from `least` to `most`, or raise `InputError`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise InputError(f"{name} must be a whole number, got {shown(value)}")
    if value < least or (most is not None and value > most):
        bounds = f"at least {least}" if most is None else f"between {least} and {most}"
        raise InputError(f"{name} must be {bounds}, got {shown(value)}")
    return int(value)


def real_number(value: Any) -> float:
    """Return a real number as a float, and NaN for anything else, also for an int that no float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return float("nan")
    try:
        return float(value)
    except OverflowError:
        return float("nan")


def level_number(value: Any) -> float:
    """Return a confidence level as a float, or raise `InputError`."""
    level = real_number(value)
    if not 0.5 <= level <= 0.9999:
        raise InputError(f"level must be a number between 0.5 and 0.9999, got {shown(value)}")
    return level


def level_text(text: str) -> float:
    """Read a confidence level from text, or raise `InputError`."""
    try:
        return level_number(float(text))
    except ValueError:
        return level_number(text)


def whole_text(text: str) -> int:
    """Read a whole number from text, or raise `InputError`."""
    digits = text.removeprefix("-")
    if not digits.isdecimal() or len(digits) > 18:
        raise InputError(f"must be a whole number, got {shown(text)}")
    return int(text)


def list_text(text: str) -> tuple[str, ...]:
    """Split a text at its commas."""
    return tuple(word.strip() for word in text.split(","))


def json_object(text: str) -> dict[str, Any]:
    """Read the value of a flag: an object in JSON, such as {"anon": true}; raise `InputError` if it is none."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise InputError(f'{text!r} must be an object in JSON, such as {{"anon": true}}')
    return value


def mapping(name: str, value: Any) -> dict[str, Any]:
    """Return a mapping with texts as keys as a dict, or raise `InputError`."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InputError(f"{name} must be a dict with texts as keys, got {shown(value)}")
    return dict(value)


def range_text(value: str) -> tuple[float, ...]:
    """Read the value of a flag: numbers separated by commas, such as -1,1."""
    try:
        return tuple(float(part) for part in value.split(","))
    except ValueError:
        raise InputError(f"{value!r} must be two numbers, such as -1,1") from None


def text(name: str, value: Any) -> str:
    """Return a text that is not empty, or raise `InputError`."""
    if not (isinstance(value, str) and value):
        raise InputError(f"{name} must be a text, got {shown(value)}")
    return value


def one_of(name: str, value: Any, choices: Collection[str]) -> None:
    """Raise `InputError` unless `value` is one of a few texts."""
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"{name} must be one of {', '.join(choices)}; got {shown(value)}")


def seed_number(seed: Any) -> int:
    """Return a seed as an int that NumPy's RandomState accepts, or raise `InputError`."""
    return whole_number("seed", seed, 0, 2**32 - 1)


def truth(name: str, value: Any) -> bool:
    """Return `value` as a bool if it is True, False, 1 or 0, or raise `InputError`."""
    if not isinstance(value, bool | int | np.integer | np.bool_) or value not in (0, 1):
        raise InputError(f"{name} must be True or False, got {shown(value)}")
    return bool(value)


def numbers(value: ArrayLike, name: str, kinds: str = "fiu") -> NDArray[Any]:
    """Return `value` as an array of numbers, by default real ones, or raise `InputError` with advice how to convert."""
    tensor = hasattr(value, "detach")
    advice = "; for a torch tensor, give tensor.detach().float().cpu().numpy()" if tensor else ""
    with failures(f"{name} cannot be made an array", advice=advice):
        array = np.asarray(value)
    if array.dtype.kind not in kinds:
        own = array.dtype.name.startswith(("bfloat", "float"))  # ml_dtypes, which NumPy treats as raw bytes
        advice = ": convert it with .astype('float32')" if own else ""
        wanted = "numbers" if "c" in kinds else "real numbers"
        raise InputError(f"{name} must be {wanted}, got dtype {array.dtype}{advice}")
    return array


def real_array(value: ArrayLike, name: str, ndim: int) -> NDArray[np.float64]:
    """Return `value` as a C-contiguous float64 array of `ndim` dimensions, or raise `InputError`."""
    array = numbers(value, name)
    if array.size == 1 and array.ndim < ndim:
        array = array.reshape((1,) * ndim)  # a single number is one-dimensional
    if array.ndim != ndim:
        raise InputError(f"{name} must have {ndim} dimensions, got shape {array.shape}")
    if array.size == 0:
        raise InputError(f"{name} is empty (shape {array.shape})")
    return np.ascontiguousarray(array, dtype=np.float64)


def finite_array(value: ArrayLike, name: str, ndim: int) -> NDArray[np.float64]:
    """Return `value` as a finite, C-contiguous float64 array of `ndim` dimensions, or raise `InputError`."""
    array = real_array(value, name, ndim)
    require_finite(array, name)
    return array


def require_finite(array: NDArray[np.floating], name: str) -> None:
    """Raise `InputError` if `array` holds a NaN or an infinity; the message says where."""
    finite = np.isfinite(array)
    if not finite.all():
        first = tuple(int(i) for i in np.argwhere(~finite)[0])
        count = finite.size - int(np.count_nonzero(finite))
        raise InputError(
            f"{name} holds {count} values that are not finite; the first is {array[first]} at index {first}"
        )


def not_in_float32(name: str) -> InputError:
    """Return the error for rows in which a metric met a value that is not finite."""
    return InputError(
        f"{name} hold values that are not finite, or too large: rows are kept in float32, which ends at 3.4e38; scale "
        "them down"
    )
