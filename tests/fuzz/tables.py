"""Tables of images (Parquet and Arrow's formats), and lists of paths (text, CSV, TSV)."""

import contextlib
import csv
import io
import itertools
import os
import tempfile
from functools import cache, partial
from pathlib import Path

from fastfid.errors import ImageError
from fastfid.sources import open_source
from fastfid.sources.pieces import read_items

from .reader import Reader, expect

_KINDS = (
    "plain.parquet",
    "zstd.parquet",
    "sums.PQ",
    "lz4.feather",
    "stream.arrow",
    "zstd.arrow",
    "file.arrow",
    "lz4.ipc",
)


def _tables(kind: str) -> list[bytes]:
    from test_tables import KINDS, table

    with tempfile.TemporaryDirectory() as folder:
        KINDS[kind](table(), path := Path(folder, kind))
        return [path.read_bytes()]


def _read_table(data: bytes, path: Path) -> None:
    """Each row is an image, or one that cannot be decoded."""
    from test_tables import STACK

    for item in itertools.islice(read_items(open_source(path)), 20):
        with contextlib.suppress(ImageError):
            expect(item.decode().pixels.nbytes <= 100 * STACK.nbytes, "more pixels than there are")


# --- lists

_NAMES = ("a.png", "b/c d.jpg", "é.webp", "e,f.tif")


@cache
def _files() -> str:
    """A folder with the files that the lists name; for as long as this process lives."""
    folder = tempfile.mkdtemp(prefix="lists-")
    for name in _NAMES:
        path = Path(folder, name)
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return folder


def _paths() -> list[str]:
    return [os.path.join(_files(), name) for name in _NAMES]  # noqa: PTH118


def _texts() -> list[bytes]:
    text = "# paths\n" + "\n".join(_paths())
    return [text.encode(), ("\ufeff" + text.replace("\n", "\r\n") + "\r\n").encode(), b"s3://bucket/a.png\n" * 3]


def _csvs(delimiter: str) -> list[bytes]:
    found = []
    for rows in ([["label", "Path", "note"]], [["file_name"]], []):
        file = io.StringIO()
        writer = csv.writer(file, delimiter=delimiter)
        body = [[path] if len(rows[:1]) and len(rows[0]) == 1 else ["5", path, 'x "y"\n'] for path in _paths()]
        writer.writerows([*rows, *body])
        found.append(file.getvalue().encode())
    return found


def _read_list(delimiter: str | None, data: bytes, path: Path) -> None:
    """Its images are lines, or cells of one column, in their order."""
    source = open_source(path)
    keys = [source.key_of(index) for index in range(source.size or 0)]
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    if delimiter is None:
        lines = [line.rstrip("\r\n") for line in text.split("\n")]
        known = [line for line in lines if line.strip() and not line.startswith("#")]
        expect(keys == known, "other paths than its lines")
    else:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]
        columns = [[row[i] for row in rows if i < len(row)] for i in range(len(rows[0]))]
        expect(any(keys in (column, column[1:]) for column in columns), "other paths than those of a column")


READERS = [
    *(Reader(f"table {kind}", partial(_tables, kind), _read_table, kind, cases=250) for kind in _KINDS),
    Reader("list txt", _texts, partial(_read_list, None), "a.txt", cases=1000),
    Reader("list csv", partial(_csvs, ","), partial(_read_list, ","), "a.csv", cases=500),
    Reader("list tsv", partial(_csvs, "\t"), partial(_read_list, "\t"), "a.tsv", cases=500),
]
