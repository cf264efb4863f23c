"""Scans a JSON list of flat objects with very long texts, without holding them in memory."""

import re
from collections.abc import Iterator
from typing import IO, NamedTuple

_CHUNK = 1 << 20
_MOST_SHORT = 256  # bytes of a key or a number
_MOST_PAIRS = 1000
_TOKEN = re.compile(rb"[ \t\r\n]*([\[\]{},:\"]|[-+.\w]+)")


class Text(NamedTuple):
    """A text: the place and number of the bytes between its quotes, and the text itself if it is short."""

    start: int
    length: int
    short: str | None = None


class Scanner:
    """Reads a file from its position to its end.

    The file must be ``[{"key": value, ...}, ...]`` with texts, numbers, true, false and null as values. No key or text
    may have escapes, which hexadecimal data do not need. Everything else raises `ValueError`.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._data, self._at, self._base = b"", 0, file.tell()

    def objects(self) -> Iterator[dict[str, Text | int | None]]:
        """Yield the objects. Whole numbers are values; texts are places; None is anything else."""
        self._expect(b"[")
        token = self._token()
        while token != b"]":
            if token != b"{":
                raise self._wrong("an object")
            yield self._object()
            token = self._token()
            if token == b",":
                if (token := self._token()) == b"]":
                    raise self._wrong("an object")
            elif token != b"]":
                raise self._wrong("a comma or the end of the list")
        if self._token():
            raise self._wrong("the end of the file")

    def _object(self) -> dict[str, Text | int | None]:
        found: dict[str, Text | int | None] = {}
        token = self._token()
        while token != b"}":
            if token != b'"' or (key := self._text().short) is None:
                raise self._wrong("a short key")
            self._expect(b":")
            token = self._token()
            found.setdefault(key, self._text() if token == b'"' else self._plain(token))
            if len(found) > _MOST_PAIRS:
                raise ValueError(f"an object has more than {_MOST_PAIRS} keys")
            token = self._token()
            if token == b",":
                if (token := self._token()) == b"}":
                    raise self._wrong("a short key")
            elif token != b"}":
                raise self._wrong("a comma or the end of the object")
        return found

    def _plain(self, token: bytes) -> int | None:
        if token[:1] in b"[]{},:":
            raise self._wrong("a text or a number")
        return int(token) if token.isdigit() and len(token) < 19 else None

    def _expect(self, wanted: bytes) -> None:
        if self._token() != wanted:
            raise self._wrong(wanted.decode())

    def _wrong(self, wanted: str) -> ValueError:
        return ValueError(f"{wanted} was expected before byte {self._base + self._at:,}: it is damaged or cut short")

    def _token(self) -> bytes:
        """Return a mark, or a number or word; b"" at the end of the file. After a quote, `_text` reads the text."""
        while True:
            found = _TOKEN.match(self._data, self._at)
            if found and (found.end() < len(self._data) or not self._more()):
                self._at = found.end()
                if len(found[1]) > _MOST_SHORT:
                    raise ValueError(f"a number has {len(found[1]):,} characters")
                return found[1]
            if found:
                continue  # it may go on in the next part, which is there now
            if self._data[self._at :].strip(b" \t\r\n"):
                raise self._wrong("JSON")
            self._at = len(self._data)
            if not self._more():
                return b""

    def _text(self) -> Text:
        start = self._base + self._at
        short, escaped = b"", False
        while True:
            end = self._data.find(b'"', self._at)
            part = self._data[self._at : end if end >= 0 else len(self._data)]
            short += part[: _MOST_SHORT + 1 - len(short)]
            escaped |= b"\\" in part
            self._at += len(part)
            if end >= 0:
                break
            if not self._more():
                raise self._wrong("the end of a text")
        if escaped:
            raise ValueError(f"the text at byte {start:,} has escapes")
        length = self._base + self._at - start
        self._at += 1
        return Text(start, length, short.decode("utf-8", "replace") if length <= _MOST_SHORT else None)

    def _more(self) -> bool:
        """Read on; False at the end. What is read already is forgotten."""
        rest = self._data[self._at :]
        if len(rest) > _CHUNK:
            raise ValueError("a number or a space is too long")
        part = self._file.read(_CHUNK)
        self._base += self._at
        self._data, self._at = rest + part, 0
        return bool(part)
