"""Data sets of Hugging Face and WebDataset, by their real libraries: the same images as in a folder."""

import gc
import io
import json
import pickle
import tarfile

import numpy as np
import pytest
from PIL import Image

import fastfid
from fastfid.errors import ImageError, InputError
from fastfid.sources import open_source, read_items
from pictures import folder, pictures

datasets = pytest.importorskip("datasets")
wds = pytest.importorskip("webdataset")

STACK = pictures(9, 8)


def encoded(image, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind)
    return file.getvalue()


def pixels(source, *chosen, **terms):
    return np.array([item.decode().pixels for item in read_items(open_source(source, **terms), *chosen)])


def of_images(images=STACK):
    cells = [None if image is None else {"bytes": encoded(image), "path": None} for image in images]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    return datasets.Dataset.from_dict({"image": cells, "label": range(len(cells))}, features=features)


def one_by_one():
    for image in STACK:
        yield {"image": Image.fromarray(image), "label": 1}


@pytest.mark.parametrize(
    "make",
    [
        of_images,
        lambda: of_images().with_format("numpy"),
        lambda: of_images().with_format("arrow"),
        lambda: of_images().select(range(8, -1, -1)).select(range(8, -1, -1)),
        lambda: of_images().cast_column("image", datasets.Image(decode=False)),
        lambda: of_images().cast_column("image", datasets.Image(mode="RGB")),
        lambda: of_images().rename_column("image", "picture"),
        lambda: of_images().add_column("thumb", [b"x"] * 9),
        lambda: datasets.concatenate_datasets([of_images(STACK[:4]), of_images(STACK[4:])]),
        lambda: datasets.Dataset.from_dict(
            {"data": list(map(encoded, STACK)), "label": range(9)},
            features=datasets.Features({"data": datasets.Value("binary"), "label": datasets.Value("int64")}),
        ),
        lambda: datasets.Dataset.from_dict(
            {"x": list(STACK)}, features=datasets.Features({"x": datasets.Array3D((8, 8, 3), "uint8")})
        ),
    ],
)
def test_a_data_set_is_its_images(make):
    dataset = make()
    source = open_source(dataset)
    assert (source.size, source.ordered, source.exact, source.name) == (9, False, True, "a Dataset of 9")
    np.testing.assert_array_equal(pixels(dataset), STACK)
    np.testing.assert_array_equal(pixels(dataset, 4, 2), STACK[sorted(np.random.RandomState(2).permutation(9)[:4])])
    again = pickle.loads(pickle.dumps(source))
    (item,) = again.read([5])
    np.testing.assert_array_equal(item.decode().pixels, STACK[5])
    assert (item.name, again.key_of(5)) == ("image 5 of the Dataset", "5")
    assert list(again.proofs([5], content=True)) == list(source.proofs([5], content=True)) != [""]
    assert list(source.proofs([5])) == [""]  # only the content tells
    stream = open_source(dataset.to_iterable_dataset())
    assert (stream.size, stream.ordered, stream.name) == (None, True, "an IterableDataset")
    np.testing.assert_array_equal(pixels(dataset.to_iterable_dataset()), STACK)
    np.testing.assert_array_equal(pixels(dataset.to_iterable_dataset().with_format("numpy")), STACK)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_our_own_decoder_sees_the_files(tmp_path, kind):
    for index, image in enumerate(STACK):
        (tmp_path / f"{index}.{kind.lower()}").write_bytes(encoded(image, kind))
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    by_path = datasets.Dataset.from_dict({"image": paths}).cast_column("image", datasets.Image())
    cells = [{"bytes": encoded(image, kind), "path": "x"} for image in STACK]
    by_bytes = datasets.Dataset.from_dict({"image": cells}).cast_column("image", datasets.Image())
    expected = [item.decode() for item in read_items(open_source(tmp_path))]
    for dataset in (by_path, by_bytes, by_path.to_iterable_dataset(), by_bytes.to_iterable_dataset()):
        for item, image in zip(read_items(open_source(dataset)), expected, strict=True):
            found = item.decode()
            assert (found.encoding, found.digest, found.quality) == (image.encoding, image.digest, image.quality)
            np.testing.assert_array_equal(found.pixels, image.pixels)


@pytest.mark.filterwarnings("ignore:few-images|duplicates:fastfid.FastFIDWarning")
def test_the_score_is_that_of_the_folder(tmp_path):
    extractor = fastfid.Extractor("inception-v3-random", dims=64, batch_size=4)
    plain, other = folder(tmp_path / "plain", STACK), folder(tmp_path / "other", pictures(9, 8, 1))
    expected = fastfid.score(plain, other, model=extractor, progress=False)
    for dataset in (of_images(), of_images().to_iterable_dataset()):
        assert fastfid.score(dataset, other, model=extractor, progress=False) == expected


def test_streams_of_which_nothing_is_known():
    stream = datasets.IterableDataset.from_generator(one_by_one)
    assert stream.features is None
    np.testing.assert_array_equal(pixels(stream), STACK)
    both = stream.map(lambda row: {"other": row["image"]})
    np.testing.assert_array_equal(pixels(both, image_key="other"), STACK)
    with pytest.raises(
        InputError, match="which one is the image? Give image_key, one of 'image', 'other'".replace("?", r"\?")
    ):
        pixels(both)


def test_arrays_of_floats():
    features = datasets.Features({"x": datasets.Array3D((3, 8, 8), "float32")})
    floats = list(np.moveaxis(STACK, -1, 1).astype(np.float32) / 255)
    dataset = datasets.Dataset.from_dict({"x": floats}, features=features)
    np.testing.assert_array_equal(pixels(dataset, value_range=(0, 1), quantise="round"), STACK)
    with pytest.raises(InputError, match="image 0 of the Dataset: dtype float32 .* value_range and quantise"):
        pixels(dataset)


@pytest.mark.parametrize(
    ("make", "key", "message"),
    [
        (lambda: datasets.DatasetDict(train=of_images(), test=of_images()), None, "one of its splits.*'train', 'test'"),
        (lambda: datasets.IterableDatasetDict(a=of_images().to_iterable_dataset()), None, "by name: 'a'"),
        (lambda: of_images().with_transform(lambda rows: rows), None, "has a transform, which would be left out"),
        (lambda: of_images().cast_column("image", datasets.Image(mode="L")), None, "to mode L.*cast_column"),
        (of_images, "picture", r"the Dataset has no column 'picture': it has 'image' \(Image\), 'label' \(int64\)"),
        (of_images, "label", "the column 'label' holds no images"),
        (lambda: of_images().remove_columns("image"), None, r"has no column of images: it has 'label' \(int64\)"),
        (
            lambda: (
                datasets.concatenate_datasets([of_images(), of_images().rename_column("image", "b")], axis=1)
                if False
                else datasets.Dataset.from_dict({"a": [b"x"], "b": [b"x"]})
            ),
            None,
            "Give image_key, one of 'a', 'b'",
        ),
        (
            lambda: datasets.Dataset.from_dict({"x": STACK.tolist()}),
            "x",
            r"holds no images.*Array3D\(\(h, w, 3\), \"uint8\"\)",
        ),
        (lambda: of_images().to_iterable_dataset(), "picture", "the IterableDataset has no column 'picture'"),
    ],
)
def test_what_is_not_clear_is_refused(make, key, message):
    with pytest.raises(InputError, match=message):
        open_source(make(), image_key=key)


def test_nulls_and_damage_are_image_errors():
    images = [*STACK]
    images[3] = None
    dataset = of_images(images)
    for source in (dataset, dataset.to_iterable_dataset()):
        items = list(read_items(open_source(source)))
        with pytest.raises(ImageError, match="image 3 of the (Iterable)?Dataset is null"):
            items[3].decode()
        np.testing.assert_array_equal(items[4].decode().pixels, STACK[4])
    broken = datasets.Dataset.from_dict({"image": [{"bytes": encoded(STACK[0])[:-60], "path": "a.png"}] * 2})
    items = list(read_items(open_source(broken.cast_column("image", datasets.Image()))))
    with pytest.raises(ImageError, match=r"cannot decode image 1 of the Dataset \(a.png\)"):
        items[1].decode()


def test_files_that_the_library_wrote_are_tables(tmp_path):
    dataset = of_images()
    dataset.to_parquet(tmp_path / "a.parquet")
    np.testing.assert_array_equal(pixels(tmp_path / "a.parquet"), STACK)
    dataset.save_to_disk(tmp_path / "saved")
    np.testing.assert_array_equal(pixels(next((tmp_path / "saved").glob("*.arrow"))), STACK)
    np.testing.assert_array_equal(pixels(datasets.load_from_disk(tmp_path / "saved")), STACK)


# --- WebDataset


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    root = tmp_path_factory.mktemp("shards")
    with wds.ShardWriter(f"{root}/%06d.tar", maxcount=5, verbose=0) as writer:
        for index, image in enumerate(STACK):
            more = {"json": {"label": index}, "txt": f"picture {index}.png", "cls": index}
            writer.write({"__key__": f"{index:04}", "png": encoded(image), **more})
    return root


def test_rows_that_are_paths_have_the_proofs_of_their_files(tmp_path):
    path = folder(tmp_path / "set", STACK)
    cells = [str(file) for file in sorted(path.iterdir())]
    dataset = datasets.Dataset.from_dict({"image": cells}).cast_column("image", datasets.Image())
    mixed = datasets.concatenate_datasets([of_images(STACK[:2]).select_columns("image"), dataset]).select(range(1, 11))
    before = {each: list(open_source(each).proofs(range(9))) for each in (dataset, mixed)}
    assert [proof == "" for proof in before[mixed]] == [True] + [False] * 8  # one has bytes
    assert all(before[dataset])
    (path / "003.png").write_bytes(encoded(STACK[4]) + b"x")
    for each, place in ((dataset, 3), (mixed, 4)):
        after = list(open_source(each).proofs(range(9)))
        assert [i for i in range(9) if after[i] != before[each][i]] == [place]
    (path / "000.png").unlink()
    assert next(iter(open_source(dataset).proofs([0]))) == ""


def test_shards_with_json_and_text_beside_the_images(shards):
    source = open_source(shards)
    assert (source.size, source.starts) == (9, (0, 5))
    np.testing.assert_array_equal(pixels(shards), STACK)
    with tarfile.open(shards / "000000.tar") as archive:
        assert json.load(archive.extractfile("0000.json")) == {"label": 0}


own_files = pytest.mark.filterwarnings("ignore:.*<_io.FileIO name=.*shards:pytest.PytestUnraisableExceptionWarning")


def own_iterable(shards):
    """A WebDataset over the shards; it leaves their files to the garbage collector."""
    return wds.WebDataset([str(path) for path in sorted(shards.iterdir())], shardshuffle=False)


@own_files
@pytest.mark.parametrize(
    ("pipe", "key"),
    [
        (lambda data: data, None),
        (lambda data: data, "png"),
        (lambda data: data.decode("pil"), None),
        (lambda data: data.decode("rgb8"), None),
        (lambda data: data.decode("pil").to_tuple("png", "cls"), None),
        (lambda data: data.to_tuple("png", "json"), None),
        (lambda data: data.decode("rgb8").to_tuple("png", "png"), "1"),
        (lambda data: data.decode("rgb8").to_tuple("png", "cls").batched(4), None),
        (lambda data: data.rename(image="png"), "image"),
    ],
)
def test_webdatasets_own_iterables(shards, pipe, key):
    np.testing.assert_array_equal(pixels(pipe(own_iterable(shards)), image_key=key), STACK)
    gc.collect()


@own_files
def test_webdatasets_floats(shards):
    data = own_iterable(shards).decode("rgb")
    np.testing.assert_array_equal(pixels(data, value_range=(0, 1), quantise="round"), STACK)
    item = next(read_items(open_source(own_iterable(shards))))
    assert item.name == "image 0 of the WebDataset ('0000')"
    gc.collect()
