"""Patterns of file names: ``*``, ``?``, ``[...]`` and ``**``, and WebDataset's ``{0000..0099}`` and ``{a,b}``.

A pattern is opened like a folder that holds nothing but the matching files. Each alternative of a brace must match,
so that a missing shard is noticed.
"""

import glob
import os
import re
from collections.abc import Sequence
from fnmatch import translate
from itertools import product
from pathlib import Path

from ..errors import InputError
from ..files.listing import Table
from ..files.parallel import in_threads
from ..files.reading import failures
from ..files.remote import Remote, State
from .base import Source
from .folder import open_files, wanted
from .listed import Files, LocalFiles, RemoteFiles, list_local, list_remote
from .single import open_file
from .terms import Terms

_MAGIC = re.compile(r"[*?[]")
_BRACE = re.compile(r"\{([^{}]*,[^{}]*|\d+\.\.\d+)\}")
_Parts = Sequence[re.Pattern[str] | None]  # None for ``**``
_MOST_ALTERNATIVES = 1_000_000
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
        If there are more than a million.

    Examples
    --------
    >>> expand("{train,test}-{08..10}.tar")
    ['train-08.tar', 'train-09.tar', 'train-10.tar', 'test-08.tar', 'test-09.tar', 'test-10.tar']
    """
    parts = _BRACE.split(pattern)  # texts, with what is between the braces at odd places
    choices: list[list[str]] = []
    count = 1
    for place, part in enumerate(parts):
        first, dots, last = part.partition("..")
        if place % 2 and dots and "," not in part:
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
    if count > _MOST_ALTERNATIVES:
        raise InputError(f"{pattern} stands for more than {_MOST_ALTERNATIVES:,} names")


def open_pattern(pattern: str, terms: Terms) -> Source:
    """Open the files on a disk that match a pattern."""
    with failures(f"cannot look for {pattern}"):
        root = _root(pattern, os.sep)
        matches = {each: glob.glob(each, recursive=True) for each in expand(pattern)}  # noqa: PTH207 - a whole path
        _check_all_matched(pattern, [each for each, found in matches.items() if not found], len(matches))
        every = list(dict.fromkeys(path for found in matches.values() for path in found))
        files = [path for path in every if not Path(path).is_dir()]
        if not files and terms.recursive:
            listed = [list_local(folder, True, wanted(terms.endings)) for folder in every]
            files = [some.path(index) for some in listed for index in range(len(some))]
    names = dict.fromkeys(path[len(root) :].lstrip(os.sep) if root else path for path in files)
    return _open(pattern, LocalFiles(root, list(names)), terms)


def open_remote_pattern(remote: Remote, terms: Terms) -> Source:
    """Open the files behind an address that match a pattern."""
    root = _root(remote.root, "/")
    tail = remote.root[len(root) :].strip("/")
    folder = Remote(remote.fs, _without(remote.address, tail), root)
    alternatives = expand(tail)
    plain = [each for each in alternatives if not is_pattern(each)]
    there = _ask(folder, plain)
    found = {each: _search(folder, each, terms) for each in alternatives if is_pattern(each)}
    missing = sorted(set(plain) - set(there.names)) + [each for each, some in found.items() if not some.names]
    _check_all_matched(remote.name(), missing, len(alternatives))
    return _open(remote.name(), RemoteFiles(folder, _joined([there, *found.values()])), terms)


def _open(pattern: str, files: Files, terms: Terms) -> Source:
    if len(files) == 1 and not wanted(terms.endings)(files.names[0]):
        return open_file(files.place(0), terms)  # such as an .npz
    return open_files(pattern, files, terms, f"among the {len(files)} files that match {pattern}")


def _check_all_matched(pattern: str, missing: list[str], tried: int) -> None:
    if missing and tried == 1:
        raise InputError(f"nothing matches the pattern {pattern}")
    if missing:
        more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
        raise InputError(
            f"nothing matches {len(missing)} of the {tried} alternatives of {pattern}: "
            f"{', '.join(missing[:_MOST_NAMED])}{more}"
        )


def _root(pattern: str, separator: str) -> str:
    """Return the folder above the first part of a path that is a pattern, without a slash at its end."""
    parts = pattern.split(separator)
    plain = next(i for i, part in enumerate(parts) if is_pattern(part))
    return separator.join(parts[:plain]) or (separator if plain else "")


def _without(address: str, tail: str) -> str:
    """Return the address of the folder of a pattern, for messages."""
    head, found, rest = address.rpartition(tail)
    return head + rest if found else address


def _joined(tables: Sequence[Table]) -> Table:
    """Return the files of several tables, each once."""
    joined, seen = Table(), set[str]()
    for table in tables:
        for index, name in enumerate(table.names):
            if name not in seen:
                seen.add(name)
                joined.copy(table, index)
    return joined


def _ask(folder: Remote, names: list[str]) -> Table:
    """Return those of some files that exist; no folder is listed, because many web servers list none."""

    def ask(name: str) -> State | None:
        try:
            return folder.state(name)
        except FileNotFoundError:
            return None

    table = Table()
    for name, state in zip(names, in_threads(ask, names, _THREADS), strict=True):
        if state is not None:
            table.add(name, state)
    return table


def _search(folder: Remote, pattern: str, terms: Terms) -> Table:
    """List the files that match a pattern without braces, or else those in the folders that match it."""
    parts = _compiled(pattern)
    folders: list[str] = []

    def enter(name: str, is_folder: bool) -> bool:
        names = name.split("/")
        if not is_folder:
            return _fits(parts, names)
        if _fits(parts, names):
            folders.append(name)
        return _fits(parts, names, begun=True)

    try:
        files = list_remote(folder, enter)
        if files.names or not terms.recursive:
            return files
        useful = wanted(terms.endings)
        below = tuple(f"{name}/" for name in folders)
        inside = [f"{name}/" for name in folders]
        return list_remote(
            folder,
            lambda name, is_folder: (
                (name.startswith(below) and (is_folder or useful(name)))
                or (is_folder and any(one.startswith(f"{name}/") for one in inside))
            ),
        )
    except FileNotFoundError:
        return Table()


def _compiled(pattern: str) -> _Parts:
    return [None if part == "**" else re.compile(translate(part)) for part in pattern.split("/")]


def _fits(parts: _Parts, names: Sequence[str], *, begun: bool = False) -> bool:
    """Return True if names match the parts of a pattern; if `begun`, also if names below them may."""
    if not parts or not names:
        return not names and (begun or not parts)
    first, *rest = parts
    if first is None:  # any number of folders
        return not rest or _fits(rest, names, begun=begun) or _fits(parts, names[1:], begun=begun)
    return bool(first.match(names[0])) and _fits(rest, names[1:], begun=begun)
