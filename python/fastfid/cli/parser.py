"""Shared by the parsers: flags from the table of options, printable errors, abbreviations."""

import argparse
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NoReturn, TypeVar

from ..errors import FastFIDError, FastFIDWarning
from ..messages import CODES, OTHER
from ..options import Options, checked, names, option_of
from ..terminal import printable

T = TypeVar("T")

#: What a side can be, for the help.
IMAGES = (
    "a folder, a .zip or .tar (also .tar.gz and the like), a .parquet or .arrow table, a .txt or .csv list of paths, "
    "or an .npz or .npy, of images; a pattern or an address of any of these"
)

# pytorch-fid accepts these abbreviated, and some abbreviations (--b, --n, --s) would be ambiguous here.
_PYTORCH_FID = ("--batch-size", "--num-workers", "--device", "--dims", "--save-stats")
# Version 0.1.0 accepted these abbreviations, which would be ambiguous now.
_EARLIER = {
    "--e": "--endings",
    "--en": "--endings",
    "--no": "--no-recursive",
    "--no-": "--no-recursive",
    "--l": "--limit",
    "--me": "--method",
    "--met": "--method",
    "--f": "--force",
    "--p": "--precision",
    "--pr": "--precision",
    "--fo": "--force",
    "--for": "--force",
    "--j": "--json",
    "--q": "--quiet",
    "--qu": "--quiet",
    "--v": "--version",
}
# Their values may begin with a minus.
_SIGNED = ("--value-range", "--max-delta", "--fail-above", "--fail-outside")
# What these do in a command that computes FIDs from images, and nothing else.
_OF_FIDS = {
    "seed": "chooses the random subset of --limit",
    "recursive": "do not search subfolders",
    "force": "compare statistics that were made in different ways: by another model, mode or dims",
}


class Parser(argparse.ArgumentParser):
    """An argparse parser whose error messages are escaped for the terminal."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, and exit with code 2."""
        super().error(printable(message))


def add_options(parser: argparse.ArgumentParser, options: Iterable[str]) -> None:
    """Add flags to a command that computes no other scores than FIDs."""
    for name in options:
        add_option(parser, name, _OF_FIDS.get(name, ""))


def add_option(parser: argparse.ArgumentParser, name: str, text: str = "") -> None:
    """Add the flag of an option, with its usual help or another.

    The parsed namespace has the option only if the flag was typed.
    """
    option, default = option_of(name), getattr(Options, name)
    text, facts = text or option.help, dict[str, Any](dest=name, default=argparse.SUPPRESS)
    if option.switch is not None:
        facts.update(action="store_const", const=option.switch)
    else:
        if default is not None and default is not False:
            text = f"{text} (default: {','.join(default) if isinstance(default, tuple) else default})"
        facts.update(metavar=option.metavar)
        if option.choices:
            facts.update(choices=option.choices)
        else:
            facts.update(type=passing(lambda typed: checked(name, option.read(typed))))
    parser.add_argument(flag_of(name), help=text.replace("%", "%%"), **facts)


def add_silence(parser: argparse.ArgumentParser) -> None:
    """Add the flag that turns kinds of warnings off; `silence` obeys it."""
    parser.add_argument(
        "--silence",
        action="append",
        default=[],
        choices=[*CODES, OTHER],
        metavar="KIND",
        help=f"do not show warnings of this kind, one of {', '.join(CODES)}, or {OTHER} for those without a kind; they "
        "count for nothing in a gate; can be repeated",
    )


def silence(typed: argparse.Namespace) -> None:
    """Turn the kinds of warnings off that were typed, until `main` restores the filters."""
    for code in typed.silence:
        pattern = rf"(?!({'|'.join(CODES)}):)" if code == OTHER else f"{code}:"
        warnings.filterwarnings("ignore", pattern, FastFIDWarning)


def flag_of(name: str) -> str:
    """Return the flag of an option."""
    return option_of(name).flag or f"--{name.replace('_', '-')}"


def given_options(typed: argparse.Namespace, function: str) -> dict[str, Any]:
    """Return the options that were typed and that a function takes."""
    return {name: getattr(typed, name) for name in names() if name in typed and function in option_of(name).functions}


def passing(check: Callable[[str], T]) -> Callable[[str], T]:
    """Turn a check of the library into an argparse type."""

    def convert(text: str) -> T:
        try:
            return check(text)
        except FastFIDError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def expand(arguments: Sequence[str]) -> list[str]:
    """Write out the abbreviations that pytorch-fid and version 0.1.0 accept.

    Examples
    --------
    >>> expand(["a", "b", "--b", "50", "--num=2", "--bo=20"])
    ['a', 'b', '--batch-size', '50', '--num-workers=2', '--bo=20']
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return [*_joined(map(_expand, arguments[:end])), *arguments[end:]]


def _joined(arguments: Iterable[str]) -> Iterator[str]:
    """Join a flag and a value that begins with a minus, which argparse would take for another flag."""
    waiting = iter(arguments)
    for argument in waiting:
        yield f"{argument}={next(waiting, '')}" if argument in _SIGNED else argument


def _expand(argument: str) -> str:
    name, equals, value = argument.partition("=")
    meant = [option for option in _PYTORCH_FID if option.startswith(name)]
    if len(name) > 2 and len(meant) == 1:
        return f"{meant[0]}{equals}{value}"
    return f"{_EARLIER.get(name, name)}{equals}{value}"
