"""Checks of the settings of a session and of a stream, without importing ONNX Runtime."""

from ..checks import one_of, shown, whole_number
from ..errors import InputError
from .device import parse

PRECISIONS = ("fp32", "tf32", "fp16")
ON_ERROR = ("raise", "skip")


def check_settings(device: str, precision: str, batch_size: int | None) -> None:
    """Raise `InputError` if a setting of a session has a bad value."""
    parse(device)
    check_precision(precision)
    check_batch_size(batch_size)


def check_stream(num_workers: int | None, on_error: str) -> None:
    """Raise `InputError` if a setting of `Extractor.stream` has a bad value."""
    check_on_error(on_error)
    check_num_workers(num_workers)


def check_batch_size(batch_size: int | None) -> int | None:
    """Return `batch_size` as an int, or None; raise `InputError` if it is not a whole number of at least 1."""
    return None if batch_size is None else whole_number("batch_size", batch_size, 1)


def check_num_workers(num_workers: int | None) -> int | None:
    """Return `num_workers` as an int, or None; raise `InputError` if it is not a whole number of at least 0."""
    return None if num_workers is None else whole_number("num_workers", num_workers, 0)


def check_precision(precision: str) -> None:
    """Raise `InputError` if there is no such precision."""
    one_of("precision", precision, PRECISIONS)


def check_on_error(on_error: str) -> None:
    """Raise `InputError` unless `on_error` is one of `ON_ERROR`."""
    if not isinstance(on_error, str) or on_error not in ON_ERROR:
        raise InputError(f"on_error must be {' or '.join(ON_ERROR)}, got {shown(on_error)}")
