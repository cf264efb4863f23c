"""Compressed tars: the same images as in the plain tar, in its order; cut, joined and hostile ones are errors."""

import bz2
import gzip
import io
import lzma
import pickle
import random
import sys
import tarfile
import tracemalloc
import warnings
from functools import partial
from itertools import count

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

import fastfid
from fastfid import ImageError, InputError
from fastfid.files import unpacking
from fastfid.files.unpacking import Unpacked
from fastfid.sources import check_limit, open_source, read_items
from test_archives import PNG, STACK, png, write_tar

PACK = {
    "gz": partial(gzip.compress, compresslevel=1),
    "bz2": bz2.compress,
    "xz": partial(lzma.compress, preset=0),
    "zst": lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data),
}
every_kind = pytest.mark.parametrize("kind", PACK)


def tar_of(tmp_path, members):
    return write_tar(tmp_path / "plain.tar", members).read_bytes()


def packed(tmp_path, kind, members, name=None):
    path = tmp_path / (name or f"a.tar.{kind}")
    path.write_bytes(PACK[kind](tar_of(tmp_path, members)))
    (tmp_path / "plain.tar").unlink()
    return path


def read(source):
    items = list(source.read(count()))
    return [item.name for item in items], [item.decode().pixels for item in items]


def values(path):
    return [int(pixels[0, 0, 0]) for pixels in read(open_source(path))[1]]


def grey(value):
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (2, 2), (value,) * 3).save(file, "png")
    return file.getvalue()


GREYS = [(f"{number}.png", grey(number)) for number in range(40)]


@every_kind
def test_the_images_are_those_of_the_plain_tar(tmp_path, kind):
    members = [
        ("s/b.PNG", png(1)),
        ("s/b.json", b"{}" * 9000),
        ("a.png", png(0)),
        ("__MACOSX/a.png", b""),
        ("c.txt", b""),
    ]
    path = packed(tmp_path, kind, members)
    source = open_source(path)
    assert (source.size, source.ordered, source.exact, source.files) == (None, True, False, True)
    names, pixels = read(pickle.loads(pickle.dumps(source)))
    assert names == [f"{path}/s/b.PNG", f"{path}/a.png"]  # in the archive's order
    np.testing.assert_array_equal(pixels, STACK[[1, 0]])
    assert read(open_source(path, recursive=False))[0] == [f"{path}/a.png"]
    assert read(open_source(path, endings="pytorch-fid"))[0] == [f"{path}/a.png"]
    (chosen,) = source.read(iter([1]))
    np.testing.assert_array_equal(chosen.decode().pixels, STACK[0])
    assert source.key_of(1) == "1"
    with pytest.raises(
        InputError, match=r"limit=3 .*\.tar\..* does not say: decompress it \(gunzip, .* give the \.tar$"
    ):
        check_limit(source, 3, 0)


@pytest.mark.parametrize("name", ["A.TAR.GZ", "a.tgz"])
def test_other_endings(tmp_path, name):
    assert values(packed(tmp_path, "gz", GREYS, name)) == list(range(40))


@every_kind
def test_a_score_equals_that_of_the_plain_tar(tmp_path, kind):
    extractor = fastfid.Extractor("inception-v3-random", dims=64, batch_size=3)
    members = [(f"{number:02}.png", png(number)) for number in range(12)]
    path = packed(tmp_path, kind, members)
    plain = write_tar(tmp_path / "plain.tar", members)
    with pytest.warns(fastfid.FastFIDWarning):
        one, other = (fastfid.statistics(source, model=extractor) for source in (path, plain))
    assert one.n == 12
    np.testing.assert_array_equal(one.sigma, other.sigma)


def test_a_folder_is_read_shard_after_shard(tmp_path):
    packed(tmp_path, "gz", GREYS[:3], "a.tar.gz")
    packed(tmp_path, "xz", GREYS[3:5], "b.tar.xz")
    write_tar(tmp_path / "c.tar", GREYS[5:9])
    source = open_source(tmp_path)
    assert source.notes == (f"{tmp_path} has no image files but 3 archives: their images are used as one set",)
    assert [int(item.decode().pixels[0, 0, 0]) for item in read_items(source)] == list(range(9))
    (tmp_path / "d.zip").write_bytes(b"")
    with pytest.raises(InputError, match=r"has compressed tars, such as a\.tar\.gz, beside d\.zip: put the tars"):
        open_source(tmp_path)


def test_shards_without_images_are_named(tmp_path):
    packed(tmp_path, "gz", GREYS[:2], "a.tar.gz")
    packed(tmp_path, "gz", [("a.txt", b"")], "b.tar.gz")
    with pytest.warns(fastfid.FastFIDWarning, match=r"b\.tar\.gz holds no images"):
        assert values(tmp_path) == [0, 1]
    with pytest.raises(InputError, match=r"no images in .*b\.tar\.gz: looked for members ending in"):
        values(tmp_path / "b.tar.gz")


@every_kind
def test_streams_that_are_joined_are_one(tmp_path, kind):
    data = tar_of(tmp_path, GREYS)
    (tmp_path / f"a.tar.{kind}").write_bytes(PACK[kind](data[:5000]) + PACK[kind](data[5000:]))
    assert values(tmp_path / f"a.tar.{kind}") == list(range(40))


@every_kind
def test_a_stream_that_is_cut_short(tmp_path, kind):
    path = packed(tmp_path, kind, GREYS)
    whole = path.read_bytes()
    for size in (len(whole) // 3, len(whole) * 2 // 3, len(whole) - 9, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match=rf"cannot read the archive .*a\.tar\.{kind}: it is cut short") as caught:
            values(path)
        assert not isinstance(caught.value, ImageError)  # on_error="skip" would skip it


@every_kind
def test_what_follows_the_end(tmp_path, kind):
    path = packed(tmp_path, kind, GREYS)
    whole = path.read_bytes()
    path.write_bytes(whole + b"\0" * 600)  # as tapes have it
    assert values(path) == list(range(40))
    path.write_bytes(whole + b"something")
    with pytest.raises(InputError, match=f"{kind}: other data follows its end"):
        values(path)
    path.write_bytes(PACK[kind](tar_of(tmp_path, GREYS) * 2))
    with pytest.raises(InputError, match=f"{kind}: more data follows its end, as in tars joined by cat"):
        values(path)


@every_kind
def test_damage_never_gives_other_images(tmp_path, kind):
    path = packed(tmp_path, kind, [(f"{number}.png", png(number)) for number in range(12)])
    whole = path.read_bytes()
    _, expected = read(open_source(path))
    chance, failed = random.Random(0), 0
    for _ in range(40):
        data = bytearray(whole)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        try:
            _, pixels = read(open_source(path))
        except InputError:
            failed += 1
        else:
            np.testing.assert_array_equal(pixels, expected)  # a bit that nothing depends on
    assert failed > 20


def test_a_tar_without_its_end_mark(tmp_path):
    data = tar_of(tmp_path, GREYS)
    end = max(place for place in range(0, len(data), 512) if any(data[place : place + 512])) + 512
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(data[:end]))
    with pytest.warns(fastfid.FastFIDWarning, match=r"a\.tar\.gz lacks the mark at its end"):
        assert values(tmp_path / "a.tar.gz") == list(range(40))


def test_members_that_a_stream_cannot_give(tmp_path, monkeypatch):
    path = packed(tmp_path, "gz", [("a.png", PNG), ("a.png", PNG)])
    with pytest.raises(InputError, match=r"a\.tar\.gz holds a\.png more than once, .*: decompress it") as caught:
        values(path)
    assert not isinstance(caught.value, ImageError)
    with tarfile.open(path, "w:gz") as archive:
        for name, kind in (("a.png", tarfile.SYMTYPE), ("b.png", tarfile.LNKTYPE)):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, "c.png"
            archive.addfile(link)
        member = tarfile.TarInfo("c.png")
        member.size = len(PNG)
        archive.addfile(member, io.BytesIO(PNG))
    one, two, three = open_source(path).read(count())
    for link in (one, two):
        with pytest.raises(ImageError, match=r"a\.tar\.gz/[ab]\.png: it is a link to c\.png; decompress it"):
            link.load()
    three.load()
    monkeypatch.setattr("fastfid.sources.tars.MOST_FILE_BYTES", len(PNG) - 1)
    *_, three = open_source(path).read(count())
    with pytest.raises(ImageError, match=r"c\.png: it has \d+ bytes; at most"):
        three.load()


def test_a_shard_that_changes_ends_the_run(tmp_path):
    path = packed(tmp_path, "gz", GREYS)
    source = open_source(path)
    packed(tmp_path, "gz", GREYS[:20])
    with pytest.raises(InputError, match=r"the archive .*a\.tar\.gz has changed"):
        list(source.read(count()))


def test_a_file_that_is_no_stream(tmp_path):
    for data, cause in (
        (b"", "not packed by gzip"),
        (b"x" * 99, "not packed by"),
        (gzip.compress(b"x" * 999), "invalid|truncated|bad"),
    ):
        (tmp_path / "a.tar.gz").write_bytes(data)
        with pytest.raises(InputError, match=rf"cannot read the archive .*a\.tar\.gz: .*{cause}"):
            open_source(tmp_path / "a.tar.gz")


@every_kind
def test_memory_is_bounded(tmp_path, kind):
    """A member that is not an image and unpacks to 256 MB, and headers that declare a name of 100 MB."""
    path = tmp_path / f"a.tar.{kind}"
    other = tarfile.TarInfo("a.bin")
    other.size = 1 << 28
    pack = {
        "gz": partial(gzip.open, compresslevel=1),
        "bz2": bz2.open,
        "xz": partial(lzma.open, preset=0),
        "zst": zstandard.open,
    }
    with pack[kind](path, "wb") as file:
        file.write(other.tobuf())
        for _ in range(1 << 8):
            file.write(bytes(1 << 20))
        file.write(write_tar(tmp_path / "b.tar", GREYS[:2]).read_bytes())
    tracemalloc.start()
    try:
        assert values(path) == [0, 1]
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()
    name = tarfile.TarInfo("x")
    name.type, name.size = tarfile.GNUTYPE_LONGNAME, 100 << 20
    with pack[kind](path, "wb") as file:
        file.write(name.tobuf() + bytes(1 << 21))
    with pytest.raises(InputError, match="the headers of one member take more than"):
        open_source(path)


def test_without_anything_that_unpacks_zstandard(tmp_path, monkeypatch):
    path = packed(tmp_path, "zst", GREYS)
    monkeypatch.setitem(sys.modules, "zstandard", None)
    monkeypatch.setitem(sys.modules, "compression", None)
    with pytest.raises(InputError, match=r"Python 3\.14 or the package zstandard: pip install 'fastfid\[zstd\]'"):
        open_source(path)


def test_frames_of_zstandard_that_are_to_be_skipped():
    """As pzstd writes them."""
    data = b"abc" * 999
    frame = b"\x50\x2a\x4d\x18\x04\0\0\0\1\2\3\4"
    stream = Unpacked(io.BytesIO(frame + PACK["zst"](data) + frame + PACK["zst"](data)))
    assert stream.read(1 << 20) == data * 2


@every_kind
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_reads_of_any_size(kind, data):
    content = data.draw(st.binary(max_size=300)) * data.draw(st.sampled_from([1, 7, 900]))
    stream = Unpacked(io.BytesIO(PACK[kind](content)))
    at = 0
    while at < len(content):
        if data.draw(st.booleans()):
            at = stream.seek(min(len(content), at + data.draw(st.integers(0, 1 << 17))))
        size = data.draw(st.integers(1, 1 << 17))
        assert stream.read(size) == content[at : at + size]
        at = min(len(content), at + size)
        assert stream.tell() == at
    assert stream.read(1) == b""
    with pytest.raises(ValueError, match="forward"):
        stream.seek(at - 1)


def test_what_follows_damage_is_not_read(monkeypatch):
    """A decompressor may go on after an error, and would give other bytes."""
    stream = Unpacked(io.BytesIO(PACK["gz"](bytes(99))))

    def fail():
        monkeypatch.undo()
        raise EOFError("damage")

    monkeypatch.setattr(stream, "_step", fail)
    for _ in range(2):
        with pytest.raises(EOFError, match="damage"):
            stream.read(1)


def test_a_small_chunk_of_input(monkeypatch):
    monkeypatch.setattr(unpacking, "_CHUNK", 7)
    for pack in PACK.values():
        content = random.Random(0).randbytes(5000)
        assert Unpacked(io.BytesIO(pack(content[:2500]) + pack(content[2500:]))).read(9999) == content


def test_no_warning_is_lost_in_a_plain_run(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert values(packed(tmp_path, "gz", GREYS)) == list(range(40))
