"""The command line's parser: checked values, printable errors, and pytorch-fid's abbreviations."""

import argparse
from collections.abc import Callable, Sequence
from typing import NoReturn

from ..errors import InputError
from ..terminal import printable

# pytorch-fid's parser takes their unique beginnings, some of which could be other options here: --b, --n, --s.
_PYTORCH_FID = ("--batch-size", "--num-workers", "--device", "--dims", "--save-stats")


class Parser(argparse.ArgumentParser):
    """argparse's, but an error shows what was typed without acting on it."""

    def error(self, message: str) -> NoReturn:
        """End with the usage, the message and exit code 2."""
        super().error(printable(message))


def expand(arguments: Sequence[str]) -> list[str]:
    """Write out the abbreviations that pytorch-fid takes.

    Examples
    --------
    >>> expand(["a", "b", "--b", "50", "--num=2", "--bo=20"])
    ['a', 'b', '--batch-size', '50', '--num-workers=2', '--bo=20']
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return [*map(_expand, arguments[:end]), *arguments[end:]]


def _expand(argument: str) -> str:
    name, equals, value = argument.partition("=")
    meant = [option for option in _PYTORCH_FID if option.startswith(name)]
    return f"{meant[0]}{equals}{value}" if len(name) > 2 and len(meant) == 1 else argument


def passing(check: Callable[[str], object]) -> Callable[[str], str]:
    """Return an argparse type: a text that a check of the library lets pass."""

    def convert(text: str) -> str:
        try:
            check(text)
        except InputError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        return text

    return convert


def whole(least: int) -> Callable[[str], int]:
    """Return an argparse type: a whole number of at least `least`."""

    def convert(text: str) -> int:
        if not text.isdecimal() or len(text) > 18 or int(text) < least:
            raise argparse.ArgumentTypeError(f"must be a whole number of at least {least}, got {text!r}")
        return int(text)

    return convert
