"""Defaults that can be told from the same value given by a caller."""

from typing import Any, TypeVar

T = TypeVar("T", str, int)


class _NotGiven:
    """Marks a default; a marked value is the value in every other way, so signatures show it and code uses it."""


class _Text(_NotGiven, str):
    pass


class _Number(_NotGiven, int):
    pass


def default(value: T) -> T:
    """Return `value` for use as the default of a parameter, marked as not given.

    Examples
    --------
    >>> def f(mode=default("pytorch")):
    ...     return mode, given(mode)
    >>> f(), f("pytorch")
    (('pytorch', False), ('pytorch', True))
    """
    marked: Any = _Text(value) if isinstance(value, str) else _Number(value)
    return marked  # type: ignore[no-any-return]


def given(value: object) -> bool:
    """Whether an argument was given by the caller; None counts as not given."""
    return value is not None and not isinstance(value, _NotGiven)
