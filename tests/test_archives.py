"""Zip and tar archives: the same images as from a folder with the unpacked files, and nothing is unpacked to disk."""

import contextlib
import gc
import io
import os
import stat
import struct
import subprocess
import sys
import tarfile
import tempfile
import tracemalloc
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

import fastfid
from fastfid.errors import ImageError, InputError
from fastfid.files import places
from fastfid.images.decode import ENDINGS
from fastfid.sources import open_source
from fastfid.sources.pieces import read_items
from pictures import pictures

STACK = pictures(12, 8)
KINDS = ["tar", "zip"]


def png(index=0):
    buffer = io.BytesIO()
    Image.fromarray(STACK[index % len(STACK)]).save(buffer, "PNG")
    return buffer.getvalue()


PNG = png()


def write_tar(path, members, form=tarfile.PAX_FORMAT):
    """Write (name or TarInfo, bytes) in this order."""
    with tarfile.open(path, "w", format=form, encoding="utf-8", errors="surrogateescape") as archive:
        for name, data in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def write_zip(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Duplicate name")
        for name, data in members:
            archive.writestr(name, data)
    return path


def write(path, members):
    return (write_tar if path.suffix.lower() == ".tar" else write_zip)(path, members)


def link(name, target, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def names(source, *args):
    return [item.name for item in read_items(source, *args)]


def members(source, *args):
    """Names within the archive."""
    return [name.removeprefix(source.name + "/") for name in names(source, *args)]


def pixels(source, *args):
    return [item.load().pixels for item in read_items(source, *args)]


def equal(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def unpack(path, folder):
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
    else:
        with tarfile.open(path) as archive:
            archive.extractall(folder, filter="data")
    return folder


# --- an archive equals the folder that it unpacks to

parts = st.text("ab-. !~_0é図", min_size=1, max_size=4).filter(
    lambda part: part.strip(".") and not part.startswith("._")
)
endings = st.sampled_from(["png", "PNG", "jpg", "Webp", "json", "cls", "txt"])
paths = st.tuples(st.lists(parts.map("{}d".format), max_size=2), parts, endings).map(
    lambda path: "/".join([*path[0], f"{path[1]}.{path[2]}"])
)


@pytest.mark.parametrize("kind", KINDS)
@given(
    listing=st.lists(st.tuples(paths, st.integers(0, 11)), min_size=2, max_size=15).filter(
        lambda listing: any(Path(name).suffix[1:].lower() in ENDINGS for name, _ in listing)
    ),
    recursive=st.booleans(),
    limit=st.integers(2, 9),
    seed=st.integers(0, 2**32 - 1),
)
@example([("a/b.png", 0), ("a.png", 1), ("a-/b.png", 2), ("a.PNG", 3), ("a.png", 4)], True, 2, 0)
def test_an_archive_equals_its_folder(kind, listing, recursive, limit, seed):
    with tempfile.TemporaryDirectory() as temporary:
        path = write(Path(temporary, f"a.{kind}"), [(name, png(index)) for name, index in listing])
        folder = unpack(path, Path(temporary, "folder"))
        try:
            expected = open_source(folder, recursive=recursive)
        except InputError:
            with pytest.raises(InputError, match=rf"no images in .*a\.{kind} .*not searched.*\.bmp"):
                open_source(path, recursive=recursive)
            return
        found = open_source(path, recursive=recursive)
        assert found.name == str(path)
        assert found.size == expected.size
        assert found.files
        assert members(found) == members(expected)
        assert members(found, limit, seed) == members(expected, limit, seed)
        equal(pixels(found), pixels(expected))
        equal(pixels(found, limit, seed), pixels(expected, limit, seed))
        assert [note for note in found.notes if "occur" not in note] == list(expected.notes)


@pytest.mark.parametrize("kind", KINDS)
def test_notes_are_those_of_a_folder(tmp_path, kind):
    path = write(tmp_path / f"a.{kind}", [("a.PNG", PNG), ("b/c.png", PNG), ("b/d.Jpg", PNG), ("e.png", PNG)])
    both = "2 of 4 images are in subfolders and 2 of 4 images have upper-case endings; pytorch-fid would not count them"
    assert open_source(path).notes == open_source(unpack(path, tmp_path / "folder")).notes == (both,)
    top = open_source(path, recursive=False)
    assert members(top) == ["a.PNG", "e.png"]
    assert top.notes == ("1 of 2 images has an upper-case ending; pytorch-fid would not count it",)


@pytest.mark.parametrize("kind", KINDS)
def test_a_score_equals_that_of_the_folder(tmp_path, kind):
    listing = [(f"s/{index:02}.png", png(index)) for index in range(12)]
    extractor = fastfid.Extractor("inception-v3-random", dims=64, batch_size=3)
    path = write(tmp_path / f"A.{kind.upper()}", listing)
    folder = tmp_path / "folder"
    for name, data in listing:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    with pytest.warns(fastfid.FastFIDWarning):
        one, other = (fastfid.statistics(source, model=extractor, num_workers=3) for source in (path, folder))
    assert one.n == 12
    np.testing.assert_array_equal(one.mu, other.mu)
    np.testing.assert_array_equal(one.sigma, other.sigma)


@pytest.mark.parametrize("kind", KINDS)
def test_threads_read_at_once(tmp_path, kind):
    listing = [(f"{index:03}.png", png(index)) for index in range(300)]
    source = open_source(write(tmp_path / f"a.{kind}", listing))
    items = list(read_items(source))
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda item: item.load().pixels, items))
    finally:
        sys.setswitchinterval(switch)
    equal(found, [STACK[index % 12] for index in range(300)])


@pytest.mark.parametrize("kind", KINDS)
def test_memory_does_not_grow_with_the_archive(tmp_path, kind):
    blob = os.urandom(40_000)
    listing = [(f"{index:04}.{ending}", data) for index in range(600) for ending, data in (("png", PNG), ("bin", blob))]
    path = write(tmp_path / f"a.{kind}", listing)
    next(read_items(open_source(path))).load()  # whatever is imported on first use
    gc.collect()
    tracemalloc.start()
    try:
        assert sum(item.load().pixels.any() for item in read_items(open_source(path))) == 600
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < path.stat().st_size / 20


def test_the_list_of_a_tar_is_small(tmp_path):
    path = write_tar(tmp_path / "a.tar", [(f"{index:04}.png", b"") for index in range(4000)])
    tracemalloc.start()
    try:
        source = open_source(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert source.size == 4000
    assert peak < 4000 * 500


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_open_or_written(tmp_path, kind):
    path = write(tmp_path / f"a.{kind}", [("a.png", PNG), ("b.png", b"x")])
    stream = read_items(open_source(path))
    next(stream).load()
    with pytest.raises(ImageError):
        next(stream).load()
    assert path not in [link.resolve() for link in Path("/proc/self/fd").glob("*")]  # where the system shows it
    del stream
    gc.collect()  # a file left open would be a ResourceWarning, which is an error here
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", KINDS)
def test_headers_are_all_that_is_read_to_list(tmp_path, kind, monkeypatch):
    path = write(tmp_path / f"a.{kind}", [(f"{index}.png", os.urandom(1 << 20)) for index in range(20)])
    count = 0

    class Counting(io.FileIO):
        def readinto(self, buffer):
            nonlocal count
            count += (read := super().readinto(buffer))
            return read

    monkeypatch.setattr(places, "open_regular", lambda path, buffering: io.BufferedReader(Counting(path), buffering))
    assert open_source(path).size == 20
    assert 0 < count < 500_000  # of 20 MB


# --- shards


def test_a_folder_of_shards_is_their_union(tmp_path):
    shards = tmp_path / "shards"
    shards.mkdir()
    write(shards / "b.tar", [("1.png", png(3)), ("0.png", png(2)), ("0.json", b"{}")])
    write(shards / "a.zip", [("9.png", png(0)), ("x/9.png", png(1))])
    (shards / "c").mkdir()
    write(shards / "c/0.TAR", [("0.png", png(4))])
    (shards / "index.json").write_text("{}")
    source = open_source(shards)
    expected = ["a.zip/9.png", "a.zip/x/9.png", "b.tar/0.png", "b.tar/1.png", "c/0.TAR/0.png"]
    assert members(source) == expected
    equal(pixels(source), STACK[:5])
    assert source.size == 5
    assert source.notes == (
        f"{shards} has no image files but 3 archives: their images are used as one set",
        "1 of 5 images is in a subfolder; pytorch-fid would not count it",
    )
    chosen = sorted(np.random.RandomState(7).permutation(5)[:3])
    assert members(source, 3, 7) == [expected[index] for index in chosen]
    equal(pixels(source, 3, 7), STACK[chosen])
    assert members(open_source(shards, recursive=False)) == ["a.zip/9.png", "b.tar/0.png", "b.tar/1.png"]


def test_archives_beside_images_are_not_opened(tmp_path):
    (tmp_path / "a.png").write_bytes(PNG)
    for name in ("b.tar", "c.zip", "d.tar.gz", "e.gz"):
        (tmp_path / name).write_bytes(b"no archive")
    source = open_source(tmp_path)
    assert members(source) == ["a.png"]
    assert source.notes == ("3 archives next to the images, such as b.tar, were not opened",)


def test_shards_without_images_are_told(tmp_path):
    write(tmp_path / "a.tar", [("0.json", b"{}")])
    with pytest.raises(InputError, match=r"no images in .*a\.tar: looked for members ending in \.bmp, .*\.webp"):
        open_source(tmp_path / "a.tar")
    write(tmp_path / "b.tar", [])
    with pytest.raises(InputError, match=r"no images in the 2 archives in .*: looked for"):
        open_source(tmp_path)
    write(tmp_path / "c.zip", [("a.png", PNG)])
    assert open_source(tmp_path).notes[1:] == ("2 of 3 archives hold no images: a.tar, b.tar",)


def test_no_shard_is_left_out(tmp_path):
    write(tmp_path / "a.tar", [("0.png", PNG)])
    for name, message in (
        ("b.tar.gz", "b.tar.gz: it is not packed by gzip"),
        ("b.rar", "b.rar is an archive of a kind"),
    ):
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(InputError, match=message):
            open_source(tmp_path)
        (tmp_path / name).unlink()
    (tmp_path / "b.zip").write_bytes(b"x")
    with pytest.raises(InputError, match=r"cannot read the archive .*b\.zip"):
        open_source(tmp_path)


# --- unusual members


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_of_a_repeated_name_counts(tmp_path, kind):
    path = write(tmp_path / f"a.{kind}", [(name, png(i)) for i, name in enumerate(["a.png", "b.png"] * 2)])
    source = open_source(path)
    assert source.notes == ("2 names occur more than once in an archive; the last of each counts, as if unpacked",)
    equal(pixels(source), STACK[2:4])
    equal(pixels(source), pixels(open_source(unpack(path, tmp_path / "folder"))))


@pytest.mark.parametrize("kind", KINDS)
def test_what_macos_adds_is_left_out(tmp_path, kind):
    listing = [("a.png", PNG), ("__MACOSX/._a.png", b"x"), ("._b.png", b"x"), ("c/._d.jpg", b"x"), ("._e.txt", b"x")]
    source = open_source(write(tmp_path / f"a.{kind}", listing))
    assert members(source) == ["a.png"]
    assert source.notes == ("3 files that macOS adds to archives (__MACOSX, ._*) were left out",)


@pytest.mark.parametrize("kind", KINDS)
def test_odd_names(tmp_path, kind):
    listing = [("./a.png", 0), ("/abs/b.png", 1), ("../c.png", 2), ("d//e.png", 3), ("x" * 300 + "/é図.png", 4)]
    source = open_source(write(tmp_path / f"a.{kind}", [(name, png(index)) for name, index in listing]))
    found = dict(zip(members(source), pixels(source), strict=True))
    assert list(found) == ["../c.png", "a.png", "abs/b.png", "d/e.png", "x" * 300 + "/é図.png"]
    equal(list(found.values()), STACK[[2, 0, 1, 3, 4]])
    folders = write(tmp_path / f"b.{kind}", [("a.png", PNG), ("z.txt", b"")])
    if kind == "zip":
        with zipfile.ZipFile(folders, "a") as archive:
            archive.writestr("dir.png/", b"")
    else:
        folder = tarfile.TarInfo("dir.png/")
        folder.type = tarfile.DIRTYPE
        write_tar(folders, [(folder, b""), ("a.png", PNG)])
    assert members(open_source(folders)) == ["a.png"]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_format_of_tar(tmp_path, form):
    long = "d" * 60 + "/" + "e" * 60 + "/"
    listing = [(f"{long}{index}.png", png(index)) for index in range(3)]
    if form != tarfile.USTAR_FORMAT:
        listing.append(("z" * 300 + ".png", png(3)))
    source = open_source(write_tar(tmp_path / "a.tar", listing, form))
    assert members(source) == [name for name, _ in listing]
    equal(pixels(source), STACK[: len(listing)])


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_that_are_not_utf8(tmp_path, form):
    name = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    path = write_tar(tmp_path / "a.tar", [(name, PNG), ("bad" + name, b"x")], form)
    bad, good = read_items(open_source(path))
    assert os.fsencode(good.name) == os.fsencode(path) + b"/caf\xe9.png"
    good.load()
    with pytest.raises(ImageError) as caught:
        bad.load()
    assert name in str(caught.value)


def test_backslashes_are_separators_where_windows_wrote_them(tmp_path):
    def info(name, system):
        info = zipfile.ZipInfo(name)
        info.filename, info.create_system = name, system  # undo what zipfile does to names on Windows
        return info

    listing = [(info("d\\", 0), b""), (info("d\\e\\1.png", 0), png(1)), (info("d\\0.png", 0), png(0))]
    source = open_source(write_zip(tmp_path / "windows.zip", listing))
    assert members(source) == ["d/0.png", "d/e/1.png"]
    equal(pixels(source), STACK[:2])
    if os.sep == "/":
        path = write_zip(tmp_path / "unix.zip", [(info("d\\0.png", 3), PNG)])
        assert members(open_source(path, recursive=False)) == ["d\\0.png"]


def test_links_in_a_tar(tmp_path):
    listing = [
        ("data/0", png(0)),
        ("b.png", png(1)),
        link("hard.png", "./data/0", tarfile.LNKTYPE),
        link("c/soft.png", "../data/0"),
        link("c/chain.png", "soft.png"),
        link("c/up.png", "../b.png"),
        link("folder", "data"),
    ]
    path = write_tar(tmp_path / "a.tar", listing)
    source = open_source(path)
    assert members(source) == ["b.png", "c/chain.png", "c/soft.png", "c/up.png", "hard.png"]
    equal(pixels(source), STACK[[1, 0, 0, 1, 0]])
    equal(pixels(source), pixels(open_source(unpack(path, tmp_path / "folder"))))


def test_a_hard_link_keeps_the_file_that_had_the_name(tmp_path):
    """As GNU tar unpacks it; a symbolic link leads to what has the name in the end."""
    hard, soft = link("hard.png", "a.png", tarfile.LNKTYPE), link("soft.png", "a.png")
    source = open_source(write_tar(tmp_path / "a.tar", [("a.png", png(1)), hard, soft, ("a.png", png(2))]))
    equal(pixels(source), STACK[[2, 1, 2]])


@pytest.mark.parametrize(
    "member",
    [
        link("a.png", "gone.png"),
        link("a.png", "gone.png", tarfile.LNKTYPE),
        link("a.png", "/b.png"),
        link("a.png", "../b.png"),
        link("a.png", "a.png"),
        link("a.png", "a.png", tarfile.LNKTYPE),
        link("a.png", "c.png"),
    ],
    ids=lambda member: f"{member[0].type!r} {member[0].linkname}",
)
def test_a_link_to_nothing_is_a_bad_image(tmp_path, member):
    source = open_source(write_tar(tmp_path / "a.tar", [member, ("b.png", PNG), link("c.png", "a.png")]))
    assert source.size == 3
    for item in read_items(source):
        if item.name.endswith("b.png"):
            item.load()
        else:
            with pytest.raises(ImageError, match=rf"cannot read .*a\.tar/{Path(item.name).name}: it is a link to "):
                item.load()


def test_links_in_a_zip(tmp_path):
    def soft(name):
        info = zipfile.ZipInfo(name)
        info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        return info

    listing = [("data/0", png(5)), (soft("a.png"), b"data/0"), (soft("c/b.png"), b"../gone.png")]
    good, bad = read_items(open_source(write_zip(tmp_path / "a.zip", listing)))
    equal([good.load().pixels], STACK[5:6])
    with pytest.raises(ImageError, match=r"a link to \.\./gone\.png, which the archive does not hold"):
        bad.load()


def test_a_sparse_member(tmp_path):
    """As GNU tar writes it (format 1.0): the map of what is stored, padded to a block, precedes the data."""
    picture = Image.fromarray(np.zeros((128, 128, 3), np.uint8))
    buffer = io.BytesIO()
    picture.save(buffer, "BMP")
    image = buffer.getvalue()[:-1] + b"\x7f"
    last = len(image) - 1

    def sparse(name, pieces, data):
        info = tarfile.TarInfo(f"GNUSparseFile.0/{name}")
        info.pax_headers = {
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.name": name,
            "GNU.sparse.realsize": str(len(image)),
        }
        numbers = [len(pieces), *(number for piece in pieces for number in piece)]
        return info, "".join(f"{number}\n" for number in numbers).encode().ljust(512, b"\0") + data

    good = sparse("a.bmp", [(0, 512), (last, 1)], image[:512] + image[last:])
    outside = sparse("c.bmp", [(0, 512), (last, 1 << 20)], image[:512] + image[last:])
    short = sparse("d.bmp", [(0, last)], image[:512])
    source = open_source(write_tar(tmp_path / "a.tar", [good, ("b.png", PNG), outside, short]))
    assert members(source) == ["a.bmp", "b.png", "c.bmp", "d.bmp"]
    one, two, three, four = read_items(source)
    equal([one.load().pixels, two.load().pixels], [np.asarray(Image.open(io.BytesIO(image)).convert("RGB")), STACK[0]])
    assert np.flatnonzero(one.load().pixels).size == 1
    with pytest.raises(ImageError, match=r"a\.tar/c\.bmp: a piece of it, 1048576 bytes from byte 49205, lies outside"):
        three.load()
    with pytest.raises(ImageError, match=r"a\.tar/d\.bmp: the archive ends after \d+ of its 49205 bytes"):
        four.load()


def test_every_other_member_is_an_image_that_cannot_be_read(tmp_path):
    fifo = tarfile.TarInfo("a.png")
    fifo.type = tarfile.FIFOTYPE
    (item,) = read_items(open_source(write_tar(tmp_path / "a.tar", [(fifo, b"")])))
    with pytest.raises(ImageError, match=r"a\.tar/a\.png"):
        item.load()


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_every_compression_of_zip(tmp_path, compression):
    listing = [(zipfile.ZipInfo(f"{index}.png"), png(index)) for index in range(3)]
    for info, _ in listing:
        info.compress_type, info.extra = compression, struct.pack("<HH4s", 0x9999, 4, b"more")
    equal(pixels(open_source(write_zip(tmp_path / "a.zip", listing))), STACK[:3])


def test_a_zip_written_to_a_pipe_and_one_behind_other_bytes(tmp_path):
    class Pipe(io.BytesIO):
        def seekable(self):
            return False

        def tell(self):
            raise OSError("not seekable")

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for index in range(3):
            archive.writestr(f"{index}.png", png(index))
    for name, prefix in (("pipe.zip", b""), ("sfx.zip", b"MZ" + bytes(999))):
        (tmp_path / name).write_bytes(prefix + pipe.getvalue())
        equal(pixels(open_source(tmp_path / name)), STACK[:3])


# --- damage


def test_damaged_members_of_a_zip_are_bad_images(tmp_path):
    path = write_zip(tmp_path / "a.zip", [(f"{index}.png", png(index)) for index in range(8)])
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        directory = archive.start_dir
    data = bytearray(path.read_bytes())
    entries = [data.index(info.filename.encode(), directory) - 46 for info in infos]
    data[infos[1].header_offset + 30 + 5 + 40] ^= 1  # a bit of the contents
    data[entries[2] + 8] |= 1  # encrypted
    data[entries[3] + 10] = 97  # compressed in a way that zipfile does not know
    struct.pack_into("<II", data, entries[4] + 20, 1 << 20, 1 << 20)  # longer than the file
    data[infos[5].header_offset] = 0  # no header where it should be
    struct.pack_into("<I", data, entries[6] + 42, len(data) - 5)  # nor a whole one
    struct.pack_into("<I", data, entries[7] + 24, infos[7].file_size + 1)  # longer than it is
    path.write_bytes(data)
    good, *bad = read_items(open_source(path))
    good.load()
    causes = [
        "checksum",
        "it is encrypted; unpack",
        "not supported",
        "the archive ends before the end of its 1,048,576 bytes",
        "does not begin where",
        "does not begin where",
        "bytes are stored, not",
    ]
    for item, cause in zip(bad, causes, strict=True):
        with pytest.raises(ImageError, match=rf"cannot read .*a\.zip/{Path(item.name).name}: .*({cause})"):
            item.load()


@pytest.mark.filterwarnings("ignore:few-images:fastfid.FastFIDWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_bad_images_can_be_skipped(tmp_path, kind):
    path = write(tmp_path / f"a.{kind}", [("a.png", PNG), ("b.png", PNG[:50]), ("c.png", b""), ("d.png", png(1))])
    extractor = fastfid.Extractor("inception-v3-random", dims=64, batch_size=2)
    with pytest.raises(ImageError, match=rf"a\.{kind}/b\.png"):
        fastfid.statistics(path, model=extractor)
    with pytest.warns(fastfid.FastFIDWarning, match=rf"2 images left out: .*a\.{kind}/b\.png: .*a\.{kind}/c\.png: "):
        assert fastfid.statistics(path, model=extractor, on_error="skip").n == 2


def test_a_tar_is_never_read_short(tmp_path):
    """Cut at every place: refused, or whole members up to an end that might be the real one, with a note."""
    path = write_tar(tmp_path / "a.tar", [(f"{index}.png", png(index)) for index in range(4)], tarfile.PAX_FORMAT)
    data = path.read_bytes()
    with tarfile.open(path) as archive:
        ends = [0, *(info.offset_data + -(-info.size // 512) * 512 for info in archive)]
    for cut in sorted({*range(1, ends[-1] + 1024, 61), *ends, *(end + 1 for end in ends), *(end - 1 for end in ends)}):
        if cut <= 0:
            continue
        path.write_bytes(data[:cut])
        if cut > ends[-1]:
            assert open_source(path).size == 4
            assert open_source(path).notes == ()
        elif cut in ends:
            source = open_source(path)
            assert source.size == ends.index(cut)
            assert source.notes == ("a.tar lacks the mark at its end: if it was cut short there, images are missing",)
        else:
            with pytest.raises(InputError, match=r"cannot read the archive .*a\.tar: .*; get it again") as caught:
                open_source(path)
            assert not isinstance(caught.value, ImageError)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_damaged_header_is_no_end(tmp_path, form):
    long = "" if form == tarfile.USTAR_FORMAT else "é" * 90  # takes a header of its own
    path = write_tar(tmp_path / "a.tar", [(f"{long}{index}.png", png(index)) for index in range(4)], form)
    with tarfile.open(path) as archive:
        offsets = [offset for info in archive for offset in {info.offset, info.offset_data - 512}]
    data = path.read_bytes()
    for offset in offsets:
        damaged = bytearray(data)
        damaged[offset + 130] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"cannot read the archive .*a\.tar: "):
            open_source(path)


def test_headers_that_lead_in_a_circle(tmp_path):
    path = write_tar(tmp_path / "a.tar", [("a.png", PNG)])
    info = tarfile.TarInfo("b.png")
    info.size = -512  # its own header follows, for a Python that lets it pass
    path.write_bytes(path.read_bytes()[:1024] + info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(InputError, match=r"cannot read the archive .*a\.tar: "):
        open_source(path)


def test_tars_joined_by_cat(tmp_path):
    one, two = (write_tar(tmp_path / name, [("a.png", PNG)]) for name in ("1.tar", "2.tar"))
    (tmp_path / "both.tar").write_bytes(one.read_bytes() + two.read_bytes())
    with pytest.raises(InputError, match=r"both\.tar: more data follows its end.*tar -xif"):
        open_source(tmp_path / "both.tar")
    one.write_bytes(one.read_bytes() + bytes(5 << 20))  # padding, however much
    assert open_source(one).size == 1
    one, two = (write_zip(tmp_path / name, [("a.png", PNG)]) for name in ("1.zip", "2.zip"))
    (tmp_path / "both.zip").write_bytes(one.read_bytes() + two.read_bytes())
    with pytest.raises(InputError, match=r"both\.zip: its directory leaves out what precedes it"):
        open_source(tmp_path / "both.zip")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_archive(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    whole = write(path, [("a.png", PNG), ("b.png", PNG)]).read_bytes()
    for data in (b"", b"x", b"nothing of the kind" * 100, whole[: len(whole) // 8]):
        path.write_bytes(data)
        with pytest.raises(InputError, match=rf"cannot read the archive .*a\.{kind}: .*; get it again, or unpack"):
            open_source(path)


@given(st.data())
def test_damage_is_never_another_exception(data):
    kind = data.draw(st.sampled_from(KINDS))
    with tempfile.TemporaryDirectory() as temporary:
        listing = [("a.png", PNG), ("x" * 150 + ".png", PNG)]
        path = write(Path(temporary, f"a.{kind}"), listing + [link("l.png", "a.png")] * (kind == "tar"))
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(content)
        with contextlib.suppress(InputError):
            for item in read_items(open_source(path)):
                with contextlib.suppress(ImageError):
                    item.load()


@pytest.mark.parametrize("mode", ["gz", "bz2", "xz"])
def test_compressed_tars_that_are_named_tar(tmp_path, mode):
    with tarfile.open(tmp_path / "a.tar", f"w:{mode}") as archive:
        archive.addfile(tarfile.TarInfo("a.png"))
    with pytest.raises(InputError, match=r"a.tar is a compressed tar, .*: decompress it \(gunzip"):
        open_source(tmp_path / "a.tar")


def test_a_member_named_like_compressed_data(tmp_path):
    assert open_source(write_tar(tmp_path / "a.tar", [("BZh91AY&SY.png", PNG)])).size == 1


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_that_changes_or_goes_ends_the_run(tmp_path, kind):
    path = write(tmp_path / f"a.{kind}", [("a.png", PNG), ("b.png", PNG)])
    first, second = read_items(open_source(path))
    first.load()
    write(path, [("a.png", PNG), ("b.png", PNG), ("c.png", PNG)])
    with pytest.raises(InputError, match=rf"the archive .*a\.{kind} has changed") as caught:
        second.load()
    assert not isinstance(caught.value, ImageError)  # on_error="skip" would skip that, image by image
    path.unlink()
    with pytest.raises(InputError, match=rf"cannot open the archive .*a\.{kind} again: No such file") as caught:
        second.load()
    assert not isinstance(caught.value, ImageError)


def test_opening_does_not_import_pil(tmp_path):
    write_tar(tmp_path / "a.tar", [("a.png", PNG)])
    write_zip(tmp_path / "b.zip", [("a.png", PNG)])
    code = "import sys, fastfid.sources as s; s.open_source(sys.argv[1]); print('PIL' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
