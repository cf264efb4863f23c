"""The files of a folder, on a disk or behind an address: their names, and where each lies."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Mapping
from copy import copy
from functools import partial
from itertools import count
from operator import itemgetter
from pathlib import Path
from typing import Self

import numpy as np

from ..errors import InputError
from ..files.listing import UNKNOWN, Table, list_folder
from ..files.parallel import in_threads
from ..files.places import STAMP, Far, Local, Place, proof_of_object
from ..files.reading import failures, proof_of_file
from ..files.remote import Remote

Wanted = Callable[[str], bool]  # tells from a name whether a file may be of use

_THREADS = 16  # folders that are listed at a time
_MOST_LEVELS = 100


class Files(ABC):
    """Some of the files below a folder, in the order in which pathlib sorts.

    Attributes
    ----------
    names : list of str
        Their paths, relative to the folder. Strings take a quarter of the memory of `Path` objects.
    repeated : int
        Links that lead to folders which had been read before.
    """

    names: list[str]
    repeated = 0

    def __len__(self) -> int:
        return len(self.names)

    def only(self, wanted: Wanted) -> Self:
        """Return those whose names are wanted."""
        return self._chosen([i for i, name in enumerate(self.names) if wanted(name)])

    def places(self) -> list[Place]:
        """Return where each file lies."""
        return [self.place(index) for index in range(len(self))]

    @abstractmethod
    def path(self, index: int) -> str:
        """Return how messages name a file."""

    @abstractmethod
    def place(self, index: int) -> Place:
        """Return where a file lies."""

    @abstractmethod
    def proof(self, index: int, *, content: bool = False) -> str:
        """Return what is surely different once a file has changed; `content` as in `proof_of_file`."""

    @abstractmethod
    def folder(self, index: int) -> str:
        """Return the folder of a file below the one that was listed, with "/" between its parts; "" for that one."""

    @abstractmethod
    def _chosen(self, indices: list[int]) -> Self:
        """Return the files at these indices."""


class LocalFiles(Files):
    """Files on a disk: `names` below `root`."""

    def __init__(self, root: str, names: list[str], repeated: int = 0) -> None:
        self._root, self.repeated = Path(root), repeated
        self.names = sorted(names, key=lambda name: os.path.normcase(name).replace(os.sep, "\0"))

    def path(self, index: int) -> str:
        """Return the path of a file."""
        return str(self._root / self.names[index])

    def place(self, index: int) -> Place:
        """Return where a file lies."""
        return Local(self.path(index))

    def proof(self, index: int, *, content: bool = False) -> str:
        """Return what is surely different once a file has changed."""
        return proof_of_file(self.path(index), content=content)

    def folder(self, index: int) -> str:
        """Return the folder of a file."""
        return Path(self.names[index]).parent.as_posix().removeprefix(".")

    def _chosen(self, indices: list[int]) -> Self:
        chosen = copy(self)
        chosen.names = [self.names[i] for i in indices]
        return chosen


class RemoteFiles(Files):
    """Files behind an address: those of a `table`, whose names are relative to the folder `remote`."""

    def __init__(self, remote: Remote, table: Table) -> None:
        names = table.names
        order = sorted(range(len(names)), key=lambda index: names[index].replace("/", "\0"))
        self._remote, self._sure = remote, table.sure
        self.names = [names[index] for index in order]
        self._sizes = np.frombuffer(table.sizes, np.int64)[order] if order else np.zeros(0, np.int64)
        self._stamps = np.frombuffer(table.stamps, np.uint8).reshape(-1, STAMP)[order]

    def path(self, index: int) -> str:
        """Return the address of a file."""
        return self._remote.name(self.names[index])

    def place(self, index: int) -> Place:
        """Return where a file lies."""
        size, stamp = int(self._sizes[index]), self._stamps[index].tobytes()
        return Far(self._remote, self.names[index], None if size == UNKNOWN else size, stamp if any(stamp) else b"")

    def proof(self, index: int, *, content: bool = False) -> str:
        """Return what is surely different once a file has changed."""
        if not self._sure:
            return ""
        said = f"{self._sizes[index]} {self._stamps[index].tobytes().hex()}"
        return proof_of_object(self._remote, self.names[index], said)

    def folder(self, index: int) -> str:
        """Return the folder of a file."""
        return self.names[index].rpartition("/")[0]

    def _chosen(self, indices: list[int]) -> Self:
        chosen = copy(self)
        chosen.names = [self.names[i] for i in indices]
        chosen._sizes, chosen._stamps = self._sizes[indices], self._stamps[indices]
        return chosen


#: Tells whether a file or, if the second is True, a folder is to be listed; for a folder, what is wanted below it.
Enter = Callable[[str, bool], Hashable]


def list_remote(remote: Remote, enter: Enter, begin: Iterable[str] | None = None) -> Table:
    """List the files below an address, folder by folder, many folders at a time.

    Parameters
    ----------
    remote : Remote
    enter : callable
        Takes a path relative to the address, and whether it is a folder; returns something true if the file is wanted,
        or the folder is to be listed.
    begin : iterable of str, optional
        Begin with these folders, as far as they exist.

    Raises
    ------
    FileNotFoundError
        If there is nothing at the address.
    InputError
        If a folder cannot be listed.
    """
    found, folders = Table(), [""] if begin is None else list(begin)
    for level in count():
        if not folders:
            break
        if level == _MOST_LEVELS:
            raise InputError(f"{remote.name(folders[0])} is below {_MOST_LEVELS} folders, and perhaps below itself")
        ask = partial(_list_folder, remote, enter=enter, first=level == 0, lenient=begin is not None)
        below: list[str] = []
        for files, deeper in in_threads(ask, folders, _THREADS):
            found.extend(files)
            below += deeper
        folders = below
    remote.fs.invalidate_cache()  # else the file system keeps all that it has listed
    return found


def _list_folder(remote: Remote, folder: str, *, enter: Enter, first: bool, lenient: bool) -> tuple[Table, list[str]]:
    try:
        return list_folder(remote, folder, lambda name, is_folder: bool(enter(name, is_folder)), first=first)
    except FileNotFoundError:
        if not lenient:
            raise
        return Table(), []


def list_local(root: str, enter: Enter, begin: Mapping[str, Hashable] | None = None) -> LocalFiles:
    """Find the files below a folder; links are followed, and each folder is read once.

    Parameters
    ----------
    root : str
        "" for the current folder.
    enter : callable
        Takes a path relative to the folder, and whether it is a folder; returns something true if the file is wanted,
        or the folder is to be read: what is wanted below it. A folder to which several links lead is read again if
        something else is wanted of it, and each of its files counts once.
    begin : mapping of str to Hashable, optional
        Begin with these folders, as far as they exist; the values are what `enter` returns for them.
    """
    found: list[str] = []
    seen = set[tuple[str, Hashable]]()
    spans: dict[str, list[slice]] = {}  # where the files of each folder are in `found`
    repeated = 0
    start = root or os.curdir
    below = len(start) if start.endswith(os.sep) else len(start) + 1
    folders: list[tuple[str, Hashable]] = [(start, True)]
    if begin is not None:
        whole = [(os.path.join(start, name) if name else start, what) for name, what in begin.items()]  # noqa: PTH118
        folders = [(path, what) for path, what in reversed(whole) if Path(path).is_dir()]
    links = list[tuple[str, Hashable]]()
    while folders or links:
        folder, what = (folders or links).pop()  # links last, so that a file keeps its real path if that is in the tree
        real = str(Path(folder).resolve())
        if (real, what) in seen:
            repeated += 1
            continue
        seen.add((real, what))
        known = {os.path.basename(name) for span in spans.get(real, ()) for name in found[span]}  # noqa: PTH119
        repeated += bool(known)
        first = len(found)
        below_it, linked = list[tuple[str, Hashable]](), list[tuple[str, Hashable]]()
        with failures(f"cannot read the folder {folder}"), os.scandir(folder) as entries:
            for entry in entries:
                name = entry.path[below:]
                # A broken link with an image's name stays in, since leaving it out silently would change n.
                if (link := entry.is_symlink() and Path(entry.path).is_dir()) or entry.is_dir(follow_symlinks=False):
                    if wanted := enter(name, True):
                        (linked if link else below_it).append((entry.path, wanted))
                elif enter(name, False) and entry.name not in known:
                    found.append(name)
        spans.setdefault(real, []).append(slice(first, len(found)))
        folders += sorted(below_it, key=itemgetter(0))
        links += sorted(linked, key=itemgetter(0))
    return LocalFiles(root, found, repeated)
