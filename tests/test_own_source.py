"""The contract of a source: what a subclass may yield, where it is accepted, and what can be pickled."""

import io
import pickle
import runpy
import subprocess
import sys
import threading
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fastfid
from fastfid.errors import ImageError, InputError
from fastfid.images.decode import Decoded
from fastfid.sources import Item, Source, look, open_source
from fastfid.sources.kept import Kept
from fastfid.sources.pieces import pieces, read_items, read_pieces
from pictures import folder, pictures
from processes import run

EXAMPLE = Path(__file__).parents[1] / "examples" / "noise_source.py"
N = 20
PICTURES = pictures(N)

pytestmark = pytest.mark.filterwarnings("ignore:few-images:fastfid.FastFIDWarning")


@pytest.fixture(scope="module")
def extractor():
    return fastfid.Extractor("inception-v3-random", dims=64, batch_size=8)


def png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


class Own(Source):
    """`PICTURES`, each as `make` gives it."""

    def __init__(self, make=np.asarray, size=N, **options):
        super().__init__("my pictures", size, **options)
        self.make = make

    def read(self, indices):
        for index in indices:
            yield Item(f"picture {index}", partial(self.make, PICTURES[index]))


# --- items


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_an_item_loads_the_bytes_of_a_file(kind):
    decoded = Item("a", partial(kind, png(PICTURES[0]))).decode()
    np.testing.assert_array_equal(decoded.pixels, PICTURES[0])
    assert decoded.encoding == "PNG"


@pytest.mark.parametrize(
    "load",
    [
        lambda: PICTURES[0],
        lambda: PICTURES[0].astype(np.int64),
        lambda: Image.fromarray(PICTURES[0]),
        lambda: Decoded(PICTURES[0]),
        lambda: type("Tensor", (), {"__array__": lambda self, dtype=None, copy=None: PICTURES[0]})(),
    ],
    ids=["array", "int64", "PIL", "Decoded", "tensor"],
)
def test_an_item_loads_an_array_or_a_pil_image(load):
    decoded = Item("a", load).decode()
    np.testing.assert_array_equal(decoded.pixels, PICTURES[0])
    assert decoded.pixels.dtype == np.uint8
    assert decoded.encoding is None


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1)])
def test_an_item_loads_grey_images(shape):
    grey = np.arange(20).reshape(shape)
    np.testing.assert_array_equal(Item("a", lambda: grey).decode().pixels, np.repeat(grey.reshape(4, 5, 1), 3, axis=2))


def fail(error):
    raise error


@pytest.mark.parametrize(
    ("load", "error", "message"),
    [
        (lambda: b"GIF89a", ImageError, "cannot decode the item: "),
        (lambda: png(PICTURES[0])[:-60], ImageError, "cannot decode the item: "),
        (lambda: fail(OSError("gone away")), ImageError, "cannot load the item: gone away"),
        (lambda: fail(KeyError("key")), ImageError, "cannot load the item: 'key'"),
        (lambda: fail(ImageError("its own words")), ImageError, "^its own words$"),
        (3, ImageError, "cannot load the item: 'int' object is not callable"),
        (lambda: None, InputError, "the item: a NoneType is not an array, a PIL image or the bytes of an image file"),
        (lambda: "a.png", InputError, "the item: a str is not"),
        (lambda: PICTURES[0] / 255, InputError, "the item: dtype float64 is not accepted"),
        (lambda: PICTURES[0].astype(int) - 300, InputError, "the item: the value -"),
        (lambda: PICTURES, InputError, "the item: shape .* this is a batch"),
        (lambda: fail(MemoryError("full")), MemoryError, "^full$"),
    ],
)
def test_what_is_no_image_is_an_error_that_names_the_item(load, error, message):
    with pytest.raises(error, match=message) as caught:
        Item("the item", load).decode()
    assert type(caught.value) is error


# --- subclasses


def test_it_is_accepted_wherever_images_are(extractor):
    own = Own()
    assert open_source(own) is own
    array = extractor(PICTURES)
    np.testing.assert_array_equal(extractor(own), array)
    np.testing.assert_array_equal(np.concatenate(list(extractor.stream(Own(png)))), array)
    statistics = fastfid.statistics(own, model=extractor)
    np.testing.assert_array_equal(statistics.sigma, fastfid.statistics(PICTURES, model=extractor).sigma)
    other = pictures(N, seed=1)
    expected = fastfid.score(PICTURES, other, model=extractor)
    assert fastfid.score(own, other, model=extractor) == expected
    result = fastfid.compare(other, Own(notes=["drawn by hand"]), model=extractor)
    assert result.fid == fastfid.compare(other, PICTURES, model=extractor).fid
    assert result.notes[0] == "drawn by hand"


def test_limit_and_seed_choose_as_in_an_array(extractor):
    found = fastfid.statistics(Own(), model=extractor, limit=9, seed=5)
    np.testing.assert_array_equal(found.mu, fastfid.statistics(PICTURES, model=extractor, limit=9, seed=5).mu)


@pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")
def test_of_unknown_size_and_with_bad_images(extractor):
    class Stream(Own):
        def read(self, indices):
            for index in indices:
                if index == N:
                    return
                broken = partial(bytes, 3) if index == 4 else partial(np.asarray, PICTURES[index])
                yield Item(f"picture {index}", broken)

    with pytest.raises(ImageError, match="cannot decode picture 4"):
        extractor(Stream(size=None))
    result = fastfid.compare(Stream(size=None), Stream(), model=extractor, on_error="skip")
    assert result.a.n == result.b.n == N - 1
    assert result.a.rejected[0].startswith("cannot decode picture 4: ")


def test_files_are_looked_at_before_the_run(extractor, tmp_path):
    jpegs = folder(tmp_path / "jpegs", PICTURES, "jpg")
    done = []
    with pytest.warns(fastfid.FastFIDWarning, match="format: PNG in .*, JPEG in .* looked at"):
        fastfid.compare(Own(png, files=True), jpegs, model=extractor, progress=lambda *_: done.append(1))
    with pytest.warns(fastfid.FastFIDWarning, match="format: PNG in .*, JPEG in ") as told:
        fastfid.compare(Own(png), jpegs, model=extractor)
    assert not any("looked at" in str(warning.message) for warning in told)


def test_a_source_that_is_read_in_order_is_not_looked_at_before():
    class Stream(Own):
        def read(self, indices):
            raise AssertionError("read")

    source = Stream(png, files=True, ordered=True)
    assert look.glance(source) == (None, source)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((3, 5), {}, "Plain: name must be a text, got 3"),
        (("", 5), {}, "Plain: name must be a text, got ''"),
        (("a", -1), {}, "Plain: size must be at least 0, got -1"),
        (("a", 2.5), {}, "Plain: size must be a whole number, got 2.5"),
        (("a", "9"), {}, "Plain: size must be a whole number, got '9'"),
        (("a", 0), {}, "a is empty: no images"),
        (("a", 5), {"notes": "text"}, "Plain: notes must be a list or tuple, got 'text'"),
        (("a", 5), {"notes": [3]}, r"Plain: notes must be texts, got \[3\]"),
        (("a", 5), {"starts": 3}, "Plain: starts must be a list or tuple, got 3"),
        (("a", 5), {"starts": [0, 5]}, "Plain: starts must be between 0 and 4, got 5"),
        (("a", 5), {"starts": [0.5]}, "Plain: starts must be a whole number, got 0.5"),
        (("a", 5), {"starts": [3, 0]}, r"Plain: starts must be in ascending order, got \(3, 0\)"),
        (("a", None), {"starts": [0, 3]}, "Plain: starts need a size"),
    ],
)
def test_nonsense_is_refused_by_name(arguments, options, message):
    class Plain(Source):
        def read(self, indices):
            return iter(())

    with pytest.raises(InputError, match=message):
        Plain(*arguments, **options)


def test_a_class_that_forgets_its_base(extractor):
    class Forgetful(Source):
        def __init__(self):
            self.name = "mine"

        def read(self, indices):
            return iter(())

    message = r"Forgetful\.__init__ does not call super\(\).__init__\(name, size\)"
    for use in (open_source, extractor, lambda it: next(extractor.stream(it)), lambda it: fastfid.score(it, PICTURES)):
        with pytest.raises(InputError, match=message):
            use(Forgetful())


def test_a_class_without_read():
    with pytest.raises(TypeError, match="read"):
        type("Empty", (Source,), {})("a", 3)


def test_read_that_yields_arrays(extractor):
    class Arrays(Own):
        def read(self, indices):
            return (PICTURES[index] for index in indices)

    with pytest.raises(InputError, match="my pictures: read must yield Items, but yields a ndarray"):
        extractor(Arrays())


# --- where images are decoded


@pytest.mark.parametrize(
    "element",
    [png, lambda image: io.BytesIO(png(image)), lambda image: {"bytes": png(image), "path": None}],
    ids=["bytes", "BytesIO", "dict"],
)
def test_bytes_are_decoded_in_the_worker_threads(extractor, monkeypatch, element):
    threads, plain = set(), Image.Image.convert
    elements = list(map(element, PICTURES))

    def convert(self, *arguments):
        threads.add(threading.current_thread().name)
        return plain(self, *arguments)

    monkeypatch.setattr(Image.Image, "convert", convert)
    extractor(elements)
    assert threads
    assert all(name.startswith("fastfid-decode") for name in threads)


# --- pickles


def sources(root):
    """One of each kind, of the same nine images."""
    images = PICTURES[:9]
    path = folder(root / "folder", images)
    for kind in ("shards", "npys"):
        (root / kind).mkdir()
    for name, some in (("a.zip", images), ("shards/0.zip", images[:4]), ("shards/1.zip", images[4:])):
        with zipfile.ZipFile(root / name, "w") as archive:
            for index, image in enumerate(some):
                archive.writestr(f"{index}.png", png(image))
    subprocess.run([sys.executable, "-m", "tarfile", "-c", root / "a.tar", "."], cwd=path, check=True)
    for index, image in enumerate(images):
        np.save(root / f"npys/{index}.npy", image)
    np.save(root / "a.npy", images)
    np.savez(root / "a.npz", images)
    np.savez_compressed(root / "compressed.npz", images)
    names = ["folder", "shards", "npys", "a.zip", "a.tar", "a.npy", "a.npz", "compressed.npz"]
    found = {name: open_source(root / name) for name in names}
    found |= {"array": open_source(images), "list": open_source(list(images))}
    found["bytes"] = open_source([*map(png, images)])
    found["paths"] = open_source(sorted(path.iterdir()))
    found["PIL"] = open_source([Image.fromarray(image) for image in images])
    found["kept"] = Kept(found["folder"], {2: Decoded(images[2])})
    return found


def load_all(given):
    """Load what is pieces or items."""
    if isinstance(given[0], Item):
        return [item.decode().pixels for item in given]
    return [item.decode().pixels for piece in given for _, part in read_pieces([piece]) for item in part]


def test_every_kind_and_its_pieces_and_items_through_a_pickle(tmp_path):
    for name, source in sources(tmp_path).items():
        for limit in (None, 5):
            given = {
                "source": list(pieces(pickle.loads(pickle.dumps(source)), limit, size=2)),
                "pieces": pickle.loads(pickle.dumps(list(pieces(source, limit, size=2)))),
                "items": pickle.loads(pickle.dumps(list(read_items(source, limit)))),
            }
            chosen = range(9) if limit is None else sorted(np.random.RandomState(0).permutation(9)[:5])
            for way, some in given.items():
                np.testing.assert_array_equal(load_all(some), PICTURES[chosen], err_msg=f"{name}: {way}")


def test_the_same_pixels_in_a_fresh_process(tmp_path):
    kinds = sources(tmp_path)
    given = [[list(pieces(source, size=4)), list(read_items(source))] for source in kinds.values()]
    (tmp_path / "given").write_bytes(pickle.dumps(given))
    code = """
import pickle, sys
from pathlib import Path
from fastfid.sources.pieces import read_pieces
root = Path(sys.argv[1])
found = []
for pieces, items in pickle.loads((root / "given").read_bytes()):
    parts = [item for piece in pieces for _, part in read_pieces([piece]) for item in part]
    found.append([[item.decode().pixels for item in some] for some in (parts, items)])
(root / "found").write_bytes(pickle.dumps(found))
"""
    done = run(code, tmp_path)
    assert done.returncode == 0, done.stderr
    found = pickle.loads((tmp_path / "found").read_bytes())
    for name, ways in zip(kinds, found, strict=True):
        for pixels in ways:
            np.testing.assert_array_equal(pixels, PICTURES[:9], err_msg=name)


@pytest.mark.parametrize("make", [iter, lambda images: (image for image in images), lambda images: map(png, images)])
def test_what_can_be_read_once_cannot_be_pickled_and_says_so(make):
    source = open_source(make(PICTURES))
    message = rf"{source.name} can be read once, in this process alone: for several processes give a list"
    with pytest.raises(InputError, match=message):
        pickle.dumps(next(pieces(source)))


def test_which_sources_can_only_be_read_in_order(tmp_path):
    ordered = {name for name, source in sources(tmp_path).items() if source.ordered}
    assert ordered == {"a.npz", "compressed.npz"}
    assert open_source(iter(PICTURES)).ordered
    assert not open_source(tuple(PICTURES)).ordered


def test_shards_say_where_each_file_begins(tmp_path):
    found = sources(tmp_path)
    assert {name: source.starts for name, source in found.items() if source.starts} == {
        "shards": (0, 4),
        "a.zip": (0,),
        "a.tar": (0,),
    }
    assert [piece.indices for piece in pieces(found["shards"], size=5)] == [range(4), range(4, 9)]
    with zipfile.ZipFile(tmp_path / "shards/2.zip", "w") as archive:
        archive.writestr("readme.txt", "no images")
    assert open_source(tmp_path / "shards").starts == (0, 4)


# --- the example


def test_the_example_is_short_and_runs():
    assert len(EXAMPLE.read_text().splitlines()) < 30
    done = subprocess.run([sys.executable, EXAMPLE], capture_output=True, text=True, check=True, timeout=100)
    assert float(done.stdout) > 1


def test_the_example_draws_the_same_images_in_any_order():
    source = runpy.run_path(str(EXAMPLE))["Noise"](9, 255)
    one, two = ([item.decode().pixels for item in source.read(indices)] for indices in ([2, 7], [7]))
    np.testing.assert_array_equal(one[1], two[0])
    assert not np.array_equal(one[0], one[1])
