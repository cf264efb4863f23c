"""Every kind of image in every mode: the pixels against Pillow itself, the network's input against the tools' own."""

import warnings
from pathlib import Path

import numpy as np
import PIL
import pytest
from PIL import Image

import kinds
from fastfid.images.decode import ENDINGS
from fastfid.images.modes import MODES
from fastfid.sources import open_source
from fastfid.sources.pieces import read_items

with np.load(Path(__file__).parent / "golden" / "kinds.npz") as file:
    GOLDEN = dict(file)
NAMES = GOLDEN["kinds"].tolist()
FORMATS = {name: GOLDEN[f"{name} file"].tobytes() for name in NAMES if f"{name} file" in GOLDEN}
FILES = {**kinds.sizes(), **FORMATS}
LOSSY = {"rgb.jpg", "full-chroma.jpg", "progressive.jpg", "grey.jpg", "cmyk.jpg", "exif-rotated.jpg", "lossy.webp"}
# Of the network's input in [-1, 1]: bit-equal, but for torch's own roundings, and for one rounding where the weights
# come from the machine's exp.
BOUNDS = {"pytorch": 1e-6, "tensorflow": 0, "clean": 0, "keras": 2.0**-23, "torchmetrics": 0}

every_kind = pytest.mark.parametrize("name", NAMES)


def decoded(folder):
    """RGB pixels of every file of a folder, by file name."""
    return {Path(item.name).name: item.load().pixels for item in read_items(open_source(folder))}


def by_pillow(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of transparency in a palette
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    kinds.write(folder, FILES)
    return folder


@pytest.fixture(scope="module")
def pixels(folder):
    return decoded(folder)


def test_one_folder_holds_them_all(pixels):
    assert sorted(pixels) == sorted(NAMES) == sorted(FILES)
    assert len({image.shape for image in pixels.values()}) == len(kinds.SIZES) + 1
    assert {Path(name).suffix[1:] for name in NAMES} == ENDINGS - {"jpeg", "tiff"}
    assert {Path(name).suffix for name in LOSSY} == {".jpg", ".webp"}


@every_kind
def test_decodes_as_pillow_does(name, folder, pixels):
    np.testing.assert_array_equal(pixels[name], by_pillow(folder / name), strict=True)


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in LOSSY])
def test_decodes_what_the_tools_saw(name, pixels):
    # Another Pillow may convert otherwise, and then the tools' numbers move with ours.
    if PIL.__version__.split(".")[0] == str(GOLDEN["pillow"]).split(".")[0]:
        np.testing.assert_array_equal(pixels[name], GOLDEN[f"{name} pixels"], strict=True)


@every_kind
@pytest.mark.parametrize("mode", MODES)
def test_network_input_is_the_tools(mode, name):
    # From the pixels that the tool saw: decoders of lossy formats differ between builds.
    image = GOLDEN[f"{name} pixels"] if name in FORMATS else kinds.picture(*reversed(kinds.SIZES[NAMES.index(name)]))
    out = np.full((3, kinds.SIZE, kinds.SIZE), np.nan, np.float32)
    MODES[mode](image, out)
    worst = np.abs(out.ravel()[kinds.positions(name)] - GOLDEN[mode][NAMES.index(name)]).max()
    assert worst <= BOUNDS[mode]
