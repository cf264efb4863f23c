"""Shards that webdataset itself writes, with json, txt and labels beside the images: the images of the plain folder."""

import gc

import numpy as np
import pytest
import webdataset
from PIL import Image

import fastfid
from fastfid.sources import open_source, read_items
from fastfid.sources.classes import classes_of
from pictures import pictures

IMAGES = pictures(24, 32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("plain")
    for number, image in enumerate(IMAGES):
        path = root / f"{'cat' if number % 2 else 'dog'}" / f"{number:04}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(path)
    return root


def write(folder, ending, parts=3):
    """Write each image of the plain folder as a sample; webdataset compresses as the name says."""
    paths = sorted(folder.rglob("*.png"), key=lambda path: path.stem)
    target = folder.parent / f"{folder.name}-{ending[1:]}"
    target.mkdir(exist_ok=True)
    for part in range(parts):
        with webdataset.TarWriter(str(target / f"shard-{part:06}{ending}")) as shard:
            for path in paths[part::parts]:
                key = path.relative_to(folder).with_suffix("").as_posix()
                label = {"cls": part, "json": {"caption": "a picture.png"}, "txt": "png"}
                shard.write({"__key__": key, "png": path.read_bytes(), **label})
    return target


@pytest.mark.parametrize("ending", [".tar", ".tar.gz"])
def test_every_image_once_and_nothing_else(folder, ending):
    shards = write(folder, ending)
    source = open_source(shards)
    found = {item.name.partition(ending + "/")[2]: item.decode().pixels for item in read_items(source)}
    assert len(found) == 24
    for number, image in enumerate(IMAGES):
        np.testing.assert_array_equal(found[f"{'cat' if number % 2 else 'dog'}/{number:04}.png"], image)
    named = open_source(f"{shards}/shard-{{000000..000002}}{ending}")
    assert [item.name for item in read_items(named)] == [item.name for item in read_items(source)]


def test_classes_are_the_folders_of_the_keys(folder):
    source = open_source(write(folder, ".tar"))
    assert {name: len(indices) for name, indices in classes_of(source).items()} == {"cat": 12, "dog": 12}


def test_the_score_is_that_of_the_folder(folder):
    extractor = fastfid.Extractor("inception-v3-random", dims=64, batch_size=8)
    with pytest.warns(fastfid.FastFIDWarning):
        one, other = (fastfid.statistics(side, model=extractor) for side in (write(folder, ".tar"), folder))
    assert one.n == other.n == 24
    np.testing.assert_allclose(one.sigma, other.sigma, rtol=1e-9, atol=1e-12)  # the order differs


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # webdataset leaves the shards open
def test_what_webdataset_reads_back_is_what_we_read(folder):
    shards = write(folder, ".tar")
    pipeline = webdataset.WebDataset(f"{shards}/shard-{{000000..000002}}.tar", shardshuffle=False, empty_check=False)
    theirs = {sample["__key__"]: sample["png"] for sample in pipeline}
    del pipeline
    gc.collect()
    source = open_source(shards)
    ours = {source.folder_of(k) + "/" + source.name_of(k).rpartition("/")[2][:-4]: k for k in range(source.size)}
    assert ours.keys() == theirs.keys()
