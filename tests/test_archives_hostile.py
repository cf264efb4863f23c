"""Malicious archives and arrays: no image is lost silently, no size is trusted, nothing exhausts memory or hangs."""

import bz2
import io
import os
import pickle
import socket
import stat
import struct
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from fastfid.errors import ImageError, InputError
from fastfid.files.reading import MOST_FILE_BYTES
from fastfid.sources import archive as archive_module
from fastfid.sources import is_statistics_file, open_source
from fastfid.sources.pieces import read_items
from test_archives import PNG, STACK, equal, link, pixels, png, write_tar, write_zip
from test_npz import METHODS, deflated, header, lzma_packed, npy, tracked

PACKERS = {zipfile.ZIP_DEFLATED: deflated, zipfile.ZIP_BZIP2: bz2.compress, zipfile.ZIP_LZMA: lzma_packed}


class Member:
    """A zip's member of which the directory says whatever it is told."""

    def __init__(self, name, data, *, size=None, method=0, mode=0, checksum=None):
        self.name, self.method, self.mode = name.encode(), method, mode
        self.data = PACKERS[method](data) if method else data
        self.size = len(data) if size is None else size
        self.checksum = zlib.crc32(data) if checksum is None else checksum

    def local(self):
        return struct.pack("<4s5H3I2H", b"PK\3\4", 45, 0, self.method, 0, 0, 0, 0, 0, len(self.name), 0) + self.name

    def entry(self, offset):
        extra = struct.pack("<HHQ", 1, 8, self.size)
        unix = 3 << 8 | 45
        sizes = (self.checksum, len(self.data), 0xFFFFFFFF)
        start = struct.pack("<4s6H3I", b"PK\1\2", unix, 45, 0, self.method, 0, 0, *sizes)
        lengths = struct.pack("<5H2I", len(self.name), len(extra), 0, 0, 0, self.mode << 16, offset)
        return start + lengths + self.name + extra


def write_members(path, given, count=None, wide=False):
    """Write a zip by hand: `count` is what its end says, in a 64-bit record where `wide`."""
    body, directory = bytearray(), bytearray()
    for member in given:
        directory += member.entry(len(body))
        body += member.local() + member.data
    count = len(given) if count is None else count
    end = b""
    if wide:
        at = len(body) + len(directory)
        end += struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(directory), len(body))
        end += struct.pack("<4sIQI", b"PK\6\7", 0, at, 1)
        count = 0xFFFF
    end += struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count & 0xFFFF, count & 0xFFFF, len(directory), len(body), 0)
    path.write_bytes(body + directory + end)
    return path


# --- nothing is lost silently


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("change", [-1, 1, 5])
def test_a_directory_that_is_not_what_the_end_counts(tmp_path, wide, change):
    given = [Member(f"{index}.png", png(index)) for index in range(6)]
    equal(pixels(open_source(write_members(tmp_path / "a.zip", given, wide=wide))), STACK[:6])
    write_members(tmp_path / "a.zip", given, 6 + change, wide=wide)
    with pytest.raises(InputError, match=rf"a\.zip: its directory is damaged: 6 entries of {6 + change} can be read"):
        open_source(tmp_path / "a.zip")


def test_many_members_with_and_without_a_64_bit_count(tmp_path):
    """macOS writes the low 16 bits of the count alone."""
    given = [Member(f"{index}.png", b"") for index in range(65_540)]
    for wide in (False, True):
        assert open_source(write_members(tmp_path / "a.zip", given, wide=wide)).size == 65_540


@pytest.mark.usefixtures("undecoded")
@pytest.mark.parametrize("method", METHODS)
def test_one_flipped_bit_in_a_directory_loses_no_image(tmp_path, method):
    """It is refused, said or an image that cannot be read; or all images are there, under whatever names."""
    listing = [(f"{index}.png", png(index)) for index in range(3)]
    path = write_zip(tmp_path / "a.zip", listing, method)
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        start = archive.start_dir
    expected = sorted(png(index) for index in range(3))
    for bit in range(8 * start, 8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            source = open_source(path)
            found = sorted(item.load() for item in read_items(source))
        except InputError:
            continue
        assert source.notes or found == expected, f"bit {bit}"


# --- sizes


@pytest.mark.parametrize("method", METHODS[1:])
def test_a_member_that_unpacks_to_more_than_it_says(tmp_path, method):
    data = bytes(1 << 26)
    (item,) = read_items(
        open_source(write_members(tmp_path / "a.zip", [Member("a.png", data, size=100, method=method)]))
    )
    with pytest.raises(ImageError, match=r"a\.zip/a\.png: .*(checksum|holds more bytes)"), tracked(1 << 23):
        item.load()


@pytest.mark.parametrize("method", METHODS)
def test_a_member_that_says_too_much(tmp_path, method):
    given = [Member("a.png", PNG, size=size, method=method) for size in (1 << 40, MOST_FILE_BYTES + 1)]
    given.append(Member("b.png", PNG, size=1 << 29, method=method))
    message = r"a\.zip/.\.png: .*(at most 536,870,912|stored|ends after)"
    for item in read_items(open_source(write_members(tmp_path / "a.zip", given))):
        with pytest.raises(ImageError, match=message), tracked(1 << 20):
            item.load()


def test_a_dictionary_larger_than_the_member(tmp_path):
    """LZMA takes all of it at once."""
    packed = lzma_packed(PNG)
    member = Member("a.png", PNG)
    member.method, member.data = 14, packed[:5] + b"\xff\xff\xff\xff" + packed[9:]
    source = open_source(write_members(tmp_path / "a.zip", [member]))
    with tracked(1 << 20):
        equal(pixels(source), STACK[:1])


def test_long_targets_and_names(tmp_path):
    target = Member("a.png", bytes(1 << 17), mode=stat.S_IFLNK | 0o777)
    with pytest.raises(InputError, match=r"a\.zip: it has 131,072 bytes; at most 65,536 are read"):
        open_source(write_members(tmp_path / "a.zip", [target]))
    for name in ("x" * (1 << 17) + ".png", link("a.png", "x" * (1 << 17))[0]):
        with pytest.raises(InputError, match=r"a\.tar: a name in it has more than 65,536 characters"):
            open_source(write_tar(tmp_path / "a.tar", [(name, b"")]))


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE])
@pytest.mark.parametrize("size", [1 << 21, 1 << 34])
def test_headers_that_say_to_be_long(tmp_path, kind, size):
    info = tarfile.TarInfo("a")
    info.type, info.size = kind, size
    with (tmp_path / "a.tar").open("wb") as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        file.truncate(1 << 35)
    message = r"a\.tar: the headers of one member take more than 1,048,576 bytes"
    with pytest.raises(InputError, match=message), tracked(1 << 21):
        open_source(tmp_path / "a.tar")


def test_a_map_of_a_sparse_file_without_end(tmp_path):
    info = tarfile.TarInfo("a.png")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9"}
    data = b"9999999999\n" + b"1\n" * (1 << 20)
    with pytest.raises(InputError, match=r"a\.tar: the headers of one member take more than"):
        open_source(write_tar(tmp_path / "a.tar", [(info, data)]))


def test_many_defaults_of_pax(tmp_path):
    """Every member after them gets a copy."""
    with tarfile.open(tmp_path / "a.tar", "w", pax_headers={f"k{i}": "v" for i in range(2000)}) as archive:
        archive.addfile(tarfile.TarInfo("a.png"))
    with pytest.raises(InputError, match=r"a\.tar: more than 1000 pax records apply to all members"):
        open_source(tmp_path / "a.tar")


@pytest.mark.parametrize("size", [MOST_FILE_BYTES + 1, 1 << 34, 1 << 62, 1 << 70])
def test_a_sparse_member_that_says_too_much(tmp_path, size):
    info = tarfile.TarInfo("a.png")
    info.pax_headers = {"GNU.sparse.map": f"0,{len(PNG)}", "GNU.sparse.size": str(size)}
    first, second = read_items(open_source(write_tar(tmp_path / "a.tar", [(info, PNG), ("b.png", PNG)])))
    message = rf"a\.png: it has {size:,} bytes; at most 536,870,912 are read"
    with pytest.raises(ImageError, match=message), tracked(1 << 20):
        first.load()
    second.load()


def test_a_large_member_of_a_tar(tmp_path):
    info = tarfile.TarInfo("a.bmp")
    info.size = MOST_FILE_BYTES + 1
    with (tmp_path / "a.tar").open("wb") as file:
        file.write(info.tobuf())
        file.truncate(512 + MOST_FILE_BYTES + 512 + 1024)
    (item,) = read_items(open_source(tmp_path / "a.tar"))
    with pytest.raises(ImageError, match=r"a\.bmp: it has 536,870,913 bytes; at most 536,870,912 are read"):
        item.load()


def huge(path, shape, fortran):
    """Write an .npy of zeros that take no room."""
    start = npy(header(shape, fortran=fortran))
    with path.open("wb") as file:
        file.write(start)
        file.truncate(len(start) + int(np.prod(shape)))
    return path


def test_arrays_that_would_fill_the_memory(tmp_path):
    assert open_source(huge(tmp_path / "a.npy", (1 << 20, 64, 64, 3), False)).size == 1 << 20
    with pytest.raises(InputError, match=r"a\.npy: its images are interleaved .*12,884,901,888 bytes .*ascontiguous"):
        open_source(huge(tmp_path / "a.npy", (1 << 20, 64, 64, 3), True))
    with pytest.raises(InputError, match=r"a\.npy: an image has 900,000,000 bytes; at most 536,870,912 are read"):
        open_source(huge(tmp_path / "a.npy", (2, 30_000, 30_000), False))


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_list_takes_little_memory(tmp_path, kind):
    write = write_tar if kind == "tar" else write_zip
    path = write(tmp_path / f"a.{kind}", [(f"images/{index:08}.png", b"") for index in range(4000)])
    open_source(path)
    with tracked(4000 * 450) as memory:
        source = open_source(path)
        assert source.size == 4000
        assert memory() < 4000 * 200


# --- what is there is not what it was, or no file


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.npy", "a.npz"])
def test_what_is_no_regular_file(tmp_path, name):
    path = tmp_path / name
    os.mkfifo(path)
    with pytest.raises(InputError, match=rf"cannot read .*{name}: it is a FIFO, not a regular file"):
        open_source(path)
    assert not is_statistics_file(path)
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(InputError, match=rf"cannot read .*{name}: it is a device, not a regular file"):
        open_source(path)
    path.unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        with pytest.raises(InputError, match=rf"cannot read .*{name}: it is a socket, not a regular file"):
            open_source(path)


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.npy", "a.npz"])
@pytest.mark.parametrize("change", ["cut", "gone", "other", "FIFO"])
def test_a_file_that_changes_under_the_run(tmp_path, name, change):
    path = tmp_path / name
    write = {".zip": write_zip, ".tar": write_tar}.get(path.suffix)
    if write:
        write(path, [(f"{index}.png", png(index)) for index in range(4)])
    else:
        (np.save if name == "a.npy" else np.savez)(path, np.repeat(STACK, 20, axis=0))
    source = open_source(path)
    if name == "a.npz":  # one after the other, in an open file
        equal(pixels(source, 3), pixels(source, 3))
    else:
        next(read_items(source)).load()
    if change == "cut":
        os.truncate(path, path.stat().st_size // 2)
    elif change == "other":
        path.write_bytes(bytes(path.stat().st_size))
        os.utime(path, ns=(0, 0))
    else:
        path.unlink()
        if change == "FIFO":
            os.mkfifo(path)
    cause = "again: No such file" if change == "gone" else "has changed since it was opened: start again"
    with pytest.raises(InputError, match=rf"{name} {cause}") as caught:
        pixels(source)
    assert not isinstance(caught.value, ImageError)


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be replaced there")
@pytest.mark.parametrize("name", ["a.tar", "a.npy"])
def test_a_file_that_is_replaced_by_one_of_the_same_size_and_time(tmp_path, name):
    """And another name, or other permissions, are no change."""
    for folder, order in (("one", [0, 1, 2, 3]), ("other", [3, 2, 1, 0])):
        (tmp_path / folder).mkdir()
        if name == "a.tar":
            files = [io.BytesIO() for _ in range(4)]
            for index, file in enumerate(files):
                Image.fromarray(STACK[order[index]]).save(file, "BMP")
            write_tar(tmp_path / folder / name, [(f"{index}.bmp", file.getvalue()) for index, file in enumerate(files)])
        else:
            np.save(tmp_path / folder / name, STACK[order])
        os.utime(tmp_path / folder / name, (1, 1))
    path, other = tmp_path / "one" / name, tmp_path / "other" / name
    assert path.stat().st_size == other.stat().st_size
    source = open_source(path)
    os.link(path, tmp_path / "again")
    path.chmod(0o444)
    equal(pixels(source), STACK[:4])
    other.replace(path)
    with pytest.raises(InputError, match=f"{name} has changed since it was opened: start again"):
        pixels(source)


def test_an_npy_that_is_cut_after_it_was_listed_is_no_crash(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((50, 64, 64, 3), np.uint8))
    items = list(read_items(open_source(tmp_path / "a.npy")))
    os.truncate(tmp_path / "a.npy", 5000)
    for item in items:
        with pytest.raises(InputError, match=r"a\.npy has changed since it was opened: start again"):
            item.load()


# --- arrays


def test_an_npz_without_images_says_what_it_holds(tmp_path):
    np.savez(tmp_path / "a.npz", arr_0=np.arange(9), mu=np.zeros(3), five=np.zeros((1, 1, 1, 1, 1)))
    held = r"it holds arr_0 \(9,\), mu \(3,\), five \(1, 1, 1, 1, 1\); statistics need both mu and sigma"
    with pytest.raises(InputError, match=rf"a\.npz: which array holds the images\? Name it arr_0; {held}"):
        open_source(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", **{f"a{index}": np.zeros(index) for index in range(30)})
    with pytest.raises(InputError, match=r"it holds a0 \(0,\), .*a9 \(9,\) and 20 more$"):
        open_source(tmp_path / "a.npz")


def test_an_arr_0_that_holds_no_images_is_not_in_the_way(tmp_path):
    np.savez(tmp_path / "a.npz", arr_0=np.arange(9), arr_1=STACK, labels=np.array(["a", None], dtype=object))
    equal(pixels(open_source(tmp_path / "a.npz")), STACK)


# --- in other processes


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.npy", "a.npz"])
def test_items_are_pickled_without_the_list(tmp_path, name):
    path = tmp_path / name
    write = {".zip": write_zip, ".tar": write_tar}.get(path.suffix)
    if write:
        write(path, [(f"{index:03}.png", png(index)) for index in range(500)])
    else:
        (np.save if name == "a.npy" else np.savez)(path, STACK)
    item = list(read_items(open_source(path)))[5]
    data = pickle.dumps(item)
    assert len(data) < 2000
    copy = pickle.loads(data)
    assert copy.name == item.name
    equal([copy.load().pixels], [STACK[5]])


# --- not decoded


@pytest.fixture
def undecoded(monkeypatch):
    """An image is the bytes of its member."""
    monkeypatch.setattr(archive_module, "decode", lambda data, name: data)
