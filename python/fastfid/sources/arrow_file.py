"""One file of Arrow's formats: the stream that Hugging Face caches, and the file, which is Feather version 2.

A stream is a series of messages: the schema, dictionaries, and record batches. A file is the same between two marks,
and then a directory, which is not needed. So both are read in one way: the places of the batches are found by skipping
from message to message, and one batch is read as a stream of its own. The format is described at
https://arrow.apache.org/docs/format/Columnar.html.
"""

import io
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

import pyarrow as pa

from ..files.flatbuffers import Table
from .columns import has_paths, image_column
from .parquet_file import check_rows
from .unchanged import Unchanged

_MARK, _OLD_MARK = b"ARROW1", b"FEA1"
_MOST_HEADER = 1 << 26  # bytes of the header of a message
_MOST_BATCH = 1 << 32  # bytes of a record batch, as it is stored and unpacked
_MOST_MESSAGES = 10_000_000
_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3
_SMALLER = "write it with fewer rows in a batch"


class Message(NamedTuple):
    """A message: where it begins, how long it is with its body, and its header."""

    start: int
    length: int
    body: int
    kind: int
    header: Table


class ArrowFile:
    """The image column of a file; `rows` has the number of rows of each record batch."""

    def __init__(self, opened: IO[bytes], file: Unchanged, key: str | None) -> None:
        self.file = file
        self._head: list[tuple[int, int]] = []  # the schema, and the dictionaries before each batch
        self._batches: list[tuple[int, int, int]] = []  # the messages, and how many of `_head` precede them
        self.rows: list[int] = []
        self.ended = False
        for message in _messages(opened):
            if message is None:
                self.ended = True
            elif message.kind == _BATCH:
                _check_size(opened, message)
                self.rows.append(message.header.int64(0))
                self._batches.append((message.start, message.length, len(self._head)))
            else:
                self._head.append((message.start, message.length))
        if not self._head:
            raise ValueError("it has no schema")
        check_rows(self.rows, opened)
        schema = pa.ipc.read_schema(pa.py_buffer(_read(opened, self._head[:1])))
        self._column = image_column(schema, key, file.name)
        self.column = schema[self._column].name
        self._bytes = _node_of_bytes(schema, self._column)

    def read(self, opened: IO[bytes], group: int) -> Iterator[Any]:
        """Yield the column of a record batch, checked so that no value lies outside it."""
        start, length, known = self._batches[group]
        data = _read(opened, [*self._head[:known], (start, length)])
        options = pa.ipc.IpcReadOptions(included_fields=[self._column], use_threads=False)
        batch = pa.ipc.open_stream(pa.py_buffer(data), options=options).read_next_batch()
        batch.validate(full=True)
        yield batch.column(0)

    def lacks_bytes(self, opened: IO[bytes], group: int) -> bool:
        """Return True if a row of a record batch may have a path and no bytes, by the batch's header."""
        if self._bytes is None:
            return False
        start, length, _ = self._batches[group]
        message = _message(opened, start, start + length)
        nodes = message.header.pairs(1) if message else ()
        nulls = next((nulls for node, (_, nulls) in enumerate(nodes) if node == self._bytes), 1)
        return nulls != 0


def _node_of_bytes(schema: pa.Schema, column: int) -> int | None:
    """Return the place of the bytes of a column among the nodes of a record batch; None if it has no paths."""
    kind = schema[column].type
    if not has_paths(kind):
        return None
    before = [schema[index].type for index in range(column)]
    parts = [kind[index] for index in range(kind.num_fields)]
    place = next(index for index, part in enumerate(parts) if part.name == "bytes")
    return sum(map(_nodes, before)) + 1 + sum(_nodes(part.type) for part in parts[:place])


def _nodes(kind: pa.DataType) -> int:
    """Return how many nodes a column of a type has in a record batch: itself, and those within."""
    kind = getattr(kind, "storage_type", kind)
    return 1 + sum(_nodes(kind.field(index).type) for index in range(kind.num_fields))


def _messages(file: IO[bytes]) -> Iterator[Message | None]:
    """Yield the messages of a stream or file in their order, and None for the mark of the end."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    mark = file.read(8)
    if mark.startswith(_OLD_MARK):
        raise ValueError("it is Feather of version 1: write it again, with version=2")
    place = 0
    if mark.startswith(_MARK):
        place = 8
        file.seek(max(0, size - len(_MARK)))
        if file.read() != _MARK:
            raise ValueError("it is cut short: the mark at its end is missing")
    first, number = True, 0
    while place < size:
        if (number := number + 1) > _MOST_MESSAGES:
            raise ValueError(f"it has more than {_MOST_MESSAGES:,} record batches: write it with more rows in a batch")
        message = _message(file, place, size)
        if message is None:
            yield None
            return
        if (message.kind == _SCHEMA) != first or message.kind not in (_SCHEMA, _DICTIONARY, _BATCH):
            raise ValueError(f"the message at byte {place} is of kind {message.kind}, which does not belong there")
        yield message
        first, place = False, place + message.length


def _message(file: IO[bytes], place: int, size: int) -> Message | None:
    """Return the message at a place; None at the mark of the end."""
    file.seek(place)
    start = file.read(8)
    old = start[:4] != b"\xff\xff\xff\xff"  # before Arrow 0.15 messages began with their length
    prefix = 4 if old else 8
    length = int.from_bytes(start[prefix - 4 : prefix], "little", signed=True)
    if length == 0 and len(start) >= prefix:
        return None
    if not 0 < length <= min(_MOST_HEADER, size - place - prefix):
        raise ValueError(f"it is damaged or cut short at byte {place}")
    file.seek(place + prefix)
    root = Table.root(file.read(length))
    body = root.int64(3)
    if not 0 <= body <= size - place - prefix - length:
        raise ValueError(f"it is cut short: the message at byte {place} goes on after its end")
    return Message(place, prefix + length + body, place + prefix + length, root.uint8(1), root.table(2))


def _check_size(file: IO[bytes], message: Message) -> None:
    """Raise `ValueError` if a record batch is too large, also when it is unpacked."""
    unpacked = 0
    if message.header.has(3):  # it is compressed, and each buffer begins with its size
        end = message.start + message.length
        for offset, length in message.header.pairs(2):
            if length:
                if not 0 <= offset <= offset + length <= end - message.body:
                    raise ValueError(f"a buffer of the batch at byte {message.start} lies outside it")
                file.seek(message.body + offset)
                unpacked += max(0, int.from_bytes(file.read(8), "little", signed=True))
    if (most := max(unpacked, message.length)) > _MOST_BATCH:
        raise ValueError(f"a record batch has {most:,} bytes; at most {_MOST_BATCH:,} are read: {_SMALLER}")


def _read(file: IO[bytes], ranges: list[tuple[int, int]]) -> bytearray:
    data = bytearray(sum(length for _, length in ranges))
    if len(data) > 2 * _MOST_BATCH:
        raise ValueError(f"its dictionaries have {len(data):,} bytes")
    view, at = memoryview(data), 0
    for start, length in ranges:
        file.seek(start)
        end = at + length
        while at < end:
            part = file.read(min(end - at, 1 << 24))
            if not part:
                raise ValueError("it ends before its last message does")
            view[at : at + len(part)] = part
            at += len(part)
    return data
