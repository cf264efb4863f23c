"""The resize kernels: against a NumPy twin to the last bit, against torch and torch-fidelity at golden samples."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastfid import _core
from fastfid.errors import InputError
from fastfid.images.modes import MODES, kernel

GOLDEN = Path(__file__).parent / "golden"
RECIPE = runpy.run_path(str(GOLDEN / "make_golden.py"))
F = np.float32


def pytorch_position(scale, i):
    """max(0, fma(scale, i + 0.5, -0.5)), correctly rounded.

    A float32 scale has 24 bits, i + 0.5 has at most 13 here: their product is exact in float64, and so is the sum
    with -0.5. Rounding that to float32 is the one rounding of fma.
    """
    return np.maximum(F(0), (scale.astype(np.float64) * (i + 0.5) - 0.5).astype(F))


TWINS = {
    "pytorch": {
        "decode": lambda x: x.astype(F) / F(255),
        "position": pytorch_position,
        "blend": lambda a, b, w: a * (F(1) - w) + b * w,
        "scale": lambda x: F(2) * x - F(1),
    },
    "tensorflow": {
        "decode": lambda x: x.astype(F),
        "position": lambda scale, i: i.astype(F) * scale,
        "blend": lambda a, b, w: a + (b - a) * w,
        "scale": lambda x: (x - F(128)) / F(128),
    },
}


def twin(mode, image, height, width):
    """The specification: uint8 (h, w, 3) -> float32 (3, height, width), every step in float32."""
    steps = TWINS[mode]

    def along(planes, axis, out):  # one axis of (3, h, w)
        size = planes.shape[axis]
        source = steps["position"](np.float64(size / out).astype(F), np.arange(out))
        low = source.astype(np.int64)
        weight = (source - low.astype(F)).reshape([-1 if a == axis else 1 for a in range(3)])
        return steps["blend"](planes.take(low, axis), planes.take(np.minimum(low + 1, size - 1), axis), weight)

    planes = steps["decode"](image.transpose(2, 0, 1))
    return steps["scale"](along(along(planes, 2, width), 1, height))


def resized(mode, image, height=299, width=299):
    out = np.full((3, height, width), np.nan, F)
    MODES[mode](image, out)
    return out


def noise(height, width, seed=0):
    return np.random.RandomState(seed).randint(0, 256, (height, width, 3), dtype=np.uint8)


both_modes = pytest.mark.parametrize("mode", TWINS)
pixels = st.integers(1, 40)


@both_modes
@given(h=pixels, w=pixels, out_h=st.integers(1, 90), out_w=st.integers(1, 90), seed=st.integers(0, 2**32 - 1))
@example(h=1, w=1, out_h=1, out_w=1, seed=0)
@example(h=40, w=1, out_h=1, out_w=90, seed=0)
def test_equals_the_twin_to_the_last_bit(mode, h, w, out_h, out_w, seed):
    image = noise(h, w, seed)
    np.testing.assert_array_equal(resized(mode, image, out_h, out_w), twin(mode, image, out_h, out_w), strict=True)


@both_modes
@pytest.mark.parametrize(("h", "w"), [(1, 1), (1, 7), (298, 300), (299, 299), (600, 400)])
def test_equals_the_twin_at_the_networks_size(mode, h, w):
    image = noise(h, w)
    np.testing.assert_array_equal(resized(mode, image), twin(mode, image, 299, 299), strict=True)


@pytest.mark.parametrize("shape", RECIPE["SHAPES"], ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize(("mode", "bound"), [("pytorch", 1e-6), ("tensorflow", 0)])
def test_golden(mode, bound, shape, record_property):
    with np.load(GOLDEN / "resize.npz") as golden:
        expected = golden[f"{mode}_{shape[0]}x{shape[1]}"]
    got = resized(mode, RECIPE["image"](*shape)).ravel()[RECIPE["positions"](*shape)]
    worst = float(np.abs(got - expected).max())
    record_property("worst", float(worst))
    assert worst <= bound


@both_modes
@given(h=pixels, w=pixels, seed=st.integers(0, 2**32 - 1))
def test_identity_at_equal_sizes(mode, h, w, seed):
    image = noise(h, w, seed)
    steps = TWINS[mode]
    np.testing.assert_array_equal(resized(mode, image, h, w), steps["scale"](steps["decode"](image.transpose(2, 0, 1))))


@both_modes
@given(h=pixels, w=pixels, value=st.integers(0, 255))
def test_a_constant_stays_constant(mode, h, w, value):
    image = np.full((h, w, 3), value, np.uint8)
    expected = {"pytorch": 2 * value / 255 - 1, "tensorflow": value / 128 - 1}[mode]
    np.testing.assert_allclose(resized(mode, image, 33, 35), expected, rtol=0, atol=3e-7)


@both_modes
@given(h=pixels, w=pixels, seed=st.integers(0, 2**32 - 1))
def test_stays_within_the_range(mode, h, w, seed):
    out = resized(mode, noise(h, w, seed), 37, 41)
    assert -1 <= out.min() <= out.max() <= 1


@both_modes
@given(h=pixels, w=pixels, seed=st.integers(0, 2**32 - 1))
def test_channels_are_apart(mode, h, w, seed):
    image = noise(h, w, seed)
    alone = image.copy()
    alone[..., 1:] = 0
    out, out_alone = resized(mode, image, 23, 29), resized(mode, alone, 23, 29)
    np.testing.assert_array_equal(out[0], out_alone[0])
    assert (out_alone[1:] == -1).all()


@both_modes
@pytest.mark.parametrize(
    ("image", "out", "error"),
    [
        (np.zeros((4, 4, 3), np.float32), np.zeros((3, 5, 5), F), TypeError),
        (np.zeros((4, 4), np.uint8), np.zeros((3, 5, 5), F), TypeError),
        (np.zeros((4, 8, 3), np.uint8)[:, ::2], np.zeros((3, 5, 5), F), TypeError),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((3, 5, 5)), TypeError),
        (np.zeros((4, 4, 4), np.uint8), np.zeros((3, 5, 5), F), ValueError),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((1, 5, 5), F), ValueError),
        (np.zeros((0, 4, 3), np.uint8), np.zeros((3, 5, 5), F), ValueError),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((3, 0, 5), F), ValueError),
    ],
)
def test_refuses_what_it_would_have_to_convert(mode, image, out, error):
    with pytest.raises(error):
        MODES[mode](image, out)


def test_does_not_write_into_a_read_only_array():
    out = np.zeros((3, 5, 5), F)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="writeable"):
        _core.resize_pytorch(noise(4, 4), out)
    assert not out.any()


def test_names_the_modes_there_are():
    assert kernel("pytorch") is _core.resize_pytorch
    assert kernel("tensorflow") is _core.resize_tensorflow
    with pytest.raises(InputError, match=r"pytorch, tensorflow.*got 'cubist'"):
        kernel("cubist")
