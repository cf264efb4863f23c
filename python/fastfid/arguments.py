"""Marks defaults, so that "not given" can be told from "given"; describes options, and writes them in messages."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from shlex import quote
from typing import Any, TypeVar, cast

from .checks import shown
from .errors import FastFIDError, InputError

T = TypeVar("T")
Marked = TypeVar("Marked", str, int, float)


class _NotGiven:
    """Marks a default. A marked value equals the plain value, prints like it and can be used like it."""


class _Text(_NotGiven, str):
    pass


class _Number(_NotGiven, int):
    pass


class _Real(_NotGiven, float):
    pass


_AS_FLAGS = ContextVar("_AS_FLAGS", default=False)


def default(value: Marked) -> Marked:
    """Return `value` for use as the default of a parameter, marked as not given.

    Examples
    --------
    >>> def f(mode=default("pytorch")):
    ...     return mode, given(mode)
    >>> f(), f("pytorch")
    (('pytorch', False), ('pytorch', True))
    """
    kind: Any = next(kind for kind in (_Text, _Number, _Real) if isinstance(value, kind.__mro__[2]))
    return cast(Marked, kind(value))


def given(value: object) -> bool:
    """Return True if the caller gave an argument; None counts as not given."""
    return value is not None and not isinstance(value, _NotGiven)


@dataclass(frozen=True)
class Option:
    """Facts about an option besides its name, type and default.

    Attributes
    ----------
    help : str
        One sentence, as ``fastfid --help`` shows it; the default is added there.
    check : callable
        Takes a value and raises `error` if the value is bad. What it returns replaces the value, unless it is None.
    bad : tuple
        Values that the check refuses; the tests use them.
    good : tuple
        Values that the check accepts, besides the default and the choices; the tests use them.
    error : type
        The class of error that a bad value raises.
    functions : tuple of str
        Names of the functions that take the option.
    flag : str
        Name of the flag, if it is not ``--`` followed by the name of the option.
    switch : bool or None
        The value that the flag sets, if the flag itself takes no value.
    read : callable
        Turns the text after the flag into a value, which is then checked.
    choices : tuple of str
        All allowed values, if there is a fixed list.
    metavar : str
        The name of the flag's value in ``fastfid --help``.
    """

    help: str
    check: Callable[[Any], object]
    bad: tuple[Any, ...]
    good: tuple[Any, ...] = ()
    error: type[FastFIDError] = InputError
    functions: tuple[str, ...] = ("score", "compare", "statistics", "fit", "reference", "shard")
    flag: str = ""
    switch: bool | None = None
    read: Callable[[str], Any] = str
    choices: tuple[str, ...] = ()
    metavar: str | None = None


def option(value: T, **facts: Any) -> T:
    """Return a field of `Options` with the default `value`; `facts` are the fields of `Option`."""
    return field(default=value, metadata={"option": Option(**facts)})


def optional(check: Callable[[Any], object]) -> Callable[[Any], object]:
    """Return a check that also accepts None."""
    return lambda value: None if value is None else check(value)


def keeping_value(check: Callable[[Any], object]) -> Callable[[Any], None]:
    """Return the same check without its result, so that the value is used unchanged."""

    def check_only(value: Any) -> None:
        check(value)

    return check_only


@contextmanager
def arguments_as_flags() -> Iterator[None]:
    """In this block messages write arguments as they are typed at the command line."""
    token = _AS_FLAGS.set(True)
    try:
        yield
    finally:
        _AS_FLAGS.reset(token)


def spelled(name: str, *value: Any) -> str:
    """Return an argument, with its value if one is given, as the reader of a message would write it.

    Examples
    --------
    >>> spelled("half_width"), spelled("mode", "clean"), spelled("recursive", False)
    ('half_width', "mode='clean'", 'recursive=False')
    >>> with arguments_as_flags():
    ...     spelled("half_width"), spelled("mode", "clean"), spelled("recursive", False)
    ('--half-width', '--mode clean', '--no-recursive')
    """
    if not _AS_FLAGS.get():
        return f"{name}={shown(value[0])}" if value else name
    text = "" if not value or isinstance(value[0], bool) else f" {_typed(value[0])}"
    return f"--{'no-' if value == (False,) else ''}{name.replace('_', '-')}{text}"


def spelled_together(**values: Any) -> str:
    """Return several arguments, with their values, as the reader of a message would write them.

    Examples
    --------
    >>> spelled_together(mode="clean", dims=64)
    "mode='clean', dims=64"
    >>> with arguments_as_flags():
    ...     spelled_together(mode="clean", dims=64)
    '--mode clean --dims 64'
    """
    return (" " if _AS_FLAGS.get() else ", ").join(spelled(name, value) for name, value in values.items())


def _typed(value: object) -> str:
    return quote(",".join(map(str, value)) if isinstance(value, tuple | list) else str(value))
