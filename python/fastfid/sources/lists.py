"""A list of image files: a text file with a path a line, or a CSV or TSV with a column of paths."""

import csv
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

from ..checks import shown
from ..errors import InputError
from ..files.parallel import in_threads
from ..files.places import Far, Place, place_of
from ..files.reading import failures
from ..files.remote import is_address
from .base import Item, Source
from .folder import load_image
from .names import is_archive, is_image
from .terms import Terms

_MOST_LINE, _MOST_LINES = 1 << 16, 20_000_000  # bytes of a line, and lines
_MOST_SHOWN = 20
_THREADS = 16  # files that are asked for at a time
#: Names of columns of paths. Those of addresses count only if there is none of them.
_COLUMNS = (
    *("path", "file", "filename", "file_name", "filepath", "file_path", "image", "img", "image_path", "img_path"),
    *("image_file", "image_filename", "image_file_name"),
)
_ADDRESSES = ("url", "uri", "image_url", "address")


class Entry(NamedTuple):
    """A path as it is written, and its line, from 1."""

    path: str
    line: int


class Listed(Source):
    """The image files at `paths`, which are relative to `folder`, in this order."""

    def __init__(self, name: str, folder: str, paths: list[str], notes: tuple[str, ...], terms: Terms) -> None:
        super().__init__(name, len(paths), notes=notes, files=True)
        self._folder, self._paths, self._options = folder, paths, terms.storage_options

    def read(self, indices: Iterable[int]) -> Iterator[Item]:
        """Yield the images at these indices."""
        for index in indices:
            place, name = self._place(index), self.name_of(index)
            yield Item(name, partial(load_image, place, name))

    def name_of(self, index: int) -> str:
        """Return the path of an image."""
        return _within(self._folder, self._paths[index])

    def folder_of(self, index: int) -> str:
        """Return the folder of an image, relative to that of the list."""
        return Path(os.path.normpath(self._paths[index])).parent.as_posix().removeprefix(".")

    def key_of(self, index: int) -> str:
        """Return the path of an image as it is written in the list."""
        return self._paths[index]

    def proofs(self, indices: Iterable[int], *, content: bool = False) -> Iterable[str]:
        """Return what is surely different once the files have changed; servers are asked for several at a time."""
        chosen = list(indices)
        far = any(is_address(self.name_of(index)) for index in chosen)
        return in_threads(self._proof, chosen, _THREADS if far else 1)

    def _proof(self, index: int) -> str:
        place = self._place(index)
        with failures(f"cannot read {place}"):
            return place.proof(place.remote.state(place.file) if isinstance(place, Far) else None)

    def _place(self, index: int) -> Place:
        return place_of(self.name_of(index), self._options)


def open_list(place: Place, terms: Terms) -> Source:
    """Open a list of paths or addresses, relative to its folder; an image that is listed twice counts twice.

    In a text file each line is one path; empty lines and those that begin with ``#`` are left out. In a CSV or TSV the
    paths are in the column `terms.image_key`: the name in its first line, or a number from 0. Without it, they are in
    the only column with a usual name, or, if the first line has no such name, in the only column with an image's ending
    in it; then the first line counts, too.

    Raises
    ------
    InputError
        If the column is not clear, the list is empty, or a file of it on this machine is missing.
    """
    name = str(place)
    with failures(f"cannot read the list {name}"):
        opened, _ = place.open()
        with opened:
            entries, notes = _KINDS[Path(place.tail).suffix.lower()](_lines(opened), terms.image_key, name)
    if not entries:
        raise InputError(f"no images in {name}: it lists no files")
    folder = name.removesuffix(place.tail)
    _check(entries, name, folder)
    paths = [entry.path for entry in entries]
    if repeated := len(paths) - len(set(paths)):
        notes += (f"{name} lists {repeated} of its {len(paths)} files again; each time counts",)
    return Listed(name, folder, paths, notes, terms)


def _check(entries: list[Entry], name: str, folder: str) -> None:
    """Raise `InputError` if a file is missing, or is no image by its name; a server is not asked for each file."""
    missing, first = 0, entries[0]
    for entry in entries:
        if is_archive(entry.path):
            raise InputError(f"{name}, line {entry.line}: {entry.path} is an archive, and a list names images")
        path = _within(folder, entry.path)
        if not is_address(path) and not _is_file(path):
            first = first if missing else entry
            missing += 1
    if missing:
        raise InputError(
            f"{missing} of the {len(entries)} files that {name} lists do not exist; the first is "
            f"{_within(folder, first.path)!r}, in line {first.line}: paths are relative to the folder of the list"
        )


def _within(folder: str, path: str) -> str:
    """Return a path relative to a folder, which ends in a slash; addresses and absolute paths stay as they are."""
    return path if is_address(path) else os.path.join(folder, path)  # noqa: PTH118 - a million of them


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116 - as above
    except (OSError, ValueError):
        return False


def _lines(file: IO[bytes]) -> Iterator[str]:
    """Yield the lines of a text in UTF-8, with their ends; paths that are not UTF-8 keep their bytes."""
    number = 0
    while line := file.readline(_MOST_LINE + 1):
        number += 1
        if number > _MOST_LINES:
            raise ValueError(f"it has more than {_MOST_LINES:,} lines")
        if len(line) > _MOST_LINE:
            raise ValueError(f"line {number} has more than {_MOST_LINE:,} bytes")
        if number == 1 and line.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise ValueError("it is in UTF-16: save it as UTF-8")
        yield line.removeprefix(b"\xef\xbb\xbf" if number == 1 else b"").decode("utf-8", "surrogateescape")


def _read_text(lines: Iterator[str], *_: object) -> tuple[list[Entry], tuple[str, ...]]:
    stripped = ((line.rstrip("\r\n"), number) for number, line in enumerate(lines, 1))
    return [Entry(line, number) for line, number in stripped if line.strip() and not line.startswith("#")], ()


def _read_table(
    lines: Iterator[str], key: str | None, name: str, *, delimiter: str
) -> tuple[list[Entry], tuple[str, ...]]:
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    first = next((row for row in rows if row), [])
    if not first:
        return [], ()
    column, header = _column([cell.strip() for cell in first], key, name)
    entries = [] if header else [Entry(first[column], rows.line_num)]
    for row in rows:
        if not row:
            continue
        if len(row) <= column or not row[column].strip():
            raise InputError(f"{name}, line {rows.line_num}: there is no path in column {column}")
        entries.append(Entry(row[column], rows.line_num))
    said = f"{first[column].strip()!r}" if header else f"{column}, counted from 0; it has no line of names"
    return entries, (f"{name}: the paths are those of column {said}",)


def _column(first: list[str], key: str | None, name: str) -> tuple[int, bool]:
    """Return the column of the paths, and whether the first line has the names of the columns."""
    held = ", ".join(shown(cell) for cell in first[:_MOST_SHOWN])
    if key is not None:
        if first.count(key) == 1:
            return first.index(key), True
        if key.isdecimal() and int(key) < len(first):
            return int(key), not is_image(first[int(key)])
        raise InputError(f"{name} has no column {key!r}, or two: its first line is {held}")
    lower = [cell.lower() for cell in first]
    for names in (_COLUMNS, _ADDRESSES):
        found = [column for column, cell in enumerate(lower) if cell in names]
        if len(found) == 1:
            return found[0], True
        if found:
            raise InputError(f"{name}: which column holds the paths? Give image_key; its first line is {held}")
    found = [column for column, cell in enumerate(first) if is_image(cell)]
    if len(found) != 1:
        raise InputError(f"{name}: which column holds the paths? Give image_key, a name or a number; it begins: {held}")
    return found[0], False


_Read = Callable[[Iterator[str], str | None, str], tuple[list[Entry], tuple[str, ...]]]
_KINDS: dict[str, _Read] = {
    ".txt": _read_text,
    ".csv": partial(_read_table, delimiter=","),
    ".tsv": partial(_read_table, delimiter="\t"),
}
#: Endings of lists.
LISTS = tuple(_KINDS)
