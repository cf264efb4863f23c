"""Checks of plain arguments, each with a message that names the argument."""

from typing import Any

import numpy as np

from .errors import InputError


def whole_number(name: str, value: Any, least: int, most: int | None = None) -> int:
    """Return `value` as an int of at least `least`, or raise `InputError`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise InputError(f"{name} must be a whole number, got {value!r}")
    if value < least or (most is not None and value > most):
        bounds = f"at least {least}" if most is None else f"between {least} and {most}"
        raise InputError(f"{name} must be {bounds}, got {value}")
    return int(value)


def seed_number(seed: Any) -> int:
    """Return a seed that NumPy's RandomState takes, or raise `InputError`."""
    return whole_number("seed", seed, 0, 2**32 - 1)
