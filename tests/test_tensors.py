"""Tensors, arrays of floats, and torch's kinds of data sets and loaders, without torch."""

import hashlib
import io
import itertools
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

import fastfid
from fastfid.errors import ImageError, InputError
from fastfid.files.reading import proof_of_file
from fastfid.images.quantise import OUTSIDE, Quantise
from fastfid.sources import open_source, read_items
from pictures import pictures

STACK = pictures(9, 8)
RANGES = [(-1.0, 1.0), (0.0, 1.0), (0.0, 255.0), (-2.5, 0.75)]
WAYS = ["round", "truncate", "edm"]


class Tensor:
    """What fastfid uses of a torch tensor; it refuses what torch refuses."""

    def __init__(self, array, dtype=None, device="cuda:0", grad=True):
        self.array, self.device, self.grad = np.asarray(array), device, grad
        self.dtype = dtype or f"torch.{self.array.dtype}"
        self.shape = self.array.shape

    def detach(self):
        return Tensor(self.array, self.dtype, self.device, False)

    def cpu(self):
        return Tensor(self.array, self.dtype, "cpu", self.grad)

    def float(self):
        return Tensor(self.array.astype(np.float32), None, self.device, self.grad)

    def __array__(self, dtype=None, copy=None):
        if self.device != "cpu" or self.grad or self.dtype.startswith("torch.bfloat16"):
            raise TypeError("Can't call numpy() on Tensor that requires grad")
        return self.array


class Map:
    """A torch Dataset: by index, with a length, and it raises no IndexError at its end."""

    def __init__(self, elements):
        self.elements = elements

    def __len__(self):
        return len(self.elements)

    def __getitem__(self, index):
        return self.elements[index % len(self.elements)]


class Loader:
    """A torch DataLoader: its len() is that of its batches."""

    def __init__(self, batches, batch_size):
        self.batches, self.batch_size = batches, batch_size

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        return iter(self.batches)


def pixels(source, **terms):
    return np.array([item.decode().pixels for item in read_items(open_source(source, **terms))])


def chw(images):
    return np.moveaxis(np.asarray(images), -1, -3)


# --- shapes


@pytest.mark.parametrize("kind", [np.asarray, Tensor], ids=["array", "tensor"])
@pytest.mark.parametrize("layout", [np.asarray, chw], ids=["last", "first"])
@pytest.mark.parametrize("colours", [3, 1])
def test_channels_first_or_last(kind, layout, colours):
    images = STACK[..., :colours]
    expected = np.broadcast_to(images, STACK.shape)
    given_ = layout(images)
    for source in (
        kind(given_),  # one array of all
        list(map(kind, given_)),  # one by one
        Map(list(map(kind, given_))),
        (kind(image) for image in given_),
        (kind(batch) for batch in np.split(given_, [4, 8])),  # by batches
        [kind(batch) for batch in np.split(given_, [4, 8])],
        Loader([kind(batch) for batch in np.split(given_, [4, 8])], 4),
    ):
        np.testing.assert_array_equal(pixels(source), expected)


def test_what_may_be_first_or_last_is_refused_of_tensors_and_last_of_arrays():
    for shape in ((3, 8, 3), (5, 3, 8, 1), (1, 8, 3)):
        with pytest.raises(InputError, match=r"may be first or last: give a NumPy array with the channels last"):
            pixels(iter([Tensor(np.zeros(shape, np.uint8))]))
    assert pixels([np.zeros((3, 8, 3), np.uint8)]).shape == (1, 3, 8, 3)
    with pytest.raises(InputError, match="the array: in shape"):
        open_source(Tensor(np.zeros((5, 3, 8, 3), np.uint8)))
    assert open_source(np.zeros((5, 3, 8, 3), np.uint8)).size == 5


def test_batches_of_grey_images_without_channels_are_refused():
    for batch in (STACK[..., 0], Tensor(STACK[..., 0])):
        with pytest.raises(InputError, match=r"shape \(9, 8, 8\) is not"):
            pixels(iter([batch]))
    with pytest.raises(InputError, match=r"shape \(3, 8, 8\) from a loader of batches of 3 may be one image or 3"):
        pixels(Loader([Tensor(STACK[:3, ..., 0])] * 3, 3))
    with pytest.raises(InputError, match=r"from a loader of batches of 3 may be one image or 3"):
        pixels(Loader([[STACK[:3, ..., 0], np.arange(3)]] * 3, 3))
    np.testing.assert_array_equal(pixels(Loader([Tensor(chw(STACK[0]))] * 3, 1)), STACK[[0, 0, 0]])


def test_the_number_of_a_loaders_images_is_unknown_and_that_of_single_ones_is_known():
    source = open_source(Loader([STACK[:4], STACK[4:8], STACK[8:]], 4))
    assert (source.size, source.ordered, source.exact) == (None, True, False)
    single = open_source(Loader(list(STACK), None))
    assert (single.size, single.ordered, single.exact) == (9, True, False)
    with pytest.raises(InputError, match=r"batch of 4 images, .* taken to hold single ones: give iter\(\.\.\.\) of it"):
        pixels(Loader([STACK[:4], STACK[4:8]], None))
    with pytest.raises(InputError, match="batch of 4 images"):
        pixels(Map([STACK[:4], STACK[4:8]]))
    assert open_source([STACK[:4]]).size is None


def test_images_of_batches_are_numbered_through():
    items = list(read_items(open_source(iter([STACK[:4], STACK[4], STACK[5:]]))))
    assert [item.name for item in items] == [f"image {index} of the list_iterator" for index in range(9)]


def test_a_reused_batch_is_copied():
    def batches(buffer, fill):
        for first in range(0, 9, 3):
            fill(buffer, STACK[first : first + 3])
            yield buffer

    for buffer, fill, terms in (
        (np.empty_like(STACK[:3]), np.copyto, {}),
        (np.empty((3, 8, 8, 3)), np.copyto, {"value_range": (0, 255), "quantise": "round"}),
    ):
        items = list(read_items(open_source(batches(buffer, fill), **terms)))
        np.testing.assert_array_equal([item.decode().pixels for item in items], STACK)


def test_a_data_set_is_read_at_random_and_pickled():
    source = open_source(Map([(chw(image), 7) for image in STACK]))
    assert (source.size, source.ordered, source.exact) == (9, False, True)
    for copy in (source, pickle.loads(pickle.dumps(source))):
        np.testing.assert_array_equal([item.decode().pixels for item in copy.read([2, 5])], STACK[[2, 5]])
        assert [copy.key_of(index) for index in (2, 5)] == ["2", "5"]


# --- pairs and mappings


def png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("pack", "key"),
    [
        (lambda image: (image, 3), None),
        (lambda image: (3, image), None),
        (lambda image: [image, np.int64(3), np.arange(5.0)], None),
        (lambda image: (image, image[::-1]), "0"),
        (lambda image: (image[::-1], image), "1"),
        (lambda image: {"image": image, "label": 3}, None),
        (lambda image: {"image": image, "mask": image[..., 0]}, "image"),
        (lambda image: {"x": Image.fromarray(image), "caption": "a cat.jpg or not", "id": b"12"}, None),
        (lambda image: (png(image), b"label"), None),
        (lambda image: {"__key__": "01", "__url__": "a.tar", "png": png(image), "json": b"{}", "txt": b"P"}, None),
        (lambda image: {"image": {"bytes": png(image), "path": None}, "label": 3}, None),
        (lambda image: (io.BytesIO(png(image)), None), None),
        (lambda image: {3: image, 4: image[::-1]}, "3"),
    ],
)
def test_the_image_of_a_pair_or_mapping(pack, key):
    np.testing.assert_array_equal(pixels(map(pack, STACK), image_key=key), STACK)
    np.testing.assert_array_equal(pixels(list(map(pack, STACK)), image_key=key), STACK)


@pytest.mark.parametrize("names", [("images", "labels"), (0, 1)])
def test_batches_of_pairs(names):
    batches = [dict(zip(names, (Tensor(chw(STACK[i : i + 4])), Tensor(np.arange(4))), strict=True)) for i in (0, 4, 8)]
    np.testing.assert_array_equal(pixels(Loader(batches, 4)), STACK)
    np.testing.assert_array_equal(pixels(Loader([list(batch.values()) for batch in batches], 4)), STACK)
    np.testing.assert_array_equal(pixels(batches), STACK)


@pytest.mark.parametrize(
    ("element", "key", "message"),
    [
        ((STACK[0], STACK[1]), None, "which one is the image? Give image_key, one of '0', '1'"),
        ((STACK[0], STACK[0, ..., 0], 3), None, "which one is the image? Give image_key, one of '0', '1'"),
        ((STACK, np.zeros((9, 100))), None, "which one is the image? Give image_key, one of '0', '1'"),
        ({"a": STACK[0], "b": png(STACK[0])}, None, "Give image_key, one of 'a', 'b'"),
        ({"a": STACK[0]}, "image", "a dict has no 'image': it has 'a'"),
        ((STACK[0], 3), "2", "a tuple has no '2': it has '0', '1'"),
        ((3, "cat"), None, "holds no image: it has '0', '1'"),
        ([[1, 2], [3, 4]], None, "a list is not an array"),
        ((), None, "holds no image: it has nothing"),
        ((3, STACK[0]), "0", "an int is not an array"),
        ({f"k{i}": STACK[0] for i in range(99)}, None, "'k19' and 79 more"),
    ],
)
def test_what_is_not_clear_is_refused(element, key, message):
    with pytest.raises(InputError, match="image 1 of the chain: ") as caught:
        pixels(itertools.chain([STACK[0]], [element]), image_key=key)
    assert message in str(caught.value)


def test_a_damaged_image_of_a_mapping_can_be_left_out():
    elements = [{"__key__": f"{i:02}", "jpg": png(image), "cls": b"3"} for i, image in enumerate(STACK)]
    elements[4]["jpg"] = bytes(50)
    items = list(read_items(open_source(iter(elements))))
    with pytest.raises(ImageError, match=r"image 4 of the list_iterator \('04'\)"):
        items[4].decode()
    np.testing.assert_array_equal([item.decode().pixels for item in items[:4] + items[5:]], np.delete(STACK, 4, 0))


# --- floats


def exact(x, low, high, way):
    """The definition, in exact arithmetic on whole multiples; for values that float32 holds with room to spare."""
    y = (x.astype(np.float64) - low) / (high - low) * 255
    return np.clip({"round": np.rint, "truncate": np.floor, "edm": lambda v: np.floor(v + 0.5)}[way](y), 0, 255)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("low", "high"), RANGES)
@given(data=st.data())
def test_quantise_is_its_definition_but_for_rounding(low, high, way, data):
    width = high - low
    floats = st.floats(low - width, high + width, width=32)
    x = data.draw(hnp.arrays(np.float32, (4, 5, 3), elements=floats))
    pixels, losses = Quantise(low, high, way)(x, "x")
    assert pixels.dtype == np.uint8
    np.testing.assert_allclose(pixels, exact(x, low, high, way), atol=1)
    y = (x.astype(np.float64) - low) / width * 255 + (0 if way == "truncate" else 0.5)
    sure = np.abs(y - np.rint(y)) > 1e-3  # away from where the byte changes
    np.testing.assert_array_equal(pixels[sure], exact(x, low, high, way)[sure])
    outside = (x < np.float32(low)).any() or (x > np.float32(high)).any()
    assert losses == ((OUTSIDE,) if outside else ())


def test_quantise_computes_as_the_tools_do():
    """In float32, in the tools' own order of operations."""
    x = np.linspace(-1.1, 1.1, 100_001, dtype=np.float32)
    half = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    half = half[np.isfinite(half)].astype(np.float32)
    f = np.float32
    with np.errstate(over="ignore"):
        for v in (x, half):
            adm = np.clip((v + f(1)) * f(127.5), 0, 255).astype(np.uint8)
            edm = np.clip(v * f(127.5) + f(128), 0, 255).astype(np.uint8)
            diffusers = np.rint(np.clip(v / f(2) + f(0.5), 0, 1) * f(255)).astype(np.uint8)
            save_image = np.clip(v * f(255) + f(0.5), 0, 255).astype(np.uint8)
            torchmetrics = np.clip(v * f(255), 0, 255).astype(np.uint8)
            for expected, way in (
                (adm, Quantise(-1, 1, "truncate")),
                (edm, Quantise(-1, 1, "edm")),
                (diffusers, Quantise(-1, 1, "round")),
                (save_image, Quantise(0, 1, "edm")),
                (torchmetrics, Quantise(0, 1, "truncate")),
            ):
                np.testing.assert_array_equal(way(v, "x")[0], expected, str(way))


@pytest.mark.parametrize("way", WAYS)
@given(st.floats(-100, 100), st.floats(0.01, 100))
def test_black_is_0_and_white_is_255(way, low, width):
    for dtype in (np.float16, np.float32, np.float64):
        x = np.array([low, low + width], dtype)
        found, losses = Quantise(float(x[0]), float(x[1]), way)(x, "x") if x[0] < x[1] else (np.array([0, 255]), ())
        assert (found.tolist(), losses) == ([0, 255], ())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("low", "high"), [(1e8, 1e8 + 1), (1e8, 1e8 + 64), (-1e9 - 1, -1e9), (0.0, 1e39), (0.0, 1e-45)]
)
def test_a_range_that_float32_does_not_divide_is_an_error(way, low, high):
    images = np.full((4, 8, 8, 3), low, np.float32)
    with pytest.raises(InputError, match=r"value_range=\(.*\) has no 256 different values in float32"):
        pixels(images, value_range=(low, high), quantise=way)
    if high != 1e-45:
        wide = np.linspace(low, high, 4 * 8 * 8 * 3).reshape(4, 8, 8, 3)
        assert len(np.unique(pixels(wide, value_range=(low, high), quantise=way))) >= 250


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("low", "high"), RANGES[:3])
def test_every_byte_survives_but_truncation_may_lose_one(low, high, way):
    grey = np.arange(256, dtype=np.uint8)
    for dtype in (np.float32, np.float64):
        x = (grey / 255 * (high - low) + low).astype(dtype)
        found, losses = Quantise(low, high, way)(x, "x")
        assert losses == ()
        if way == "truncate":
            assert set((grey - found).tolist()) <= {0, 1}
        else:
            np.testing.assert_array_equal(found, grey)


FLOATS = (STACK / 127.5 - 1).astype(np.float32)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16"])
@pytest.mark.parametrize("layout", [np.asarray, chw], ids=["last", "first"])
def test_floats_of_every_kind(dtype, layout):
    if dtype == "bfloat16":
        bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
        images = layout(FLOATS).astype(bfloat16)
    else:
        images = layout(FLOATS).astype(dtype)
    wide = images if dtype == "float64" else images.astype(np.float32)
    expected = np.array([Quantise(-1, 1, "round")(image, "")[0] for image in np.asarray(wide)])
    expected = expected if layout is np.asarray else np.moveaxis(expected, 1, -1)
    terms = {"value_range": (-1, 1), "quantise": "round"}
    tensors = [Tensor(image, f"torch.{dtype}") for image in images]
    for source in (
        images,
        list(images),
        Tensor(images, f"torch.{dtype}"),
        tensors,
        Loader([images[:5], images[5:]], 5),
    ):
        np.testing.assert_array_equal(pixels(source, **terms), expected)


@pytest.mark.parametrize("kind", ["npy", "npz", "compressed", "fortran", "folder"])
@pytest.mark.parametrize("layout", [np.asarray, chw], ids=["last", "first"])
def test_files_of_floats(tmp_path, kind, layout):
    array = layout(FLOATS)
    path = tmp_path / f"a.{'npy' if kind in ('npy', 'fortran') else 'npz'}"
    if kind == "folder":
        path = tmp_path
        for index, image in enumerate(array):
            np.save(path / f"{index}.npy", image)
    elif kind in ("npy", "fortran"):
        np.save(path, np.asfortranarray(array) if kind == "fortran" else array)
    else:
        (np.savez_compressed if kind == "compressed" else np.savez)(path, array)
    np.testing.assert_array_equal(pixels(path, value_range=(-1, 1), quantise="round"), STACK)
    with pytest.raises(InputError, match="value_range and quantise"):
        pixels(path)


def test_integers_are_taken_as_they_are():
    np.testing.assert_array_equal(pixels([*STACK[:5]], value_range=(-1, 1), quantise="edm"), STACK[:5])


def test_values_that_are_no_pixels():
    images = FLOATS.copy()
    images[2, 0, 0, 0] = np.nan
    images[5, 1, 1, 2] = -np.inf
    for source in (images, list(images), iter(images), iter([images])):
        items = list(read_items(open_source(source, value_range=(-1, 1), quantise="edm")))
        for index in (2, 5):
            with pytest.raises(ImageError, match=f"image {index} of .*: 1 of its 192 values are NaN or infinite"):
                items[index].decode()
        np.testing.assert_array_equal(items[3].decode().pixels, STACK[3])


def test_features_are_not_taken_for_images_of_floats():
    for source in (np.zeros((9, 64), np.float32), [np.zeros(64, np.float32)] * 9):
        with pytest.raises(InputError, match="frechet_distance_from_features"):
            pixels(source, value_range=(0, 1), quantise="round")


@pytest.mark.filterwarnings("ignore:few-images|duplicates|same-images:fastfid.FastFIDWarning")
def test_clamped_values_are_counted_in_one_warning():
    extractor = fastfid.Extractor("inception-v3-random", dims=64, batch_size=4)
    images = np.array(FLOATS)
    images[[1, 4], 0, 0, 0] = 1.5, -2
    with pytest.warns(fastfid.FastFIDWarning, match="value_range") as caught:
        result = fastfid.compare(images, STACK, model=extractor, value_range=(-1, 1), quantise="round", progress=False)
    told = [text for text in result.warnings if "value_range" in text]
    assert told == ["the array: 2 images have values outside value_range; they are clamped to it"]
    assert len([w for w in caught if "value_range" in str(w.message)]) == 1
    clipped = np.clip(images, -1, 1)
    same = fastfid.compare(clipped, STACK, model=extractor, value_range=(-1, 1), quantise="round", progress=False)
    assert same.fid == result.fid
    assert not [text for text in same.warnings if "value_range" in text]


# --- what a resumed run compares


def proof(source, index):
    return next(iter(source.proofs([index], content=True)))


def test_keys_and_proofs(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png(STACK[0]))
    given_ = [path, str(path), png(STACK[1]), STACK[2], Image.fromarray(STACK[3]), str(tmp_path / "gone.png")]
    source = open_source(given_)
    assert [source.key_of(index) for index in range(6)] == ["0", "1", "2", "3", "4", "5"]
    proofs = list(source.proofs(range(6), content=True))
    assert proofs[0] == proofs[1] == proof_of_file(path) != ""
    assert list(source.proofs(range(6))) == [*proofs[:2], "", "", "", ""]
    assert proofs[2] != proof(open_source([png(STACK[0])] * 3), 2) != ""
    assert proofs[3] == proof(open_source(STACK), 2) != proof(open_source(STACK), 3)
    assert (proofs[4] == "", proofs[5]) == (False, "")
    np.save(tmp_path / "a.npy", STACK)
    stored = open_source(tmp_path / "a.npy")
    assert (stored.key_of(3), proof(stored, 3)) == ("3", proof(stored, 0)) != ("3", "")
    stream = open_source(Loader(list(STACK), None))
    assert (stream.key_of(3), proof(stream, 3)) == ("3", "")


def named(path):
    return {"bytes": None, "path": str(path)}


WRAPPED = {
    "pair": lambda image, _: (image, 1),
    "dict": lambda image, _: {"image": Image.fromarray(image), "label": "a cat"},
    "key": lambda image, _: {"image": image, "mask": image},
    "BytesIO": lambda image, _: io.BytesIO(png(image)),
    "webdataset": lambda image, _: {"__key__": "0", "png": png(image), "cls": b"7"},
    "bytes": lambda image, _: {"bytes": png(image), "path": None},
    "bytearray": lambda image, _: bytearray(png(image)),
    "tensor": lambda image, _: (Tensor(image.transpose(2, 0, 1)), 1),
    "path": lambda image, path: (path.write_bytes(png(image)), named(path))[1],
    "path in a pair": lambda image, path: (path.write_bytes(png(image)), (str(path), 1))[1],
    "file": lambda image, path: (path.write_bytes(png(image)), path.open("rb"))[1],
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_an_image_in_an_element_has_a_proof_of_its_own(tmp_path, kind):
    terms = {"image_key": "image"} if kind == "key" else {}

    def proofs(images):
        elements = [WRAPPED[kind](image, tmp_path / f"{i}.png") for i, image in enumerate(images)]
        source = open_source(elements, **terms)
        found = list(source.proofs(range(3), content=True))
        assert list(source.proofs(range(3), content=True)) == found  # reading does not change it
        np.testing.assert_array_equal([item.decode().pixels for item in source.read(range(3))], images)
        for element in elements:
            if hasattr(element, "close"):
                element.close()
        return found

    before, other = proofs(STACK[:3]), proofs(STACK[[0, 5, 2]])
    assert all(before)
    assert [i for i in range(3) if before[i] != other[i]] == ([0, 1, 2] if "path" in kind else [1])


def test_a_proof_leaves_the_position_of_a_file():
    file = io.BytesIO(png(STACK[0]))
    file.seek(7)
    assert proof(open_source([file, STACK[0]]), 0)
    assert file.tell() == 7


def test_a_proof_is_of_all_that_makes_the_pixels():
    grey = STACK[0, :, :, 0]
    palettes = [Image.fromarray(grey).convert("P") for _ in range(2)]
    palettes[1].putpalette(bytes(range(256)) * 3)
    images = [
        *(grey, grey.reshape(4, 16), grey.astype(np.uint16), grey.astype(">u2"), grey.astype(np.int16)),
        *(Image.fromarray(grey), palettes[1], Image.fromarray(grey).resize((16, 4))),
    ]
    source = open_source(images)
    assert len({proof(source, i) for i in range(len(images))}) == len(images)
    same = open_source([np.asfortranarray(grey), grey[::-1][::-1], grey.copy()])
    assert {proof(same, i) for i in range(3)} == {proof(source, 0)}
    stacks = [STACK[:4], STACK[:4].reshape(4, 4, 16, 3), STACK[:4].astype(np.int64), np.asfortranarray(STACK[:4])]
    first, *others = (proof(open_source(stack), 1) for stack in stacks)
    assert first == others.pop()
    assert len({first, *others}) == 3


def test_what_cannot_be_told_has_no_proof():
    class Pipe(io.BytesIO):
        def seekable(self):
            return False

    gone = io.BytesIO(b"x")
    gone.close()
    odd = [gone, Pipe(png(STACK[0])), {"bytes": None, "path": None}, np.array([None]), object(), {"a": 1}]
    assert [proof(open_source([STACK[0], one]), 1) for one in odd] == [""] * len(odd)


def test_elements_behind_addresses(request):
    memory = pytest.importorskip("fsspec").filesystem("memory")
    request.addfinalizer(lambda: memory.rm("/elements", recursive=True))
    for index, image in enumerate(STACK):
        memory.pipe(f"/elements/{index}.png", png(image))
    addresses = [f"memory://elements/{index}.png" for index in range(9)]
    np.testing.assert_array_equal(pixels(addresses), STACK)
    np.testing.assert_array_equal(pixels((address, 3) for address in addresses), STACK)
    np.testing.assert_array_equal(pixels({"bytes": None, "path": address} for address in addresses), STACK)
    upath = pytest.importorskip("upath")
    np.testing.assert_array_equal(pixels(list(map(upath.UPath, addresses))), STACK)
    (item,) = read_items(open_source(["memory://elements/gone.png"]))
    with pytest.raises(ImageError, match="memory://elements/gone.png"):
        item.decode()


def finite(kind):
    """All finite values of a type of half precision, or some of a longer one, as make_quantise_golden.py has them."""
    bits = np.arange(1 << 16, dtype=np.uint16)
    if kind == "bfloat16":
        x = (bits.astype(np.uint32) << 16).view(np.float32)
    elif kind == "float16":
        x = bits.view(np.float16).astype(np.float32)
    else:
        x = np.random.RandomState(0).uniform(-1.25, 1.25, 1 << 16).astype(kind)
    return x[np.isfinite(x)]


GOLDEN = json.loads((Path(__file__).parent / "golden/quantise.json").read_text())["tools"]


@pytest.mark.parametrize("tool", GOLDEN)
@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float32", "float64"])
def test_the_bytes_are_the_tools(tool, kind):
    golden = GOLDEN[tool]
    found, _ = Quantise(*golden["value_range"], golden["quantise"])(finite(kind), "x")
    assert hashlib.sha256(found).hexdigest() == golden[kind]
