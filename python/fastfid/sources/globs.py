"""Patterns of file names: ``*``, ``?``, ``[...]`` and ``**``, and WebDataset's ``{0000..0099}`` and ``{a,b}``.

A pattern is opened like a folder that holds nothing but what matches: hidden files count, links are followed, each
folder is read once, and of several kinds of files the first one of a folder counts. Files together with folders that
have other files are refused, because either may be meant. Each alternative of a brace must give some of the images, so
that a missing shard is noticed.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from ..arguments import spelled
from ..checks import counted, shown
from ..errors import InputError
from ..files.listing import Table
from ..files.parallel import in_threads
from ..files.places import Place
from ..files.reading import failures
from ..files.remote import Remote, refused, state_of_info
from .arrays import holds_statistics
from .base import Source
from .folder import in_order, open_files, wanted
from .listed import Files, LocalFiles, RemoteFiles, list_local, list_remote
from .matches import Matches
from .single import open_file
from .terms import Terms

_MAGIC = re.compile(r"[*?[]")
_BRACE = re.compile(r"\{([^{}]*,[^{}]*|\d+\.\.\d+)\}")
_MOST_ALTERNATIVES = 1_000_000
_MOST_DIGITS = 18
_LONGEST = 4096  # characters of a pattern; Linux takes no longer paths
_MOST_CHARACTERS = 1 << 28  # of all names together
_MOST_NAMED = 3
_THREADS = 16  # files that are asked for at a time


def is_pattern(text: str) -> bool:
    """Return True if a text has characters of a pattern.

    Examples
    --------
    >>> [is_pattern(text) for text in ("a/*.png", "a-{00..09}.tar", "a/b.png", "a-{0}.png")]
    [True, True, False, False]
    """
    return bool(_MAGIC.search(text) or _BRACE.search(text))


def has_pattern(remote: Remote) -> bool:
    """Return True if the path of an address is a pattern; in an address of the web, ``?`` begins a query."""
    path = remote.root.partition("?")[0] if "://" in remote.root else remote.root
    return is_pattern(path)


def expand(pattern: str) -> list[str]:
    """Return the patterns that braces stand for.

    Raises
    ------
    InputError
        If there are more than a million, or the pattern is too long.

    Examples
    --------
    >>> expand("{train,test}-{08..10}.tar")
    ['train-08.tar', 'train-09.tar', 'train-10.tar', 'test-08.tar', 'test-09.tar', 'test-10.tar']
    """
    if len(pattern) > _LONGEST:
        raise InputError(f"the pattern {shown(pattern)} has more than {_LONGEST:,} characters")
    parts = _BRACE.split(pattern)  # texts, with what is between the braces at odd places
    choices: list[list[str]] = []
    count = 1
    for place, part in enumerate(parts):
        first, dots, last = part.partition("..")
        if place % 2 and dots and "," not in part:
            if max(len(first), len(last)) > _MOST_DIGITS:  # each name would have as many
                raise InputError(f"a number in the braces of {shown(pattern)} has more than {_MOST_DIGITS} digits")
            count *= abs(int(last) - int(first)) + 1
            _check_count(pattern, count)
            step = 1 if int(first) <= int(last) else -1
            numbers = range(int(first), int(last) + step, step)
            choices.append([str(number).zfill(len(first)) for number in numbers])
        else:
            choices.append(part.split(",") if place % 2 else [part])
            count *= len(choices[-1])
            _check_count(pattern, count)
    return ["".join(chosen) for chosen in product(*choices)]


def _check_count(pattern: str, count: int) -> None:
    if count > _MOST_ALTERNATIVES or count * len(pattern) > _MOST_CHARACTERS:
        raise InputError(f"{shown(pattern)} stands for more than {_MOST_ALTERNATIVES:,} names, or too long ones")


def open_pattern(pattern: str, terms: Terms) -> Source:
    """Open the files on a disk that match a pattern."""
    with failures(f"cannot look for {pattern}"):
        root, tail = _split(pattern.replace(os.sep, "/"))
        alternatives = list(dict.fromkeys(expand(tail)))
        if not root and any(each.startswith("/") for each in alternatives):
            root, alternatives = "/", [str(Path(each).absolute()) for each in alternatives]
        matches = Matches(alternatives, terms.recursive, wanted(terms.endings))
        folders, plain = list[int](), list[str]()
        for number, each in enumerate(alternatives):
            path = os.path.join(root, each.lstrip("/"))  # noqa: PTH118 - a million of them
            if is_pattern(each) or Path(path).is_dir():
                folders.append(number)
            elif os.path.lexists(path):
                name = str(Path(each.lstrip("/")))
                matches.add(name.replace(os.sep, "/"), number)
                plain.append(name)
        matches.look_for(folders)
        found = list_local(root, matches, matches.begin)
    files = LocalFiles(root, list(dict.fromkeys([*plain, *found.names])), found.repeated)
    return _open(pattern, alternatives, files, matches, terms)


def open_remote_pattern(remote: Remote, terms: Terms) -> Source:
    """Open the files behind an address that match a pattern."""
    root, tail = _split(remote.root.rstrip("/"))
    folder = Remote(remote.fs, _without(remote.address.rstrip("/"), tail), root)
    slash = "/" if remote.address.endswith("/") else ""  # many file systems leave it out of the path
    alternatives = [each + slash for each in dict.fromkeys(expand(tail))]
    matches = Matches(alternatives, terms.recursive, wanted(terms.endings))
    table, folders = _ask(folder, [(number, each) for number, each in enumerate(alternatives) if not is_pattern(each)])
    for name, number in zip(table.names, table.numbers, strict=True):
        matches.add(name, number)
    matches.look_for(folders + [number for number, each in enumerate(alternatives) if is_pattern(each)])
    found = list_remote(folder, matches, matches.begin)
    return _open(remote.name(), alternatives, RemoteFiles(folder, _joined([table, found])), matches, terms)


def _open(pattern: str, alternatives: Sequence[str], files: Files, matches: Matches, terms: Terms) -> Source:
    matched = matches.matched()
    _check_all_matched(pattern, [each for n, each in enumerate(alternatives) if n not in matched], len(alternatives))
    kinds = in_order(terms.endings)
    alone = len(files) == 1 and not wanted(terms.endings)(files.names[0])  # such as an .npz
    both = (matches.files, matches.inside)
    for _, test in [("", lambda name: True)] if alone else kinds:
        given = {numbers for names in both for name, numbers in names.items() if test(name)}
        if given:
            _check_all_used(pattern, alternatives, set().union(*given))
            break
    if alone:
        return _open_alone(pattern, files.place(0), terms)
    _check_one_kind(pattern, alternatives, matches, terms)
    files = files.only(wanted(terms.endings))
    return open_files(pattern, files, terms, f"among the {len(matches.files)} files that match {pattern}")


def _open_alone(pattern: str, place: Place, terms: Terms) -> Source:
    with failures(f"cannot read {place}"):
        if holds_statistics(place):
            raise InputError(f"{place}, the only file that matches {pattern}, is a statistics file: give its own name")
    return open_file(place, terms)


def _check_all_matched(pattern: str, missing: list[str], tried: int) -> None:
    advice = "; a [ within a name is written [[]" if any("[" in each for each in missing) else ""
    if missing and tried == 1:
        raise InputError(f"nothing matches the pattern {pattern}{advice}")
    if missing:
        raise InputError(
            f"nothing matches {len(missing)} of the {tried} alternatives of {pattern}: {_named(missing)}{advice}"
        )


def _check_all_used(pattern: str, alternatives: Sequence[str], used: set[int]) -> None:
    """Raise `InputError` if an alternative of a brace has none of the files that are opened."""
    left = [each for number, each in enumerate(alternatives) if number not in used]
    if left:
        raise InputError(
            f"{len(left)} of the {len(alternatives)} alternatives of {pattern} would be left out, because what they "
            f"match is of another kind, or no images: {_named(left)}; give alternatives of one kind"
        )


def _check_one_kind(pattern: str, alternatives: Sequence[str], matches: Matches, terms: Terms) -> None:
    """Raise `InputError` if an alternative matches files, and also folders that have others: are the folders meant?"""
    kinds = in_order(terms.endings)
    useful = wanted(terms.endings)
    found, inside = (
        set().union(*{numbers for name, numbers in names.items() if useful(name)})
        for names in (matches.files, matches.inside)
    )
    for number in found & inside:
        files, others = (
            ", ".join(counted(count, kind) for kind, test in kinds if (count := _count(names, number, test)))
            for names in (matches.files, matches.inside)
        )
        one = pattern if len(alternatives) == 1 else f"{alternatives[number]} of {pattern}"
        raise InputError(
            f"{one} matches files ({files}) and folders with other files ({others}): for the files alone give "
            f"{spelled('recursive', False)}, for the folders alone end it with a slash"
        )


def _count(names: Mapping[str, frozenset[int]], number: int, test: Callable[[str], bool]) -> int:
    return sum(number in numbers and test(name) for name, numbers in names.items())


def _named(alternatives: Sequence[str]) -> str:
    more = f" and {len(alternatives) - _MOST_NAMED} more" if len(alternatives) > _MOST_NAMED else ""
    return ", ".join(alternatives[:_MOST_NAMED]) + more


def _split(pattern: str) -> tuple[str, str]:
    """Return the folder above the first part that is a pattern, without a slash at its end, and the rest.

    Examples
    --------
    >>> [_split(pattern) for pattern in ("/a/b/*.png", "/*.png", "{a/b,c}/*.png")]
    [('/a/b', '*.png'), ('/', '*.png'), ('', '{a/b,c}/*.png')]
    """
    first = min(found.start() for kind in (_MAGIC, _BRACE) if (found := kind.search(pattern)))
    root, slash, _ = pattern[:first].rpartition("/")
    return root or slash, pattern[len(root) + len(slash) :]


def _without(address: str, tail: str) -> str:
    """Return the address of the folder of a pattern, for messages."""
    head, found, rest = address.rpartition(tail)
    return head + rest if found else address


def _joined(tables: Iterable[Table]) -> Table:
    """Return the files of several tables, each once."""
    joined, seen = Table(), set[str]()
    for table in tables:
        for index, name in enumerate(table.names):
            if name not in seen:
                seen.add(name)
                joined.copy(table, index)
    return joined


class _Asked(Table):
    """Files, with the numbers of the alternatives that name them."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: list[int] = []


def _ask(folder: Remote, alternatives: Sequence[tuple[int, str]]) -> tuple[_Asked, list[int]]:
    """Return those of some names that are files, and the numbers of those that are folders.

    No folder is listed for that, because many web servers list none.
    """

    def ask(alternative: tuple[int, str]) -> dict[str, Any] | None:
        name = alternative[1].strip("/")
        try:
            return folder.info(name)
        except FileNotFoundError:
            return None
        except Exception as problem:
            raise refused(f"cannot open {folder.name(name)}", problem) from problem

    table, folders = _Asked(), list[int]()
    for (number, name), info in zip(alternatives, in_threads(ask, alternatives, _THREADS), strict=True):
        if info is not None and (info["type"] == "directory" or ("url" in info and name.endswith("/"))):
            folders.append(number)  # a web server calls everything a file
        elif info is not None:
            table.add(name.strip("/"), state_of_info(info))
            table.numbers.append(number)
    return table, folders
