"""The images in ``mlperf_log_accuracy.json``, which MLPerf's loadgen writes: tens of gigabytes, as hexadecimal text.

It is a list of objects such as ``{"seq_id" : 0, "qsl_idx" : 3, "data" : "FFD8..."}``. The data of MLPerf's benchmark of
text to image are the pixels of a square image. When the file is opened, only the places of the data are kept.
"""

from binascii import unhexlify
from collections.abc import Iterable, Iterator
from functools import partial
from math import isqrt
from typing import IO, NamedTuple

import numpy as np

from ..errors import ImageError
from ..files.json_scan import Scanner, Text
from ..files.places import Place
from ..files.reading import MOST_FILE_BYTES, failures
from ..images.decode import Decoded, decode
from ..images.formats import begins_as_image
from ..images.rgb import as_rgb
from .base import Item, Source
from .terms import Terms
from .unchanged import Unchanged

_MOST_ENTRIES = 10_000_000
# One image in 65,536 has pixels that begin like a BMP. So data with as many bytes as a square has are only taken for a
# file if more bytes say so.
_SURE = (b"\x89PNG\r\n\x1a\n", b"RIFF")
_JPEG, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"


class Response(NamedTuple):
    """One entry: the index of its prompt, and where its data is."""

    prompt: int
    data: Text


class AccuracyLog(Source):
    """The images of a log, in the order of their prompts (`qsl_idx`); of several for one prompt the first counts."""

    def __init__(self, name: str, responses: list[Response], file: Unchanged, notes: tuple[str, ...]) -> None:
        super().__init__(name, len(responses), notes=notes)
        self._responses, self._file = responses, file

    def read(self, indices: Iterable[int]) -> Iterator[Item]:
        """Yield the images at these indices."""
        for index in indices:
            name = self.name_of(index)
            yield Item(name, partial(self._load, self._responses[index].data, name))

    def name_of(self, index: int) -> str:
        """Return the file and the index of an image's prompt."""
        return f"{self.name}: {self.key_of(index)}"

    def key_of(self, index: int) -> str:
        """Return the index of an image's prompt."""
        return f"qsl_idx {self._responses[index].prompt}"

    def proofs(self, indices: Iterable[int], *, content: bool = False) -> Iterable[str]:
        """Return what is surely different once the file has changed."""
        proof = self._file.proof(content=True) if content else ""
        return (proof for _ in indices)

    def _load(self, data: Text, name: str) -> Decoded:
        if data.length > 2 * MOST_FILE_BYTES:
            raise ImageError(f"{name} has {data.length // 2:,} bytes; at most {MOST_FILE_BYTES:,} are read")
        with self._file.open_at_once(data.length) as file, failures(f"cannot read {name}", ImageError):
            file.seek(data.start)
            values = unhexlify(file.read(data.length))
        if _is_file(values[:12], values[-2:], len(values)):
            return decode(values, name)
        side = _side(len(values))
        if not side:
            raise ImageError(f"{name}: its {len(values):,} bytes are neither an image file nor the pixels of a square")
        return Decoded(as_rgb(np.frombuffer(values, np.uint8).reshape(side, side, 3), name))


def open_log(place: Place, terms: Terms) -> Source:
    """Open the accuracy log of loadgen.

    Raises
    ------
    InputError
        If it is none, is cut short, or belongs to a benchmark without images.
    """
    with failures(f"cannot read {place} as loadgen's accuracy log"):
        opened, state = place.open()
        with opened:
            found, repeated = _responses(opened)
    responses = [Response(prompt, found[prompt]) for prompt in sorted(found)]
    notes = (f"{place}: {repeated} responses to a prompt that has one already; the first counts, as in MLPerf's check",)
    return AccuracyLog(str(place), responses, Unchanged(place, str(place), state), notes if repeated else ())


def _responses(file: IO[bytes]) -> tuple[dict[int, Text], int]:
    """Return where the first response to each prompt is, and how many others there are."""
    found: dict[int, Text] = {}
    repeated = 0
    for entry in Scanner(file).objects():
        prompt, data = entry.get("qsl_idx"), entry.get("data")
        if not isinstance(prompt, int) or not isinstance(data, Text):
            raise ValueError(f"entry {len(found) + repeated} has no number qsl_idx or no text data")
        repeated += prompt in found
        found.setdefault(prompt, data)
        if len(found) > _MOST_ENTRIES:
            raise ValueError(f"it has more than {_MOST_ENTRIES:,} entries")
    if found:
        _check_kind(file, next(iter(found.values())))
    return found, repeated


def _check_kind(file: IO[bytes], data: Text) -> None:
    """Raise `ValueError` if a response is no image."""
    file.seek(data.start)
    begin = unhexlify(file.read(min(24, data.length // 2 * 2)))
    if not (begins_as_image(begin) or _side(data.length // 2)):
        raise ValueError(
            f"its first data has {data.length // 2:,} bytes, which are neither an image file nor the pixels of a "
            "square: is it the log of another benchmark?"
        )


def _side(length: int) -> int:
    """Return the side of a square RGB image with so many bytes; 0 if there is none."""
    side = isqrt(length // 3)
    return side if 3 * side * side == length else 0


def _is_file(begin: bytes, end: bytes, length: int) -> bool:
    """Return True if data are an image file, by its first and last bytes, and not pixels."""
    if not _side(length):
        return begins_as_image(begin)
    return begin.startswith(_SURE) or (begin.startswith(_JPEG) and end == _JPEG_END)
