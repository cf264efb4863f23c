"""Tables of images: Parquet, and Arrow's formats, in one file or in several as one set. pyarrow reads them.

The files are not memory-mapped, because a mapped file that gets shorter crashes the process.
"""

import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from itertools import accumulate
from pathlib import Path
from typing import IO, Any, Protocol

from ..checks import agreeing, counted
from ..errors import ImageError, InputError
from ..files.parallel import in_threads
from ..files.places import Local, Place, place_of
from ..files.reading import MOST_FILE_BYTES, failures, proof_of_file
from ..images.decode import Decoded, decode
from .base import Item, Source
from .terms import Terms
from .unchanged import Unchanged

PARQUET = (".parquet", ".pq")
ARROW = (".arrow", ".feather", ".ipc")
TABLES = PARQUET + ARROW
_OPENERS = 8  # threads; opening a file waits for its end to be read
_LONGEST_PATH = 1 << 12  # characters; Linux takes no longer ones
_WAY_OUT = "pip install 'fastfid[tables]'"


class TableFile(Protocol):
    """One file. `rows` has the number of rows of each of its groups, which can be read on their own."""

    file: Unchanged
    column: str  # the name of the one that holds the images
    rows: list[int]
    ended: bool  # whether the mark at its end is there, without which rows may be missing

    def read(self, opened: IO[bytes], group: int) -> Iterator[Any]:
        """Yield the image column of a group, from its first row on, as several pyarrow Arrays."""

    def lacks_bytes(self, opened: IO[bytes], group: int) -> bool:
        """Return True if a row of a group may have a path and no bytes; no row is read."""


def is_table(name: str | os.PathLike[str]) -> bool:
    """Return True if a file with this name is a table that can be read."""
    return os.fsdecode(name).lower().endswith(TABLES)


def are_tables(source: object) -> bool:
    """Return True for a list of paths of tables."""
    if not (isinstance(source, list | tuple) and source):
        return False
    return all(isinstance(path, str | Path) and is_table(path) for path in source)


def open_table(place: Place, terms: Terms) -> Source:
    """Open one file."""
    return Tables(str(place), [place], terms)


def open_list_of_tables(paths: Sequence[str | os.PathLike[str]], terms: Terms) -> Source:
    """Open several files as one set, in the order of the list."""
    places = [place_of(os.fsdecode(path), terms.storage_options) for path in paths]
    return Tables(f"a {type(paths).__name__} of {counted(len(paths), 'table')}", places, terms)


class Tables(Source):
    """The images in the files at `places`, file by file, row by row."""

    def __init__(self, name: str, places: Sequence[Place], terms: Terms, *, notes: tuple[str, ...] = ()) -> None:
        _require_pyarrow(str(places[0]))
        self._files = in_threads(partial(_open, terms=terms), places, min(_OPENERS, len(places)))
        self._names = [str(place) for place in places]
        self._check_columns(name)
        self._folders = [Path(place.path).parent if isinstance(place, Local) else None for place in places]
        groups = [(file, group) for file, opened in enumerate(self._files) for group in range(len(opened.rows))]
        self._groups = [(file, group) for file, group in groups if self._files[file].rows[group]]
        self._ends = list(accumulate(self._files[file].rows[group] for file, group in self._groups))
        self._first = [0, *accumulate(sum(opened.rows) for opened in self._files)]  # of each file
        self._paths: tuple[int, list[str | None]] | None = None
        size = self._ends[-1] if self._ends else 0
        if not size:
            raise InputError(f"no images in {name}: {'its tables have' if len(places) > 1 else 'it has'} no rows")
        empty = [name for name, opened in zip(self._names, self._files, strict=True) if not sum(opened.rows)]
        if empty:
            have = agreeing(len(empty), "has", "have")
            notes += (f"{len(empty)} of {len(places)} tables {have} no rows: {', '.join(empty[:3])}",)
        if unended := [name for name, opened in zip(self._names, self._files, strict=True) if not opened.ended]:
            notes += (f"{', '.join(unended[:3])}: no mark at the end; if it was cut short there, rows are missing",)
        # Not files, from which some are decoded before the run: half a group would be read for each of them.
        super().__init__(name, size, notes=notes, starts=[0, *self._ends[:-1]])

    def _check_columns(self, name: str) -> None:
        first = self._files[0].column
        for number, opened in enumerate(self._files):
            if opened.column != first:
                raise InputError(
                    f"the tables of {name} have their images in different columns, {first!r} in {self._names[0]} and "
                    f"{opened.column!r} in {self._names[number]}: rename one, or give the tables as two sets"
                )

    def read(self, indices: Iterable[int]) -> Iterator[Item]:
        """Yield the images at these indices, whose bytes are in memory."""
        current, rows = -1, None
        with ExitStack() as last:  # the file of the group, of which is asked in the end whether it has changed
            for index in indices:
                group = bisect_right(self._ends, index)
                if group != current or rows is None:
                    last.close()
                    file, number = self._groups[group]
                    opened = last.enter_context(self._files[file].file.open())
                    current, rows = group, _Rows(self._names[file], self._files[file].read(opened, number))
                yield self._item(index, rows.cell(index - (self._ends[group - 1] if group else 0)))

    def name_of(self, index: int) -> str:
        """Return the file and the row of an image."""
        file, row = self._at(index)
        return f"{self._names[file]}: row {row}"

    def key_of(self, index: int) -> str:
        """Return the name of the file, within the source, and the row."""
        file, row = self._at(index)
        own, folder = self._names[file], f"{self.name}/"
        within = own.removeprefix(folder) if own.startswith(folder) else own.rpartition("/")[2]
        return f"{within}:{row}"

    def proofs(self, indices: Iterable[int], *, content: bool = False) -> Iterable[str]:
        """Return what is surely different once the files, or those that rows name, have changed.

        Arrow's formats are for memory maps, through which programs change them.
        """
        mapped = {file for file, name in enumerate(self._names) if not _is_parquet(name)}
        proof = cache(lambda file: self._files[file].file.proof(content=file in mapped))
        for index in indices:
            file, _ = self._at(index)
            own = proof(file) if content or file not in mapped else ""
            if own and (folder := self._folders[file]) is not None and (path := self._path_alone(index)) is not None:
                named = proof_of_file(folder / path)
                own = f"{own} {named}" if named else ""
            yield own

    def _path_alone(self, index: int) -> str | None:
        """Return the path in a row that has no bytes; of the group that was read last they are all kept."""
        group = bisect_right(self._ends, index)
        paths = self._paths
        if paths is None or paths[0] != group:
            paths = self._paths = group, self._paths_alone(group)
        return paths[1][index - (self._ends[group - 1] if group else 0)] if paths[1] else None

    def _paths_alone(self, group: int) -> list[str | None]:
        """Return the paths in the rows of a group that have no bytes, None for the others; nothing if all have."""
        file, number = self._groups[group]
        found, known = list[str | None](), dict[str, str]()  # one text for each path, since they may be repeated
        with self._files[file].file.open() as opened:
            with arrow_failures(f"cannot read {self._names[file]}"):
                lacking = self._files[file].lacks_bytes(opened, number)
            if not lacking:
                return found
            rows = _Rows(self._names[file], self._files[file].read(opened, number))
            for row in range(self._files[file].rows[number]):
                cell = rows.cell(row)
                data, path = cell if isinstance(cell, tuple) else (cell, None)
                if data is not None or path is None or len(path) > _LONGEST_PATH:
                    found.append(None)
                else:
                    found.append(known.setdefault(path, path))
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_paths": None}

    def _at(self, index: int) -> tuple[int, int]:
        file = bisect_right(self._first, index) - 1
        return file, index - self._first[file]

    def _item(self, index: int, cell: Any) -> Item:
        name = self.name_of(index)
        data, path = cell if isinstance(cell, tuple) else (cell, None)
        if data is not None:
            if data.size > MOST_FILE_BYTES:
                return _bad(name, f"has {data.size:,} bytes; at most {MOST_FILE_BYTES:,} are read")
            name = f"{name} ({path})" if path else name
            return Item(name, partial(decode, data.to_pybytes(), name))
        if path is None:
            return _bad(name, "is null")
        folder = self._folders[self._at(index)[0]]
        if folder is None:
            return _bad(name, f"has only the path {path}, and no bytes")
        return Item(f"{name} ({folder / path})", partial(decode, folder / path, f"{name} ({folder / path})"))


class _Rows:
    """Reads one group of rows from the first to the last that is asked for."""

    def __init__(self, name: str, arrays: Iterator[Any]) -> None:
        self._what = f"cannot read {name}"
        self._start = self._end = 0
        self._array: Any = None
        self._arrays = arrays

    def cell(self, row: int) -> Any:
        """Return the cell of a row, not before the last one: a pyarrow Buffer, or a pair of one and a path, or None."""
        with arrow_failures(self._what):
            while row >= self._end:
                self._array = next(self._arrays, None)
                if self._array is None:
                    raise ValueError(f"a group of its rows ends after {self._end} rows")
                self._start, self._end = self._end, self._end + len(self._array)
            return _cell(self._array[row - self._start])


def _cell(scalar: Any) -> Any:
    """Return the parts of a scalar without copying its bytes."""
    if not scalar.is_valid:
        return None
    if hasattr(scalar, "as_buffer"):
        return scalar.as_buffer()
    data = scalar["bytes"]
    path = scalar["path"].as_py() if "path" in scalar else None
    return data.as_buffer() if data.is_valid else None, path


def _open(place: Place, terms: Terms) -> TableFile:
    from .arrow_file import ArrowFile
    from .parquet_file import ParquetFile

    kind: Callable[[IO[bytes], Unchanged, str | None], TableFile]
    kind = ParquetFile if _is_parquet(place.tail) else ArrowFile
    with arrow_failures(f"cannot read {place}"):
        opened, state = place.open()
        with opened:
            return kind(opened, Unchanged(place, str(place), state), terms.image_key)


def _is_parquet(name: str) -> bool:
    return name.lower().endswith(PARQUET)


@contextmanager
def arrow_failures(what: str) -> Iterator[None]:
    """Turn any exception of pyarrow into an `InputError`, also its own about a size that no memory has."""
    import pyarrow as pa

    with failures(what):
        try:
            yield
        except pa.ArrowMemoryError as problem:
            raise ValueError(str(problem)) from problem


def _bad(name: str, why: str) -> Item:
    return Item(name, partial(_fail, f"{name} {why}"))


def _fail(message: str) -> Decoded:
    raise ImageError(message)


def _require_pyarrow(name: str) -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise InputError(f"{name} is a table, which needs the package pyarrow: {_WAY_OUT}") from None
