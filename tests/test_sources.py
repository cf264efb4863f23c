"""Folders, arrays, files of arrays and iterables as sources; endings, limit and seed."""

import io
import itertools
import os
import pickle
import re
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from fastfid.errors import ImageError, InputError
from fastfid.images.decode import ENDINGS
from fastfid.sources import Item, is_statistics_file, open_source
from fastfid.sources.pieces import read_items

RNG = np.random.RandomState(11)
STACK = RNG.randint(0, 256, (9, 6, 5, 3), dtype=np.uint8)


def pixels(items):
    return [item.load()[0] for item in items]


def names(items):
    return [item.name for item in items]


def expect(found, stack):
    """Compare a list of loaded images with an (N, H, W, 3), (N, H, W, 1) or (N, H, W) array."""
    stack = stack[..., None] if stack.ndim == 3 else stack
    np.testing.assert_array_equal(np.stack(found), np.broadcast_to(stack, (*stack.shape[:3], 3)))
    assert all(image.dtype == np.uint8 and image.flags.c_contiguous for image in found)


def save(path, index=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(STACK[index]).save(path, format=None if path.suffix[1:].lower() in ENDINGS else "PNG")
    return path


class Dataset:
    """Like torch's: no __iter__, and no IndexError at the end."""

    def __init__(self, images):
        self.images, self.asked = images, []

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        self.asked.append(index)
        return self.images[index % len(self.images)]


# --- folders


def test_folder_is_sorted_and_recursive(tmp_path):
    for index, name in enumerate(["b.png", "a.PNG", "c/z.jpg", "c/d/y.Tiff", "a b/图像.webp"]):
        save(tmp_path / name, index)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "png").write_text("x")
    source = open_source(tmp_path)
    expected = sorted(path for path in tmp_path.rglob("*.*") if path.suffix != ".txt")
    assert names(read_items(source)) == [str(path) for path in expected]
    assert source.size == 5
    assert source.name == str(tmp_path)
    assert source.files
    assert source.notes == (
        "3 of 5 images are in subfolders and 2 of 5 images have upper-case endings; pytorch-fid would not count them",
    )
    for path, image in zip(expected, pixels(read_items(source)), strict=True):
        np.testing.assert_array_equal(image, np.asarray(Image.open(path).convert("RGB")))


def test_folder_given_as_str_without_recursion(tmp_path):
    save(tmp_path / "a.png")
    save(tmp_path / "sub/b.png")
    (tmp_path / "link").symlink_to(tmp_path / "sub", target_is_directory=True)
    source = open_source(str(tmp_path), recursive=False)
    assert names(read_items(source)) == [str(tmp_path / "a.png")]
    assert source.notes == ()


@pytest.mark.parametrize("ending", sorted(ENDINGS))
def test_every_ending_counts(tmp_path, ending):
    save(tmp_path / f"a.{ending}")
    assert open_source(tmp_path).size == 1


def test_links_are_followed_and_each_folder_is_read_once(tmp_path):
    outside = save(tmp_path / "outside/o.png").parent
    root = save(tmp_path / "root/z/real.png").parent.parent
    (root / "a").symlink_to(root / "z", target_is_directory=True)  # sorts first, yet the real place gives the name
    (root / "z/up").symlink_to(root, target_is_directory=True)
    (root / "out").symlink_to(outside, target_is_directory=True)
    (root / "self").symlink_to("self")
    (root / "file.png").symlink_to(outside / "o.png")
    source = open_source(root)
    assert names(read_items(source)) == [str(root / name) for name in ("file.png", "out/o.png", "z/real.png")]
    assert source.notes[1] == "2 links to folders that are counted already; each folder is read once"


def test_broken_link_is_an_image_that_cannot_be_read(tmp_path):
    save(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "gone.png")
    _, broken = read_items(open_source(tmp_path))
    with pytest.raises(ImageError, match=r"b\.png: No such file"):
        broken.load()


@pytest.mark.parametrize("recursive", [True, False])
def test_folder_without_images(tmp_path, recursive):
    (tmp_path / "a.gif").write_text("x")
    with pytest.raises(InputError, match=r"no images in .*\.bmp, \.jpeg, \.jpg, .*\.webp") as caught:
        open_source(tmp_path, recursive=recursive)
    assert str(tmp_path) in str(caught.value)
    assert ("not searched" in str(caught.value)) is not recursive


def test_corrupt_file_is_found_when_loaded(tmp_path):
    save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"x")
    good, bad = read_items(open_source(tmp_path))
    good.load()
    with pytest.raises(ImageError, match=r"b\.png"):
        bad.load()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone", r"gone does not exist: .*\.tar\.gz.*\.parquet.*\.csv.*, or a pattern of any of these$"),
        ("gone.npy", "does not exist"),
        ("one.png", "one.png is a single image: give a folder"),
        ("two.JPG", "is a single image"),
        ("a.7z", "a.7z is an archive of a kind that cannot be read: unpack it"),
        ("a.RAR", "kind that cannot be read"),
        ("a.csv.gz", "a.csv.gz is of an unknown type: give a folder of images, a .zip or .tar of images"),
        ("a.docx", "a.docx is of an unknown type: give a folder"),
        ("a.npy", r"cannot read .*a\.npy: "),
        ("a.npz", r"cannot read .*a\.npz: "),
    ],
)
def test_files_that_are_refused(tmp_path, name, message):
    if "gone" not in name:
        (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match=message) as caught:
        open_source(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_a_fifo_in_a_folder_is_an_image_that_cannot_be_read(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("no FIFOs on this system")
    save(tmp_path / "a.png")
    os.mkfifo(tmp_path / "b.png")
    good, bad = read_items(open_source(tmp_path))
    good.load()
    with pytest.raises(ImageError, match=r"b\.png: it is a FIFO, not a regular file"):
        bad.load()


def test_names_are_sorted_as_pathlib_sorts(tmp_path):
    for name in ("b-c.png", "b/a.png", "b.png", "b/a/z.png", "B.png", "b/a-a.png"):
        save(tmp_path / name)
    assert names(read_items(open_source(tmp_path))) == [str(path) for path in sorted(tmp_path.rglob("*.png"))]


def test_the_current_folder(tmp_path, monkeypatch):
    save(tmp_path / "a.png")
    save(tmp_path / "sub/b.png")
    monkeypatch.chdir(tmp_path)
    assert names(read_items(open_source("."))) == ["a.png", os.path.join("sub", "b.png")]  # noqa: PTH118
    assert open_source(".").notes == open_source(tmp_path).notes


def test_a_folder_takes_few_bytes_a_file(tmp_path):
    for index in range(2000):
        (tmp_path / f"{index:08}.png").touch()
    open_source(tmp_path)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        source = open_source(tmp_path)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert source.size == 2000
    assert (after - before) / 2000 < 90


# --- endings


def test_exactly_the_files_of_pytorch_fid(tmp_path):
    kept = [f"a.{ending}" for ending in sorted(ENDINGS)] + [".png", "b.c.png"]
    for name in [*kept, "UPPER.PNG", "Mixed.Jpg", "sub/a.png", "a.gif", "png", "a.png.txt"]:
        save(tmp_path / name)
    theirs = sorted(file for ending in ENDINGS for file in tmp_path.glob(f"*.{ending}"))  # its own line, but for N
    source = open_source(tmp_path, endings="pytorch-fid")
    assert names(read_items(source)) == [str(file) for file in theirs]
    assert sorted(file.name for file in theirs) == sorted(kept)
    assert source.notes == ()


@pytest.mark.parametrize("endings", ["png,jpg", " .PNG , *.jpg", ["png", "jpg"], {"PNG", ".jpg"}])
def test_chosen_endings_in_any_case(tmp_path, endings):
    for name in ("a.png", "b.JPG", "c.tiff", "sub/d.PNG", "e.jpeg"):
        save(tmp_path / name)
    found = names(read_items(open_source(tmp_path, endings=endings)))
    assert found == [str(tmp_path / name) for name in ("a.png", "b.JPG", os.path.join("sub", "d.PNG"))]  # noqa: PTH118


def test_endings_that_do_not_count_unless_asked_for(tmp_path):
    Image.fromarray(STACK[0]).save(tmp_path / "a.gif")
    assert open_source(tmp_path, endings="gif,png").size == 1
    with pytest.raises(InputError, match=r"looked for files ending in \.jpg, \.png, \.tar, \.zip, \.tar\.gz, "):
        open_source(tmp_path, endings="png,jpg")


@pytest.mark.parametrize("endings", ["png", "pytorch-fid"])
def test_npy_files_are_no_images_where_endings_are_given(tmp_path, endings):
    for name in "ab":
        np.save(tmp_path / name, STACK[0])
    with pytest.raises(
        InputError, match=r"no images in .*: looked for files ending in .*\.png.*, \.tar, \.zip, .* or \.ipc$"
    ):
        open_source(tmp_path, endings=endings)


@pytest.mark.parametrize("recursive", [True, False])
def test_endings_in_an_archive(tmp_path, recursive):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("a.png", "B.PNG", "c.bmp", "sub/d.png"):
            archive.writestr(name, encoded(0))
    path = tmp_path / "a.zip"
    assert open_source(path, recursive=recursive, endings="png").size == 2 + recursive
    assert open_source(path, recursive=recursive, endings="pytorch-fid").size == 2
    with pytest.raises(InputError, match=r"no images in .*a\.zip.*: looked for members ending in \.tif"):
        open_source(path, recursive=recursive, endings="tif")


@pytest.mark.parametrize(
    ("endings", "named"),
    [
        ("jpge", "'jpge'"),
        ("png,", "''"),
        ("", "''"),
        ((), r"\(\)"),
        ("png,exe", "'exe'"),
        (3, "3"),
        ([b"png"], "b'png'"),
        (np.array(["exe", "png"]), "'exe'"),
    ],
)
def test_endings_that_are_refused_by_name(tmp_path, endings, named):
    for source in (tmp_path, STACK):
        with pytest.raises(InputError, match=f"endings.*{named}"):
            open_source(source, endings=endings)


# --- folders of .npy files


def test_a_folder_of_npy_files_is_a_set_of_images(tmp_path):
    for index, name in enumerate(["b.npy", "a.NPY", "sub/c.npy"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        with (tmp_path / name).open("wb") as file:
            np.save(file, np.asfortranarray(STACK[index]) if index else STACK[index].astype(np.int64))
    source = open_source(tmp_path)
    assert source.notes == (f"{tmp_path} has no image files but 3 .npy files: each is read as one image",)
    assert names(read_items(source)) == [str(tmp_path / name) for name in ("a.NPY", "b.npy", "sub/c.npy")]
    expect(pixels(read_items(source)), STACK[[1, 0, 2]])
    assert source.files
    assert source.size == 3
    save(tmp_path / "x.png")
    assert names(read_items(open_source(tmp_path))) == [str(tmp_path / "x.png")]


@pytest.mark.parametrize(
    ("array", "error", "message"),
    [
        (STACK, InputError, r"shape \(9, 6, 5, 3\) is a set of images.*give this file itself"),
        (STACK[0] / 255, InputError, r"dtype float64 .*\* 255"),
        (np.zeros(64, np.float32), InputError, "frechet_distance_from_features"),
        (np.array([print], dtype=object), ImageError, "cannot decode .*dtype object are not read"),
    ],
)
def test_other_npy_files_in_a_folder_say_what_to_do(tmp_path, array, error, message):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    (item,) = read_items(open_source(tmp_path))
    with pytest.raises(error, match=rf"a\.npy.*{message}|cannot decode .*a\.npy.*") as caught:
        item.load()
    assert re.search(message, str(caught.value))
    assert type(caught.value) is error


# --- arrays

shapes = st.sampled_from([(4, 5, 6, 3), (2, 3, 3, 1), (1, 5, 6), (4, 5, 6), (1, 1, 1, 3), (5, 2, 2)])
dtypes = st.sampled_from(["u1", "i1", "u2", ">u2", "i4", "i8", "u8"])


@given(shapes, dtypes, st.booleans(), st.integers(0, 2**16))
def test_arrays(shape, dtype, fortran, seed):
    array = np.random.RandomState(seed).randint(0, min(256, np.iinfo(dtype).max + 1), shape).astype(dtype)
    source = open_source(np.asfortranarray(array) if fortran else array)
    assert source.size == shape[0]
    assert not source.files
    expect(pixels(read_items(source)), array)


BAD_ARRAYS = [
    (STACK.astype("f4"), r"dtype float32 is not accepted.*round\(\)"),
    (STACK > 3, "dtype bool"),
    (np.zeros((2, 5, 5, 4), "u1"), r"x\[\.\.\., :3\]"),
    (STACK[0], r"shape \(6, 5, 3\) looks like one image.*x\[\.\.\., None\]"),
    (
        STACK[0].transpose(2, 0, 1),
        r"shape \(3, 6, 5\) looks like one image with its channels first.*\(1, 2, 0\)\[None\].*x\[\.\.\., None\]",
    ),
    (np.zeros((2, 65536, 1, 3), "u1"), "has a side longer than 65535 pixels"),
    (
        np.zeros((9, 64), "f4"),
        r"float32 of shape \(9, 64\) cannot be images.*frechet_distance_from_features\(x, y\).*update",
    ),
    (STACK / 127.5 - 1, r"\[-1, 1\] with \(\(x \+ 1\) \* 127\.5\)\.round\(\)"),
    (np.zeros((8, 8, 4), "u1"), "looks like one image"),
    (np.zeros((8, 8), "u1"), r"shape \(8, 8\) is not \(N, H, W, 3\)"),
    (np.zeros((0, 8, 8, 3), "u1"), "holds no pixels"),
]


@pytest.mark.parametrize(
    ("array", "message"), [*BAD_ARRAYS, (np.array([None, 1]), "dtype object"), (np.int64(3), r"shape \(\) is not")]
)
def test_arrays_that_are_refused_at_once(array, message):
    with pytest.raises(InputError, match=message):
        open_source(array)


@pytest.mark.parametrize("suffix", ["npy", "npz"])
@pytest.mark.parametrize(("array", "message"), BAD_ARRAYS)
def test_files_of_bad_arrays_are_refused_at_once(tmp_path, suffix, array, message):
    path = tmp_path / f"a.{suffix}"
    (np.save if suffix == "npy" else np.savez)(path, array)
    if array.ndim == 2 or not array.size:
        message = "a.np"
    with pytest.raises(InputError, match=message) as caught:
        open_source(path)
    assert str(path) in str(caught.value)


def test_value_out_of_range_is_found_when_loaded():
    array = STACK.astype(int)
    array[4, 2, 2, 1] = 256
    items = list(read_items(open_source(array)))
    items[3].load()
    with pytest.raises(InputError, match="image 4 of the array: the value 256"):
        items[4].load()


def test_things_that_become_arrays():
    class Tensor:
        def __array__(self, dtype=None, copy=None):
            return STACK.copy()

    class OnGPU:
        def __array__(self, dtype=None, copy=None):
            raise TypeError("can't convert cuda:0 device type tensor to numpy")

    class Broken:
        def __array__(self, dtype=None, copy=None):
            raise KeyError("storage")

    with pytest.raises(InputError, match="a Broken that NumPy cannot read: 'storage'"):
        open_source(Broken())
    expect(pixels(read_items(open_source(Tensor()))), STACK)
    with pytest.raises(InputError, match="the array: an OnGPU that NumPy cannot read: can't convert cuda:0") as caught:
        open_source(OnGPU())
    assert str(caught.value).endswith("; for a torch tensor give x.detach().cpu(), and x.float() if it is bfloat16")
    with pytest.raises(InputError, match="image 1 of the list: an OnGPU that NumPy cannot read"):
        list(read_items(open_source([STACK[0], OnGPU()])))


# --- files of arrays


@pytest.mark.parametrize("limit", [None, 2, 5, 9, 100])
@pytest.mark.parametrize("kind", ["npy", "npz", "compressed", "fortran"])
@pytest.mark.parametrize(
    "array", [STACK, STACK[..., :1], STACK[..., 0], STACK.astype(">i4")], ids=["rgb", "one channel", "grey", "int32"]
)
def test_files_equal_numpy(tmp_path, kind, limit, array):
    path = tmp_path / ("a.npy" if kind == "npy" else "a.npz")
    array = np.asfortranarray(array) if kind == "fortran" else array
    (np.save if kind == "npy" else np.savez_compressed if kind == "compressed" else np.savez)(path, array)
    source = open_source(path)
    assert source.size == 9
    assert not source.files
    assert source.name == str(path)
    chosen = range(9) if limit is None else sorted(np.random.RandomState(3).permutation(9)[:limit])
    items = list(read_items(source, limit, 3))
    assert names(items) == [f"image {index} of {path}" for index in chosen]
    expect(pixels(items), array[chosen])
    expect(pixels(read_items(source)), array)  # a second time


def test_npz_takes_arr_0_or_the_only_array_of_images(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, labels=np.arange(9), STACK=STACK)
    expect(pixels(read_items(open_source(path))), STACK)
    np.savez(path, arr_0=STACK, arr_1=STACK + 1)
    expect(pixels(read_items(open_source(path))), STACK)
    np.savez(path, one=STACK, two=STACK)
    with pytest.raises(InputError, match=r"Name it arr_0; it holds one \(9, 6, 5, 3\), two \(9, 6, 5, 3\)"):
        open_source(path)
    np.savez(path, labels=np.arange(9))
    with pytest.raises(InputError, match=r"it holds labels \(9,\)"):
        open_source(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "x")
    with pytest.raises(InputError, match="it holds no arrays"):
        open_source(path)


def test_no_pickle_is_read(tmp_path):
    objects = np.array([print, print], dtype=object)
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "a.npz", objects)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(InputError, match=r"a\.np"):
            open_source(tmp_path / name)


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_damaged_npz_names_itself(tmp_path, write):
    path = tmp_path / "a.npz"
    write(path, STACK)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"cannot read .*a\.npz"):
        pixels(read_items(open_source(path)))


@pytest.mark.parametrize("change", [-100, -1, 1, 810])
@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_an_array_of_another_size_than_its_header_says(tmp_path, kind, change):
    path = tmp_path / f"a.{kind}"
    np.save(tmp_path / "a.npy", STACK)
    data = (tmp_path / "a.npy").read_bytes()
    data = data[:change] if change < 0 else data + bytes(change)  # as where several arrays are saved into one file
    if kind == "npy":
        path.write_bytes(data)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("arr_0.npy", data)
    takes = rf"a\.{kind}: its array of shape \(9, 6, 5, 3\) takes 810 bytes, but it has {810 + change:,}"
    with pytest.raises(InputError, match=takes):
        open_source(path)


@pytest.mark.parametrize("limit", [None, 3])
@pytest.mark.parametrize("kind", ["npy", "npz", "compressed"])
def test_memory_does_not_grow_with_n(tmp_path, kind, limit):
    path = tmp_path / ("a.npy" if kind == "npy" else "a.npz")
    array = np.random.RandomState(0).randint(0, 16, (400, 64, 64, 3), dtype=np.uint8)
    (np.save if kind == "npy" else np.savez_compressed if kind == "compressed" else np.savez)(path, array)
    open_source(STACK)  # whatever is imported on first use
    tracemalloc.start()
    try:
        count = sum(item.load()[0].any() for item in read_items(open_source(path), limit))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == (limit or 400)
    assert peak < array.nbytes / 10


def test_is_statistics_file(tmp_path):
    both, images, broken = (tmp_path / name for name in ("both.NPZ", "images.npz", "broken.npz"))
    with both.open("wb") as file:
        np.savez(file, mu=np.zeros(3), sigma=np.eye(3), arr_0=STACK)
    np.savez(images, STACK, mu=np.zeros(3))
    broken.write_bytes(b"x")
    assert is_statistics_file(both)
    assert is_statistics_file(str(both))
    assert not is_statistics_file(images)
    assert not is_statistics_file(tmp_path)
    assert not is_statistics_file(tmp_path / "gone.npz")
    assert not is_statistics_file(save(tmp_path / "a.png"))
    with pytest.raises(InputError, match=r"cannot read .*broken\.npz"):
        is_statistics_file(broken)


# --- iterables


@pytest.mark.parametrize("kind", [list, tuple, iter, Dataset, lambda images: (image for image in images)])
def test_iterables_of_arrays(kind):
    source = open_source(kind(list(STACK)))
    assert not source.files
    assert source.size == (9 if kind in (list, tuple, Dataset) else None)
    expect(pixels(read_items(source)), STACK)


def test_iterable_of_everything(tmp_path):
    path = save(tmp_path / "a.png", 2)
    mixed = [
        STACK[0],
        Image.fromarray(STACK[1]),
        path,
        str(path),
        STACK[3][..., 0],
        Image.open(path),
        STACK[4].astype(int),
    ]
    items = list(read_items(open_source(mixed)))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda item: item.load()[0], items))
    grey = np.repeat(STACK[3][..., :1], 3, axis=2)
    for image, expected in zip(found, [STACK[0], STACK[1], STACK[2], STACK[2], grey, STACK[2], STACK[4]], strict=True):
        np.testing.assert_array_equal(image, expected)
    assert names(items)[1:3] == ["image 1 of the list", str(path)]


def test_a_reused_buffer_is_copied(tmp_path):
    def arrays():
        buffer = np.empty_like(STACK[0])
        for image in STACK:
            buffer[:] = image
            yield buffer

    expect(pixels(list(read_items(open_source(arrays())))), STACK)
    frames = [Image.fromarray(image).quantize(8) for image in STACK[:3]]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with Image.open(tmp_path / "a.gif") as animation:
        found = pixels(list(read_items(open_source(ImageSequence.Iterator(animation)))))
        for image, frame in zip(found, ImageSequence.Iterator(animation), strict=True):
            np.testing.assert_array_equal(image, np.asarray(frame.convert("RGB")))
    assert not np.array_equal(found[0], found[2])


@pytest.mark.parametrize(
    ("element", "message"),
    [
        (None, "a NoneType is not an array, a PIL image or a path"),
        ({"bytes": None, "path": None}, "a NoneType is not"),
        ({"bytes": {}, "path": None}, "a dict is not"),
        (io.StringIO("text"), "the file is open as text; open it with mode 'rb'"),
        (("cat", 3), r"a tuple is not .*holds no image: it has '0', '1'"),
        ({"image": 1}, "a dict is not"),
        ("shards/0.tar", "shards/0.tar is an archive, not an image: put all archives into one folder"),
        (Path("a.ZIP"), "a.ZIP is an archive"),
        (STACK[0] / 255, "dtype float64"),
        (STACK[..., 0], r"shape \(9, 6, 5\)"),
        (STACK[0].astype(int) - 300, "the value -"),
    ],
)
def test_bad_element_is_named(element, message):
    items = read_items(open_source(itertools.chain([STACK[0]] * 17, [element])))
    for _ in range(17):
        next(items)
    with pytest.raises(InputError, match="image 17 of the chain: .*" + message):
        next(items)


def encoded(index, ending="PNG"):
    file = io.BytesIO()
    Image.fromarray(STACK[index]).save(file, ending)
    return file.getvalue()


def test_files_and_their_bytes_are_elements(tmp_path):
    path = save(tmp_path / "a.png", 6)
    stood = io.BytesIO(encoded(3))
    stood.seek(0, os.SEEK_END)  # as after writing it
    with path.open("rb") as opened:
        elements = [
            encoded(0),
            bytearray(encoded(1)),
            memoryview(encoded(2)),
            stood,
            {"bytes": encoded(4), "path": None},
            {"bytes": encoded(5), "path": "train/5.png"},
            {"bytes": None, "path": str(path)},
            {"path": path},
            opened,
        ]
        items = list(read_items(open_source(elements)))
    expect(pixels(items), STACK[[0, 1, 2, 3, 4, 5, 6, 6, 6]])
    assert names(items)[4:8] == ["image 4 of the list", "image 5 of the list (train/5.png)", str(path), str(path)]
    again = pickle.loads(pickle.dumps(items))
    expect(pixels(again), STACK[[0, 1, 2, 3, 4, 5, 6, 6, 6]])
    assert all(item.load().encoding == "PNG" for item in items)


def test_a_reused_file_is_copied_and_decoded_later(monkeypatch):
    from fastfid.sources import element as elements

    decoded = []
    original = elements.decode
    monkeypatch.setattr(elements, "decode", lambda data, name: decoded.append(name) or original(data, name))

    def files():
        buffer = io.BytesIO()
        for index in range(9):
            buffer.seek(0)
            buffer.truncate()
            buffer.write(encoded(index))
            yield buffer

    items = list(read_items(open_source(files())))
    assert not decoded
    expect(pixels(items), STACK)
    assert len(decoded) == 9


def test_items_of_arrays_and_pil_images_can_be_pickled():
    items = list(read_items(open_source([STACK[0], Image.fromarray(STACK[1])])))
    expect(pixels(pickle.loads(pickle.dumps(items))), STACK[:2])


@pytest.mark.parametrize("make", [bytes, bytearray, io.BytesIO, lambda data: {"bytes": data, "path": "a.png"}])
def test_damaged_bytes_are_image_errors_when_loaded(make):
    bad, good = read_items(open_source([make(encoded(0)[:-60]), STACK[0]]))
    with pytest.raises(ImageError, match="cannot decode image 0 of the list"):
        bad.load()
    good.load()


def test_a_file_that_cannot_be_read_is_an_image_error_when_loaded(monkeypatch):
    closed = io.BytesIO(encoded(0))
    closed.close()
    (item,) = read_items(open_source([closed]))
    with pytest.raises(ImageError, match="cannot read image 0 of the list: I/O operation on closed file"):
        item.load()
    monkeypatch.setattr("fastfid.sources.element.MOST_FILE_BYTES", 50)
    (item,) = read_items(open_source([io.BytesIO(encoded(0))]))
    with pytest.raises(ImageError, match="cannot read image 0 of the list: it has more than 50 bytes"):
        item.load()


@pytest.mark.parametrize("path", ["a\0.png", "a" * 5000 + ".png", "\ud800.png", b"gone.png", "~nouser/a.png"])
def test_paths_that_cannot_be_are_image_errors(path):
    class PathLike:
        def __fspath__(self):
            return path

    for element in [PathLike(), {"path": PathLike()}]:
        (item,) = read_items(open_source([element]))
        with pytest.raises(ImageError, match="cannot decode "):
            item.load()


@pytest.mark.parametrize("path", ["a\0", "a" * 5000, "a/" * 4000, "\ud800", "~nouser/x", "a\0.npy", "\ud800.zip"])
def test_sources_that_cannot_be_are_input_errors(path):
    for source in (path, Path(path)):
        with pytest.raises(InputError, match="does not exist|cannot open .*File name too long"):
            open_source(source)


def test_a_path_like_that_fails():
    class Bad:
        def __fspath__(self):
            raise OSError("gone away")

    with pytest.raises(InputError, match="gone away"):
        open_source(Bad())
    with pytest.raises(InputError, match="image 0 of the list: gone away"):
        list(read_items(open_source([Bad()])))


def test_bad_pil_image_and_path_are_found_when_loaded(tmp_path):
    path = save(tmp_path / "a.png")
    path.write_bytes(path.read_bytes()[:-60])
    with Image.open(path) as image:
        items = list(read_items(open_source([image, path, STACK[0]])))
    for item, name in zip(items, ["image 0 of the list", str(path)], strict=False):
        with pytest.raises(ImageError) as caught:
            item.load()
        assert name in str(caught.value)
    items[2].load()


def test_the_callers_exception_comes_through():
    problem = KeyError("mine")

    def images():
        yield STACK[0]
        raise problem

    items = read_items(open_source(images()))
    next(items)
    with pytest.raises(KeyError) as caught:
        next(items)
    assert caught.value is problem


def test_a_data_set_that_has_a_method_read_is_no_file():
    class Images:
        def __iter__(self):
            return iter(STACK)

        def read(self, index):
            return STACK[index]

    assert len(list(read_items(open_source(Images())))) == len(STACK)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (3, "an int cannot be scored: give a folder"),
        (None, "a NoneType cannot"),
        ({"a": 1}, "a dict cannot"),
        ({1, 2}, "a set cannot"),
        (b"folder", "a bytes cannot"),
        (Image.new("RGB", (2, 2)), "one image cannot"),
        (io.BytesIO(b"x"), "one open file cannot be scored: give a list of them"),
        ((np.zeros(4), np.eye(4)), r"from_moments\(mu, sigma\), .*frechet_distance\(mu1, sigma1, mu2, sigma2\)"),
        ([np.zeros(1), np.eye(1)], "mu and sigma are not images"),
        ([], "the list is empty"),
        ((), "the tuple is empty"),
    ],
)
def test_other_things_are_refused(source, message):
    with pytest.raises(InputError, match=message):
        open_source(source)


# --- limit


@given(st.integers(2, 40), st.integers(2, 50), st.integers(0, 2**32 - 1))
def test_limit_is_a_seeded_subset_in_order(size, limit, seed):
    array = np.arange(size, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), np.uint8)
    expected = sorted(np.random.RandomState(seed).permutation(size)[:limit])
    assert len(set(expected)) == min(limit, size)

    class Sized:  # iterated over, not indexed
        def __len__(self):
            return size

        def __iter__(self):
            return iter(array)

    for source in (array, list(array), Dataset(list(array)), Sized()):
        found = pixels(read_items(open_source(source), limit, seed))
        assert [image[0, 0, 0] for image in found] == expected


def test_subset_is_frozen():
    source = open_source(np.arange(20, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8))
    assert [image[0, 0, 0] for image in pixels(read_items(source, 5, seed=0))] == [1, 8, 10, 18, 19]


def test_limit_of_a_folder(tmp_path):
    for index in range(9):
        save(tmp_path / f"{index}.png", index)
    chosen = sorted(np.random.RandomState(4).permutation(9)[:3])
    assert names(read_items(open_source(tmp_path), 3, 4)) == [str(tmp_path / f"{index}.png") for index in chosen]


def test_only_chosen_elements_are_asked_for():
    dataset = Dataset(list(STACK))
    assert len(list(read_items(open_source(dataset), 3, 1))) == 3
    assert dataset.asked == sorted(np.random.RandomState(1).permutation(9)[:3])


@pytest.mark.parametrize("limit", [1, 0, -3])
def test_limit_below_two(limit):
    with pytest.raises(InputError, match=f"limit must be at least 2, got {limit}"):
        read_items(open_source(STACK), limit)  # at once, before the first image is asked for


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seed_out_of_range(seed):
    with pytest.raises(InputError, match=f"seed must be between 0 and 4294967295, got {seed}"):
        read_items(open_source(STACK), 2, seed)


def test_limit_needs_a_size():
    with pytest.raises(InputError, match=r"limit=4 .*a generator does not say: .*itertools\.islice\(images, 4\)"):
        read_items(open_source(image for image in STACK), 4)


def test_item_is_frozen():
    item = Item("a", lambda: (STACK[0], ()))
    with pytest.raises(AttributeError):
        item.name = "b"  # type: ignore[misc]
