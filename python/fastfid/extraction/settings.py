"""Checks of the settings of a session and of a stream, without importing ONNX Runtime."""

import os

from ..arguments import spelled
from ..checks import one_of, shown, whole_number
from ..errors import InputError, UsageError
from .accelerators import ACCELERATORS
from .device import parse

PRECISIONS = ("fp32", "tf32", "fp16")
ON_ERROR = ("raise", "skip")


def check_settings(device: str, precision: str, batch_size: int | None) -> None:
    """Raise `InputError` if a setting of a session has a bad value."""
    kind, _ = parse(device)
    check_precision(precision)
    check_batch_size(batch_size)
    if kind != "auto":
        check_kept(kind, precision)


def check_kept(kind: str, precision: str) -> None:
    """Raise `UsageError` if a kind of device, such as "cuda", does not keep to a precision."""
    accelerator, asked = ACCELERATORS[kind], spelled("precision", precision)
    if precision not in accelerator.precisions:
        others = [name for name, other in ACCELERATORS.items() if precision in other.precisions]
        raise UsageError(
            f"{asked} is not for {kind}, which has {' and '.join(accelerator.precisions)}; "
            f"it is for {', '.join(others)}"
        )
    variable, value = accelerator.environment.get(precision, ("", ""))
    if variable and os.environ.get(variable) != value:
        raise UsageError(
            f"{asked} on {kind} needs the environment variable {variable}={value} before the program starts: "
            f"{accelerator.provider} has no option for it. Set it, or choose {spelled('precision', 'tf32')}"
        )


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
