import itertools
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
from fastfid.images import ENDINGS
from fastfid.sources import Item, is_statistics_file, open_source

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
    assert names(source.items()) == [str(path) for path in expected]
    assert source.size == 5
    assert source.name == str(tmp_path)
    assert not source.arrays
    assert source.notes == (
        "3 of 5 images are in subfolders and 2 of 5 images have upper-case endings; pytorch-fid would not count them",
    )
    for path, image in zip(expected, pixels(source.items()), strict=True):
        np.testing.assert_array_equal(image, np.asarray(Image.open(path).convert("RGB")))


def test_folder_given_as_str_without_recursion(tmp_path):
    save(tmp_path / "a.png")
    save(tmp_path / "sub/b.png")
    (tmp_path / "link").symlink_to(tmp_path / "sub", target_is_directory=True)
    source = open_source(str(tmp_path), recursive=False)
    assert names(source.items()) == [str(tmp_path / "a.png")]
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
    assert names(source.items()) == [str(root / name) for name in ("file.png", "out/o.png", "z/real.png")]
    assert source.notes[1] == "2 links lead to folders that are counted already; each folder is read once"


def test_broken_link_is_an_image_that_cannot_be_read(tmp_path):
    save(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "gone.png")
    _, broken = open_source(tmp_path).items()
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
    good, bad = open_source(tmp_path).items()
    good.load()
    with pytest.raises(ImageError, match=r"b\.png"):
        bad.load()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone", r"gone does not exist: .*\.bmp"),
        ("gone.npy", "does not exist"),
        ("one.png", "one.png is a single image: give a folder"),
        ("two.JPG", "is a single image"),
        ("a.7z", "a.7z is an archive of a kind that is not read in place: unpack it"),
        ("a.RAR", "not read in place"),
        ("a.csv.gz", "a.csv.gz is of an unknown type: give a folder of images, a .zip or .tar of images"),
        ("a.csv", "a.csv is of an unknown type: give a folder"),
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


# --- arrays

shapes = st.sampled_from([(4, 5, 6, 3), (2, 3, 3, 1), (1, 5, 6), (4, 5, 6), (1, 1, 1, 3), (5, 2, 2)])
dtypes = st.sampled_from(["u1", "i1", "u2", ">u2", "i4", "i8", "u8"])


@given(shapes, dtypes, st.booleans(), st.integers(0, 2**16))
def test_arrays(shape, dtype, fortran, seed):
    array = np.random.RandomState(seed).randint(0, min(256, np.iinfo(dtype).max + 1), shape).astype(dtype)
    source = open_source(np.asfortranarray(array) if fortran else array)
    assert source.size == shape[0]
    assert source.arrays
    expect(pixels(source.items()), array)


BAD_ARRAYS = [
    (STACK.astype("f4"), r"dtype float32 .*\* 255"),
    (STACK > 3, "dtype bool"),
    (STACK.transpose(0, 3, 1, 2), r"shape \(9, 3, 6, 5\) .*x\.transpose\(0, 2, 3, 1\)"),
    (np.zeros((2, 5, 5, 4), "u1"), r"x\[\.\.\., :3\]"),
    (STACK[0], r"shape \(6, 5, 3\) looks like one image.*x\[\.\.\., None\]"),
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
    items = list(open_source(array).items())
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

    expect(pixels(open_source(Tensor()).items()), STACK)
    with pytest.raises(InputError, match="the array: a OnGPU that NumPy cannot read: can't convert cuda:0"):
        open_source(OnGPU())
    with pytest.raises(InputError, match="image 1 of the list: a OnGPU that NumPy cannot read"):
        list(open_source([STACK[0], OnGPU()]).items())


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
    assert source.arrays
    assert source.name == str(path)
    chosen = range(9) if limit is None else sorted(np.random.RandomState(3).permutation(9)[:limit])
    items = list(source.items(limit, 3))
    assert names(items) == [f"image {index} of {path}" for index in chosen]
    expect(pixels(items), array[chosen])
    expect(pixels(source.items()), array)  # a second time


def test_npz_takes_arr_0_or_the_only_array_of_images(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, labels=np.arange(9), STACK=STACK)
    expect(pixels(open_source(path).items()), STACK)
    np.savez(path, arr_0=STACK, arr_1=STACK + 1)
    expect(pixels(open_source(path).items()), STACK)
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
        pixels(open_source(path).items())


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
    takes = rf"a\.{kind}: its array of shape \(9, 6, 5, 3\) takes 810 bytes, but {810 + change:,} are there"
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
        count = sum(item.load()[0].any() for item in open_source(path).items(limit))
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
    assert source.arrays
    assert source.size == (9 if kind in (list, tuple, Dataset) else None)
    expect(pixels(source.items()), STACK)


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
    items = list(open_source(mixed).items())
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

    expect(pixels(list(open_source(arrays()).items())), STACK)
    frames = [Image.fromarray(image).quantize(8) for image in STACK[:3]]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with Image.open(tmp_path / "a.gif") as animation:
        found = pixels(list(open_source(ImageSequence.Iterator(animation)).items()))
        for image, frame in zip(found, ImageSequence.Iterator(animation), strict=True):
            np.testing.assert_array_equal(image, np.asarray(frame.convert("RGB")))
    assert not np.array_equal(found[0], found[2])


@pytest.mark.parametrize(
    ("element", "message"),
    [
        (None, "a NoneType is not an array, a PIL image or a path"),
        (b"a.png", "a bytes is not"),
        ((STACK[0], 3), r"a tuple is not .*\(image, label\) pairs"),
        ({"image": 1}, "a dict is not"),
        ("shards/0.tar", "shards/0.tar is an archive, not an image: put all archives into one folder"),
        (Path("a.ZIP"), "a.ZIP is an archive"),
        (STACK[0] / 255, "dtype float64"),
        (STACK[0].transpose(2, 0, 1), r"shape \(3, 6, 5\)"),
        (STACK, "this is a batch"),
        (STACK[0].astype(int) - 300, "the value -"),
    ],
)
def test_bad_element_is_named(element, message):
    items = open_source(itertools.chain([STACK[0]] * 17, [element])).items()
    for _ in range(17):
        next(items)
    with pytest.raises(InputError, match="image 17 of the chain: .*" + message):
        next(items)


def test_bad_pil_image_and_path_are_found_when_loaded(tmp_path):
    path = save(tmp_path / "a.png")
    path.write_bytes(path.read_bytes()[:-60])
    with Image.open(path) as image:
        items = list(open_source([image, path, STACK[0]]).items())
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

    items = open_source(images()).items()
    next(items)
    with pytest.raises(KeyError) as caught:
        next(items)
    assert caught.value is problem


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (3, "a int cannot be scored: give a folder"),
        (None, "a NoneType cannot"),
        ({"a": 1}, "a dict cannot"),
        ({1, 2}, "a set cannot"),
        (b"folder", "a bytes cannot"),
        (Image.new("RGB", (2, 2)), "one image cannot"),
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
        found = pixels(open_source(source).items(limit, seed))
        assert [image[0, 0, 0] for image in found] == expected


def test_subset_is_frozen():
    source = open_source(np.arange(20, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8))
    assert [image[0, 0, 0] for image in pixels(source.items(5, seed=0))] == [1, 8, 10, 18, 19]


def test_limit_of_a_folder(tmp_path):
    for index in range(9):
        save(tmp_path / f"{index}.png", index)
    chosen = sorted(np.random.RandomState(4).permutation(9)[:3])
    assert names(open_source(tmp_path).items(3, 4)) == [str(tmp_path / f"{index}.png") for index in chosen]


def test_only_chosen_elements_are_asked_for():
    dataset = Dataset(list(STACK))
    assert len(list(open_source(dataset).items(3, 1))) == 3
    assert dataset.asked == sorted(np.random.RandomState(1).permutation(9)[:3])


@pytest.mark.parametrize("limit", [1, 0, -3])
def test_limit_below_two(limit):
    with pytest.raises(InputError, match=f"limit must be at least 2, got {limit}"):
        open_source(STACK).items(limit)  # at once, before the first image is asked for


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seed_out_of_range(seed):
    with pytest.raises(InputError, match=f"seed must be between 0 and 4294967295, got {seed}"):
        open_source(STACK).items(2, seed)


def test_limit_needs_a_size():
    with pytest.raises(InputError, match=r"limit=4 .*a generator does not say: .*itertools\.islice\(images, 4\)"):
        open_source(image for image in STACK).items(4)


def test_item_is_frozen():
    item = Item("a", lambda: (STACK[0], ()))
    with pytest.raises(AttributeError):
        item.name = "b"  # type: ignore[misc]
