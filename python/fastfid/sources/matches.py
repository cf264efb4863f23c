"""Which files and folders match patterns; found while they are listed, in one walk for all patterns."""

import os
import re
from collections.abc import Callable, Collection, Hashable, Sequence
from fnmatch import translate
from typing import NamedTuple

_MAGIC = re.compile(r"[*?[]")
_Places = frozenset[tuple[int, int]]  # of patterns, by number, the part that is looked for next


class _State(NamedTuple):
    """What is looked for in a folder: parts of patterns; and the patterns that match it or a folder above it."""

    live: _Places
    within: frozenset[int]


class Matches:
    """The files and folders that match some patterns without braces; filled by a walk that calls it for each name.

    A name that is a file, or a folder if the second argument is True, is wanted if the result is true. For a folder the
    result is what is wanted below it.

    Parameters
    ----------
    patterns : sequence of str
        Relative to one folder; those that end in a slash match folders only.
    recursive : bool
        Whether files in folders that match are wanted, too.
    useful : callable
        Tells from its name whether such a file may be of use.

    Attributes
    ----------
    begin : dict of str to Hashable
        The folders at which the walk begins, and what is wanted below each.
    files : dict of str to frozenset of int
        The files that match, each with the numbers of the patterns.
    inside : dict of str to frozenset of int
        Other files, which are in folders that match.
    folders : dict of str to frozenset of int
        The folders that match.
    """

    def __init__(self, patterns: Sequence[str], recursive: bool, useful: Callable[[str], bool]) -> None:
        self._patterns = patterns
        self._parts: dict[int, list[_Part | None]] = {}
        self._only_folders = frozenset(number for number, each in enumerate(patterns) if each.endswith("/"))
        self._recursive, self._useful = recursive, useful
        self.files: dict[str, frozenset[int]] = {}
        self.inside: dict[str, frozenset[int]] = {}
        self.folders: dict[str, frozenset[int]] = {}
        self._same: dict[frozenset[int], frozenset[int]] = {}
        self._states: dict[str, _State] = {}
        self.begin: dict[str, Hashable] = {}

    def look_for(self, numbers: Collection[int]) -> None:
        """Set where the walk begins, for the patterns with these numbers."""
        self._parts = {number: _compiled(self._patterns[number]) for number in numbers}
        fixed = {number: _fixed(self._parts[number]) for number in numbers}
        first: list[tuple[str, ...]] = []
        for folder in sorted(set(fixed.values())):
            if not (
                first and folder[: len(first[-1])] == first[-1]
            ):  # else it is below that one, which is sorted first
                first.append(folder)
        places: dict[tuple[str, ...], set[tuple[int, int]]] = {folder: set() for folder in first}
        for number, folder in fixed.items():
            above = next(folder[:length] for length in range(len(folder) + 1) if folder[:length] in places)
            places[above].add((number, len(above)))
        for folder, reached in places.items():
            name = "/".join(folder)
            self.begin[name] = self._arrive(name, reached, frozenset())

    def __call__(self, name: str, is_folder: bool) -> Hashable:
        """Return whether a file is wanted, or what is wanted below a folder."""
        name = name.replace(os.sep, "/")
        above, _, tail = name.rpartition("/")
        state = self._states[above]
        reached = self._step(state.live, tail)
        if is_folder:
            found = self._arrive(name, reached, state.within)
            return found if found.live or found.within else False
        if ended := self._ended(reached) - self._only_folders:
            self.files[name] = self._shared(ended)
            return True
        if state.within and self._useful(tail):
            self.inside[name] = state.within
            return True
        return False

    def add(self, name: str, number: int) -> None:
        """Add a file that is the pattern with this number."""
        self.files[name] = self.files.get(name, frozenset()) | {number}

    def matched(self) -> set[int]:
        """Return the numbers of the patterns that match something."""
        sets = set(self.files.values()) | set(self.folders.values())
        return set().union(*sets)

    def _arrive(self, name: str, reached: set[tuple[int, int]], within: frozenset[int]) -> _State:
        """Return what is looked for in a folder; `reached` are the places in the patterns that its name has led to."""
        if ended := self._ended(reached):
            self.folders[name] = self._shared(ended)
            if self._recursive:
                within = self._shared(within | ended)
        live = {(number, part) for number, part in reached if part < len(self._parts[number])}
        # ``**`` may stand for no folder at all.
        live |= {(n, part + 1) for n, part in live if self._parts[n][part] is None and part + 1 < len(self._parts[n])}
        state = self._states[name] = _State(frozenset(live), within)
        return state

    def _step(self, live: _Places, name: str) -> set[tuple[int, int]]:
        reached = set[tuple[int, int]]()
        for number, place in live:
            part = self._parts[number][place]
            if part is None:
                reached.add((number, place))
                if place + 1 == len(self._parts[number]):
                    reached.add((number, place + 1))
            elif part.matches(name):
                reached.add((number, place + 1))
        return reached

    def _ended(self, reached: set[tuple[int, int]]) -> frozenset[int]:
        return frozenset(number for number, place in reached if place == len(self._parts[number]))

    def _shared(self, numbers: frozenset[int]) -> frozenset[int]:
        return self._same.setdefault(numbers, numbers)  # there are few of them, and millions of files


class _Part:
    """One part of a pattern; `text` is the name that it stands for, or None if that can be several."""

    def __init__(self, part: str) -> None:
        self.text = None if _MAGIC.search(part) else part
        self._fits = re.compile(translate(part)).match

    def matches(self, name: str) -> bool:
        return name == self.text if self.text is not None else self._fits(name) is not None


def _compiled(pattern: str) -> list[_Part | None]:
    """Return the parts of a pattern; None is ``**``, any number of folders."""
    parts: list[_Part | None] = []
    for part in pattern.split("/"):
        if part in ("", ".") or (part == "**" and parts and parts[-1] is None):
            continue
        parts.append(None if part == "**" else _Part(part))
    return parts


def _fixed(parts: Sequence[_Part | None]) -> tuple[str, ...]:
    """Return the names of the folders in which a pattern is looked for."""
    fixed = list[str]()
    for part in parts:
        if part is None or part.text is None:
            break
        fixed.append(part.text)
    return tuple(fixed)
