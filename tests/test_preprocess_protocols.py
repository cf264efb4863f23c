"""The preprocessings of the protocols: against the tools' own code (golden), Pillow and NumPy."""

import platform
import runpy
from pathlib import Path

import numpy as np
import PIL
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from fastfid.images.modes import MODES, resolve
from fastfid.images.preprocess import Preprocessing

GOLDEN = Path(__file__).parent / "golden"
RECIPE = runpy.run_path(str(GOLDEN / "make_protocols_golden.py"))
IMAGES = RECIPE["images"]()
F = np.float32
SAME_PILLOW = int(PIL.__version__.split(".")[0]) >= 13 and platform.machine() in ("x86_64", "AMD64")
with np.load(GOLDEN / "protocols.npz") as file:
    TOOLS = dict(file)
KINDS = TOOLS.pop("kinds").tolist()

pixels = st.integers(1, 50)
seeds = st.integers(0, 2**32 - 1)


def filled(p, image):
    out = np.full((3, *resolve(p).size), np.nan, F)
    resolve(p).kernel(np.ascontiguousarray(image), out)
    return out


def noise(height, width, seed=0):
    return np.random.RandomState(seed).randint(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", TOOLS)
def test_network_input_is_the_tools(mode, kind):
    out = filled(mode, IMAGES[kind])
    found = out.ravel()[RECIPE["positions"](kind, out.shape[-1])]
    p = Preprocessing.parse(mode)
    unit = (p.range[1] - p.range[0]) / min(p.std)
    # Pillow 13 is the first to take columns first where an image is high; an older one moves a value by one of 255.
    bound = 1 / 255 if p.resize == "bicubic" and not SAME_PILLOW else 1e-6
    assert np.abs(found - TOOLS[mode][KINDS.index(kind)]).max() <= bound * unit


@given(h=pixels, w=pixels, out_h=pixels, out_w=pixels, seed=seeds)
@example(h=1, w=50, out_h=50, out_w=1, seed=0)
@example(h=50, w=1, out_h=1, out_w=50, seed=0)
@example(h=50, w=9, out_h=7, out_w=9, seed=0)
def test_torch_bicubic_is_pillows_on_floats(h, w, out_h, out_w, seed):
    """The same filter and windows. torch's positions are float32: below 64 they are off by at most 2^-19 / 2."""
    image = noise(h, w, seed)
    planes = [
        np.asarray(Image.fromarray(plane.astype(F)).resize((out_w, out_h), Image.Resampling.BICUBIC))
        for plane in image.transpose(2, 0, 1)
    ]
    out = filled(Preprocessing((out_h, out_w), "torch-bicubic", range=(0, 255)), image)
    steepest, taps = 1.3, 4  # of the filter; each tap is wrong by its slope times that
    assert np.abs(out - np.stack(planes)).max() <= 255 * taps * steepest * 2.0**-20


@given(h=pixels, w=pixels, out_h=pixels, out_w=pixels, seed=seeds)
def test_tensorflow_bilinear_is_the_modes(h, w, out_h, out_w, seed):
    image, mode = noise(h, w, seed), np.empty((3, out_h, out_w), F)
    MODES["tensorflow"](image, mode)
    p = Preprocessing((out_h, out_w), "tensorflow-bilinear", range=(0, 255), mean=128, std=128)
    np.testing.assert_array_equal(filled(p, image), mode)


@pytest.mark.parametrize("resize", ["torch-bicubic", "tensorflow-bilinear"])
@given(h=pixels, w=pixels, seed=seeds)
def test_fields_act_as_for_pillows_filters(resize, h, w, seed):
    """Where nothing is resized, nothing is rounded, and the tables of the 8-bit filters are the oracle."""
    image = noise(h, w, seed)
    side = min(h, w)
    everything = {"size": (h, w), "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    for fields in (
        everything,
        {"size": (h, w), "range": (-1, 1)},
        {"size": side, "range": (0, 255), "mean": 123.675, "std": 58.395, "crop": "square"},
        {"size": side, "shortest": side},
    ):
        expected = filled(Preprocessing(resize="nearest", **fields), image)
        np.testing.assert_array_equal(filled(Preprocessing(resize=resize, **fields), image), expected)


def test_the_square_is_cropped_before_the_resize():
    image = np.zeros((4, 9, 3), np.uint8)
    image[:, 2:6] = 255  # columns 2 to 5: the odd margin of 5 is rounded down at the left
    assert (filled("size=8 resize=bicubic crop=square", image) == 1).all()
    assert filled("size=8 resize=torch-bicubic crop=square", image) == pytest.approx(1, abs=1e-6)
    assert (filled("size=8 resize=bicubic shortest=8", image) != 1).any()


def test_an_overshoot_is_kept():
    step = np.repeat(np.uint8([0, 255]), 8)[None, :, None].repeat(3, axis=2)
    out = filled("size=1,64 resize=torch-bicubic range=0,255", step)
    assert out.min() < -1
    assert out.max() > 256


def test_many_fields_in_one_text():
    text = "size=9 resize=torch-bicubic shortest=12 range=0,255 mean=1,2,3 std=4,5,6 layout=NHWC crop=square"
    assert str(Preprocessing.parse(text)) == text


def test_an_output_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="shape"):
        resolve("size=5 resize=torch-bicubic").kernel(noise(4, 4), np.empty((3, 5, 4), F))
