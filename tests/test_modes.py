"""The modes clean, keras and torchmetrics: against Pillow and SciPy, NumPy twins, and the tools at golden samples."""

import platform
import runpy
from pathlib import Path

import numpy as np
import PIL
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from fastfid import _core
from fastfid.errors import InputError
from fastfid.images.modes import MODES, kernel

GOLDEN = Path(__file__).parent / "golden"
RECIPE = runpy.run_path(str(GOLDEN / "make_modes_golden.py"))
F, D = np.float32, np.float64
ULP = 2.0**-23  # the spacing of float32 just below 2: the largest that one rounding can move a result

# Pillow 13 is the first to take columns first where an image is high; elsewhere compilers may contract its sums.
SAME_PILLOW = int(PIL.__version__.split(".")[0]) >= 13 and platform.machine() in ("x86_64", "AMD64")


def clean(image, height, width):
    """Pillow itself, as clean-fid calls it."""
    planes = [
        np.asarray(Image.fromarray(plane.astype(F)).resize((width, height), Image.Resampling.BICUBIC))
        for plane in image.transpose(2, 0, 1)
    ]
    return (np.stack(planes).clip(F(0), F(255)) - F(128)) / F(128)


def gaussian(planes, axis, sigma):
    """One axis of (3, h, w) smoothed: float64 sums over float32, mirrored about the edge pixels."""
    radius = int(4 * sigma + 0.5)
    if radius == 0:
        return planes
    weights = np.exp(-0.5 / sigma**2 * np.arange(-radius, radius + 1.0) ** 2)
    weights /= weights.sum()
    padded = np.pad(planes, [(radius, radius) if a == axis else (0, 0) for a in range(3)], mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded.astype(D), 2 * radius + 1, axis)
    return (windows * weights).sum(-1).astype(F)


def keras(image, height, width):
    """scikit-image's resize(order=0) on float32, then preprocess_input, in NumPy."""
    planes = image.transpose(2, 0, 1).astype(F)
    for axis, out in ((1, height), (2, width)):
        planes = gaussian(planes, axis, max(0.0, (planes.shape[axis] / out - 1) / 2))
    for axis, out in ((1, height), (2, width)):
        center = (np.arange(out) + 0.5) * (planes.shape[axis] / out) - 0.5
        planes = planes.take(np.floor(center + 0.5).astype(int), axis)
    return planes / F(127.5) - F(1)


def keras_by_scipy(image, height, width):
    """The same by the two SciPy functions that scikit-image calls."""
    factors = np.divide(image.shape, (height, width, 3))
    planes = ndimage.gaussian_filter(image.astype(F), np.maximum(0, (factors - 1) / 2), mode="mirror")
    planes = ndimage.zoom(planes, [1 / f for f in factors], order=0, mode="mirror", grid_mode=True)
    return planes.transpose(2, 0, 1) / F(127.5) - F(1)


def triangles(size, out):
    """torch's windows of one axis, in its mixture of float32 and float64: (first, weights (float32)) an output."""
    scale = F(size) / F(out)
    support = max(scale, F(1))
    inverse = F(1 / float(support))
    most = 2 * int(np.ceil(support)) + 1
    for i in range(out):
        center = F(float(scale) * (i + 0.5))
        first = max(int(float(center - support) + 0.5), 0)
        last = min(int(float(center + support) + 0.5), size, first + most)
        offset = (np.arange(first, last).astype(F) - center).astype(D) + 0.5
        weights = np.maximum(F(1) - np.abs((offset * float(inverse)).astype(F)), F(0))
        yield first, weights / np.cumsum(weights)[-1]  # cumsum: from left to right, as torch adds


def torchmetrics(image, height, width):
    """torch's interpolate(antialias=True), float32: terms in fours with two roundings, the last few by FMA."""
    planes = image.transpose(2, 0, 1).astype(F)
    for axis, out in ((2, width), (1, height)):
        source, outputs = np.moveaxis(planes, axis, 0), []
        for first, weights in triangles(planes.shape[axis], out):
            total = source[first] * weights[0]
            plain = 1 + (len(weights) - 1) // 4 * 4
            for j, w in enumerate(weights[1:], 1):
                x = source[first + j]
                total = total + x * w if j < plain else (total.astype(D) + x.astype(D) * D(w)).astype(F)
            outputs.append(total)
        planes = np.moveaxis(np.stack(outputs), 0, axis)
    return (planes - F(128)) / F(128)


# What a mode is measured by, and how far apart the two may be.
TWINS = {
    "clean": (clean, 0 if SAME_PILLOW else 1e-6),
    "keras": (keras, ULP),  # sums in float64, in another order
    "torchmetrics": (torchmetrics, 0),
}
UNIT = {"clean": 128, "keras": 127.5, "torchmetrics": 128}


def resized(mode, image, height=299, width=299):
    out = np.full((3, height, width), np.nan, F)
    MODES[mode](image, out)
    return out


def noise(height, width, seed=0):
    return np.random.RandomState(seed).randint(0, 256, (height, width, 3), dtype=np.uint8)


def distance(a, b):
    assert a.dtype == b.dtype == F
    assert a.shape == b.shape
    return float(np.abs(a - b).max())


every_mode = pytest.mark.parametrize("mode", TWINS)
pixels = st.integers(1, 50)
seeds = st.integers(0, 2**32 - 1)


@every_mode
@given(h=pixels, w=pixels, out_h=pixels, out_w=pixels, seed=seeds)
@example(h=1, w=1, out_h=1, out_w=1, seed=0)
@example(h=1, w=50, out_h=50, out_w=1, seed=0)
@example(h=50, w=1, out_h=1, out_w=50, seed=0)
@example(h=50, w=9, out_h=7, out_w=9, seed=0)
def test_equals_its_twin(mode, h, w, out_h, out_w, seed):
    image = noise(h, w, seed)
    twin, bound = TWINS[mode]
    assert distance(resized(mode, image, out_h, out_w), twin(image, out_h, out_w)) <= bound


@every_mode
@pytest.mark.parametrize(("h", "w"), [(1, 7), (298, 300), (299, 299), (700, 310), (310, 700), (40, 900), (900, 40)])
def test_equals_its_twin_at_the_networks_size(mode, h, w):
    image = noise(h, w)
    twin, bound = TWINS[mode]
    assert distance(resized(mode, image), twin(image, 299, 299)) <= bound


@given(h=pixels, w=pixels, out_h=pixels, out_w=pixels, seed=seeds)
@example(h=50, w=3, out_h=5, out_w=30, seed=0)
def test_keras_equals_scipy(h, w, out_h, out_w, seed):
    image = noise(h, w, seed)
    assert distance(resized("keras", image, out_h, out_w), keras_by_scipy(image, out_h, out_w)) <= ULP


@pytest.mark.parametrize("shape", RECIPE["SHAPES"], ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize(("mode", "bound"), [("clean", 0), ("keras", ULP), ("torchmetrics", 0)])
def test_golden(mode, bound, shape, record_property):
    with np.load(GOLDEN / "modes.npz") as golden:
        expected = golden[f"{mode}_{shape[0]}x{shape[1]}"]
    worst = distance(resized(mode, RECIPE["image"](*shape)).ravel()[RECIPE["positions"](*shape)], expected)
    record_property("worst", float(worst))
    assert worst <= bound


@every_mode
@given(h=pixels, w=pixels, seed=seeds)
@example(h=299, w=299, seed=0)
def test_identity_at_equal_sizes(mode, h, w, seed):
    image = noise(h, w, seed)
    planes = image.transpose(2, 0, 1).astype(F)
    expected = planes / F(127.5) - F(1) if mode == "keras" else (planes - F(128)) / F(128)
    np.testing.assert_array_equal(resized(mode, image, h, w), expected, strict=True)


@every_mode
@given(h=pixels, w=pixels, value=st.integers(0, 255))
@example(h=1, w=50, value=255)
@example(h=34, w=38, value=254)
def test_a_constant_stays_constant(mode, h, w, value):
    image = np.full((h, w, 3), value, np.uint8)
    expected = value / UNIT[mode] - 1
    # torchmetrics' weights add up to 1 but for the rounding of each, in both directions; the others' do exactly.
    np.testing.assert_allclose(
        resized(mode, image, 33, 15), expected, rtol=0, atol=1e-6 if mode == "torchmetrics" else 2e-7
    )


@every_mode
@given(h=pixels, w=pixels, seed=seeds)
def test_stays_within_the_range(mode, h, w, seed):
    out = resized(mode, noise(h, w, seed), 37, 21)
    assert out.min() >= -1
    assert out.max() <= F(255 / UNIT[mode] - 1) + (4 * ULP if mode == "torchmetrics" else 0)  # as torch itself


def test_clean_is_clipped_and_not_quantised():
    step = np.repeat(np.uint8([0, 255]), 8)[None, :, None].repeat(3, axis=2)  # a cubic overshoots beside a step
    out = 128 * resized("clean", step, 1, 64) + 128
    assert out.min() == 0
    assert out.max() == 255
    assert (out != np.round(out)).any()


@every_mode
@given(h=pixels, w=pixels, seed=seeds)
def test_channels_are_apart(mode, h, w, seed):
    image = noise(h, w, seed)
    alone = image.copy()
    alone[..., 1:] = 0
    out, out_alone = resized(mode, image, 23, 29), resized(mode, alone, 23, 29)
    np.testing.assert_array_equal(out[0], out_alone[0])
    assert (out_alone[1:] == -1).all()


@every_mode
@pytest.mark.parametrize(
    ("image", "out", "error"),
    [
        (np.zeros((4, 4, 3), F), np.zeros((3, 5, 5), F), TypeError),
        (np.zeros((4, 8, 3), np.uint8)[:, ::2], np.zeros((3, 5, 5), F), TypeError),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((3, 5, 5)), TypeError),
        (np.zeros((4, 4, 4), np.uint8), np.zeros((3, 5, 5), F), ValueError),
        (np.zeros((0, 4, 3), np.uint8), np.zeros((3, 5, 5), F), ValueError),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((3, 0, 5), F), ValueError),
    ],
)
def test_refuses_what_it_would_have_to_convert(mode, image, out, error):
    with pytest.raises(error):
        MODES[mode](image, out)


def test_names_the_modes_there_are():
    assert [kernel(mode) for mode in TWINS] == [_core.resize_clean, _core.resize_keras, _core.resize_torchmetrics]
    with pytest.raises(InputError, match="clean, keras, torchmetrics; got 'Clean'"):
        kernel("Clean")
