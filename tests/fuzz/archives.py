"""Zips, tars, compressed tars and the log of MLPerf: what their members hold, against Python's own modules."""

import bz2
import contextlib
import gzip
import io
import itertools
import json
import lzma
import stat
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

from fastfid.errors import ImageError
from fastfid.images.decode import Decoded
from fastfid.sources import archive, open_source, streams
from fastfid.sources.pieces import read_items

from .damage import damaged
from .reader import Reader, expect

_MANY = 6  # members that are read of one archive


@contextlib.contextmanager
def _undecoded() -> Iterator[None]:
    """Let an image be the bytes of its member: decoding is tested by itself."""
    before = archive.decode, streams.decode
    archive.decode = streams.decode = lambda data, name: data  # type: ignore[assignment,return-value]
    try:
        yield
    finally:
        archive.decode, streams.decode = before


def _members(path: Path, *, one_by_one: bool = False) -> Iterator[tuple[str, bytes]]:
    """Yield the names and bytes of the first images; a single one that cannot be read is left out."""
    with _undecoded():
        source = open_source(path)
        items = source.read(itertools.count()) if one_by_one else read_items(source)
        for item in itertools.islice(items, _MANY):
            with contextlib.suppress(ImageError):
                found: Any = item.load()
                yield item.name.removeprefix(f"{path}/"), found


def _made(write: Callable[..., object], *arguments: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write(path := Path(folder, "good"), *arguments)
        return path.read_bytes()


# --- zip


def _zips() -> list[bytes]:
    from test_archives import png, write_zip
    from test_archives_hostile import Member, write_members
    from test_npz import METHODS

    listing = [("a.png", png(0)), ("é/b.png", png(1)), ("readme.txt", b"x")]
    good = [_made(write_zip, listing, method) for method in METHODS]
    soft = Member("c.png", b"a.png", mode=stat.S_IFLNK | 0o777)
    given = [Member("a.png", png(0), method=8), Member("b.png", png(1)), soft]
    return good + [_made(partial(write_members, wide=wide), given) for wide in (False, True)]


def _read_zip(data: bytes, path: Path) -> None:
    """A zip has checksums: what is read is what was written, of any member, or nothing where all was zeroed."""
    from test_archives import png

    for _, found in _members(path):
        expect(found in {png(0), png(1), b"x", b"a.png", b""}, "other bytes than those that were packed")


# --- tar


def _tars() -> list[bytes]:
    from test_archives import PNG, link, write_tar

    sparse, newer = tarfile.TarInfo("s.png"), tarfile.TarInfo("t.png")
    sparse.pax_headers = {"GNU.sparse.map": f"0,9,20,{len(PNG) - 9}", "GNU.sparse.size": "999"}
    newer.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "900"}
    listing = [("a.png", PNG), ("é" * 70 + ".png", PNG), link("l.png", "a.png"), link("h.png", "x" * 120)]
    forms = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
    given = [listing[:1], listing, [*listing, (sparse, PNG), (newer, b"1\n0\n9\n".ljust(512, b"\0") + PNG)]]
    return [_short(_made(write_tar, members, form)) for form, members in zip(forms, given, strict=True)]


def _short(tar: bytes) -> bytes:
    """Return a tar with no more zeros at its end than it needs, so that most damage is elsewhere."""
    data = tar.rstrip(b"\0")
    return data + bytes(-len(data) % 512 + 1024)


def _last_of_each(data: bytes) -> dict[str, bytes]:
    """Read a tar by tarfile alone."""
    found = {}
    with (
        contextlib.suppress(tarfile.TarError),
        tarfile.open(fileobj=io.BytesIO(data), mode="r:", encoding="utf-8", errors="surrogateescape") as tar,
    ):
        for info in tar:
            if info.isreg() and info.size < 1 << 20:
                with contextlib.suppress(tarfile.TarError, OSError, KeyError, ValueError):
                    if (file := tar.extractfile(info)) is not None:
                        found[archive.clean(info.name)] = file.read()
    return found


def _read_tar(data: bytes, path: Path) -> None:
    """A tar has no checksum of what it holds: it is what tarfile finds under that name."""
    if not (found := dict(_members(path))):
        return
    for content in found.values():
        expect(len(content) <= len(data) + 10_000, f"{len(content)} bytes")
    known = _last_of_each(data)
    for name in found.keys() & known.keys():
        expect(found[name] == known[name], f"other bytes than tarfile's of {name!r}")


_PACK: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
    "gz": (partial(gzip.compress, compresslevel=1), gzip.decompress),
    "bz2": (bz2.compress, bz2.decompress),
    "xz": (partial(lzma.compress, preset=0), lzma.decompress),
    "zst": (lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data), lambda data: b""),
}


@cache
def _to_pack() -> list[bytes]:
    return [*_tars(), _short(_made(_plain_tar))]


def _packed(kind: str) -> list[bytes]:
    pack, last = _PACK[kind][0], _to_pack()[-1]
    return [pack(tar) for tar in _to_pack()] + [pack(last[:700]) + pack(last[700:])]


def _damaged_stream(kind: str, rng: np.random.RandomState) -> bytes:
    """Return a damaged stream, or a stream of a damaged tar."""
    if rng.randint(3) == 0:
        return damaged(rng, _packed(kind))
    return _PACK[kind][0](damaged(rng, _to_pack()))


def _plain_tar(path: Path) -> None:
    from test_archives import png, write_tar

    write_tar(path, [("a.png", png(0)), ("b/c.png", png(1)), ("readme.txt", b"x")])


def _read_packed(kind: str, data: bytes, path: Path) -> None:
    """What is read is what tarfile finds in what Python's own module unpacks."""
    found = dict(_members(path, one_by_one=True))
    if found and kind != "zst":
        known = _last_of_each(_unpacked(kind, data))
        for name in found.keys() & known.keys():
            expect(found[name] == known[name], f"other bytes than tarfile's of {name!r}")
    expect(sum(map(len, found.values())) < 1 << 20, "more bytes than were packed")


def _unpacked(kind: str, data: bytes) -> bytes:
    with contextlib.suppress(Exception):  # an end that is damaged comes after what was read
        return _PACK[kind][1](data)
    return b""


# --- MLPerf's log


def _logs() -> list[bytes]:
    from test_archives import png
    from test_mlperf import STACK, log

    entries = [(2, STACK[0, :5, :5].tobytes()), (0, png(1)), (1, STACK[1, :3, :3].tobytes())]
    other = [{"data": data.hex(), "x": -1.5, "qsl_idx": index, "y": None} for index, data in entries]
    return [_made(log, entries), json.dumps(other, indent=1).encode()]


def _read_log(data: bytes, path: Path) -> None:
    """Its texts are those that Python's JSON finds, of the first entry with each number."""
    source = open_source(path)
    known: dict[int, str] = {}
    with contextlib.suppress(ValueError, RecursionError):
        for entry in json.loads(data, object_pairs_hook=lambda pairs: dict(reversed(pairs))):
            known.setdefault(entry["qsl_idx"], entry["data"])
    if known:
        expect({f"qsl_idx {number}" for number in known} == {source.key_of(i) for i in range(len(known))}, known)
    for index, item in zip(range(_MANY), read_items(source), strict=False):
        with contextlib.suppress(ImageError):
            image: Decoded = item.load()
            text = known.get(int(source.key_of(index).split()[1]))
            if image.encoding is None and text is not None:
                expect(image.pixels.tobytes() == bytes.fromhex(text), "other pixels than the text")
            expect(image.pixels.dtype == np.uint8, image.pixels.dtype)


READERS = [
    Reader("zip", _zips, _read_zip, "a.zip"),
    Reader("tar", _tars, _read_tar, "a.tar"),
    *(
        Reader(
            f"tar.{kind}",
            partial(_packed, kind),
            partial(_read_packed, kind),
            f"a.tar.{kind}",
            partial(_damaged_stream, kind),
            cases=500,
        )
        for kind in _PACK
    ),
    Reader("mlperf log", _logs, _read_log, "mlperf_log_accuracy.json"),
]
