"""Specifications of preprocessing: against Pillow and NumPy, torchvision and open_clip (golden); their text."""

import platform
import runpy
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import PIL
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from PIL import Image

from fastfid.errors import ImageError, InputError
from fastfid.images.modes import MODES, kernel, resolve
from fastfid.images.preprocess import FILTERS, LAYOUTS, PRESETS, Preprocessing

GOLDEN = Path(__file__).parent / "golden"
RECIPE = runpy.run_path(str(GOLDEN / "make_preprocess_golden.py"))
F = np.float32

# Pillow 13 is the first to take columns first where an image is high; elsewhere compilers may contract its sums.
SAME_PILLOW = int(PIL.__version__.split(".")[0]) >= 13 and platform.machine() in ("x86_64", "AMD64")


def twin(p, image):
    """The specification: Pillow's resize, exact integers for the crop, one NumPy operation for each of torch's."""
    if p.crop:
        side = min(image.shape[:2])
        top, left = ((length - side) // 2 for length in image.shape[:2])
        image = np.asarray(Image.fromarray(image).crop((left, top, left + side, top + side)))
    (height, width), (h, w) = p.size, image.shape[:2]
    rows, columns = height, width
    if p.shortest is not None:
        rows, columns = (p.shortest * side // min(h, w) for side in (h, w))
    filter_ = getattr(Image.Resampling, p.resize.upper())
    resized = np.asarray(Image.fromarray(image).resize((columns, rows), filter_))
    top, left = (round(Fraction(a - b, 2)) for a, b in ((rows, height), (columns, width)))
    x = resized[top : top + height, left : left + width].transpose(2, 0, 1)
    low, high = p.range
    v = x.astype(F) / F(255) if p.range == (0, 1) else (low + (high - low) * x.astype(np.float64) / 255).astype(F)
    return (v - np.array(p.mean, F)[:, None, None]) / np.array(p.std, F)[:, None, None]


def filled(mode, image):
    protocol = resolve(mode)
    out = np.full((3, *protocol.size), np.nan, F)
    protocol.kernel(image, out)
    return out


def noise(height, width, seed=0):
    return np.random.RandomState(seed).randint(0, 256, (height, width, 3), dtype=np.uint8)


pixels = st.integers(1, 40)
numbers = st.floats(-1e6, 1e6)
positive = st.floats(1e-6, 1e6)


@st.composite
def preprocessings(draw):
    size = draw(st.one_of(pixels, st.tuples(pixels, pixels)))
    low, high = sorted(draw(st.tuples(numbers, numbers)))
    assume(low < high)
    return Preprocessing(
        size,
        draw(st.sampled_from(FILTERS)),
        draw(st.one_of(st.none(), st.integers(np.max(size), 60))),
        draw(st.sampled_from([(0, 1), (-1, 1), (0, 255), (low, high)])),
        draw(st.one_of(numbers, st.tuples(numbers, numbers, numbers))),
        draw(st.one_of(positive, st.tuples(positive, positive, positive))),
        draw(st.sampled_from([None, *LAYOUTS])),
        draw(st.sampled_from([None, "square"])),
    )


# What comes out.


@given(p=preprocessings(), h=pixels, w=pixels, seed=st.integers(0, 2**32 - 1))
@example(p=Preprocessing(5, "bicubic"), h=1, w=1, seed=0)
@example(p=Preprocessing((3, 40), "lanczos", 41), h=1, w=40, seed=0)
def test_equals_its_twin(p, h, w, seed):
    image = noise(h, w, seed)
    np.testing.assert_array_equal(filled(p, image), twin(p, image), strict=True)


@pytest.mark.parametrize("name", RECIPE["MODES"])
@pytest.mark.parametrize("shape", RECIPE["SHAPES"], ids=lambda s: f"{s[0]}x{s[1]}")
def test_equals_its_twin_at_a_networks_size(name, shape):
    p, image = Preprocessing.parse(RECIPE["MODES"][name]), noise(*shape)
    np.testing.assert_array_equal(filled(p, image), twin(p, image), strict=True)


@pytest.mark.skipif(not SAME_PILLOW, reason="another Pillow than that of the golden numbers")
@pytest.mark.parametrize("name", RECIPE["MODES"])
def test_golden(name):
    with np.load(GOLDEN / "preprocess.npz") as golden:
        expected = golden[name]
    for shape, row in zip(RECIPE["SHAPES"], expected, strict=True):
        out = filled(RECIPE["MODES"][name], RECIPE["image"](*shape))
        got = out.ravel()[RECIPE["positions"](*shape, out.size)]
        np.testing.assert_array_equal(got, row, strict=True, err_msg=str(shape))


RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ("0,1", np.arange(256, dtype=F) / F(255)),
        ("0,255", np.arange(256, dtype=F)),
        ("-1,1", np.array([float(Fraction(2 * x, 255) - 1) for x in range(256)], F)),
    ],
)
def test_the_range_is_what_0_and_255_become(bounds, expected):
    out = filled(f"size=16 resize=bicubic range={bounds}", RAMP)
    np.testing.assert_array_equal(out.reshape(3, 256), [expected] * 3)


def test_mean_and_std_belong_to_red_green_and_blue():
    out = filled("size=1 resize=box range=0,255 mean=1,2,3 std=2,4,8", np.uint8([[[101, 52, 23]]]))
    assert out.ravel().tolist() == [50, 12.5, 2.5]


def test_size_is_height_then_width():
    assert filled("size=2,5 resize=box", noise(9, 9)).shape == (3, 2, 5)
    assert filled("size=2,5 resize=box shortest=6", noise(9, 20)).shape == (3, 2, 5)


@given(p=preprocessings(), seed=st.integers(0, 2**32 - 1))
def test_fills_a_channels_last_batch_from_a_read_only_image(p, seed):
    image, batch = noise(7, 9, seed), np.full((*p.size, 3), np.nan, F)
    image.flags.writeable = False
    resolve(p).kernel(image, batch.transpose(2, 0, 1))
    np.testing.assert_array_equal(batch, filled(p, image).transpose(1, 2, 0))


def test_many_threads_share_a_kernel():
    images = [noise(50 + i % 7, 60 - i % 5, i) for i in range(64)]
    protocol = resolve("dinov2")
    batch = np.full((len(images), 3, *protocol.size), np.nan, F)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(protocol.kernel, images, batch))
    for image, out in zip(images, batch, strict=True):
        np.testing.assert_array_equal(out, filled("dinov2", image))


@pytest.mark.parametrize(
    ("image", "out", "error"),
    [
        (np.zeros((4, 4, 3), F), np.zeros((3, 5, 5), F), TypeError),
        (np.zeros((4, 4, 3), np.int64), np.zeros((3, 5, 5), F), TypeError),
        (np.zeros((4, 4), np.uint8), np.zeros((3, 5, 5), F), ValueError),
        (np.zeros((4, 4, 4), np.uint8), np.zeros((3, 5, 5), F), ValueError),
        (np.zeros((0, 4, 3), np.uint8), np.zeros((3, 5, 5), F), ValueError),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((3, 5, 5)), TypeError),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((3, 5, 4), F), ValueError),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((1, 5, 5), F), ValueError),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5, 5), F), ValueError),
    ],
)
def test_refuses_what_it_would_have_to_convert(image, out, error):
    with pytest.raises(error):
        kernel("size=5 resize=box")(image, out)


def test_refuses_what_would_grow_beyond_pillows_limit(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10 * 80 // 2)
    assert filled("size=4 resize=box shortest=10", noise(1, 8)).shape == (3, 4, 4)
    with pytest.raises(ImageError, match=r"9x1 pixels \(width x height\) becomes 90x10 .* resized to 10"):
        filled("size=4 resize=box shortest=10", noise(1, 9))
    assert filled("size=4 resize=box", noise(1, 9)).shape == (3, 4, 4)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert filled("size=4 resize=box shortest=10", noise(1, 9)).shape == (3, 4, 4)


# Text.


@given(p=preprocessings())
@example(p=Preprocessing(1, "box", mean=(0.1 + 0.2, 1e-310, 1e22), std=(1e-5, 5e-7, 1e16)))
def test_text_and_back(p):
    text = str(p)
    assert Preprocessing.parse(text) == p
    assert str(Preprocessing.parse(text)) == text


@pytest.mark.parametrize(
    "other",
    [
        Preprocessing(size=(8, 8), resize="box", shortest=9, range=(0.0, 1.0), mean=0.5, std=(2, 2, 2)),
        Preprocessing(size=np.int64(8), resize="box", shortest=np.int32(9), mean=np.full(3, 0.5), std=F(2)),
        Preprocessing(size=[8, 8], resize="box", shortest=9, range=[-0.0, 1], mean=[0.5, 0.5, 0.5], std=2),
        Preprocessing.parse("std=2e0  mean=.5 \n resize=box\tsize=8,8 shortest=9"),
    ],
)
def test_equal_preprocessings_have_equal_text_and_hash(other):
    p = Preprocessing.parse("size=8 resize=box shortest=9 mean=0.5,0.5,0.5 std=2")
    assert other == p
    assert str(other) == str(p) == "size=8 resize=box shortest=9 range=0,1 mean=0.5,0.5,0.5 std=2,2,2"
    assert len({other, p}) == 1


def test_presets_are_the_published_ones():
    assert Preprocessing.parse("clip") == Preprocessing(
        size=224,
        resize="bicubic",
        shortest=224,
        mean=(0.48145466, 0.4578275, 0.40821073),
        std=(0.26862954, 0.26130258, 0.27577711),
    )
    assert Preprocessing.parse("dinov2") == Preprocessing(
        size=224, resize="bicubic", shortest=256, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
    )


def test_a_preset_is_recorded_as_what_it_stands_for():
    assert {"clip", "dinov2"} < set(PRESETS)
    for preset, text in PRESETS.items():
        p = Preprocessing.parse(text)
        assert resolve(preset).name == resolve(f" {preset}\n").name == resolve(p).name == resolve(text).name == str(p)


def test_the_layout_is_not_recorded():
    p = Preprocessing(size=(4, 6), resize="box", layout="NHWC")
    assert resolve(p).layout == "NHWC"
    assert resolve(p).size == (4, 6)
    assert str(p).endswith(" layout=NHWC")
    assert resolve(p).name == resolve(replace(p, layout=None)).name == str(replace(p, layout=None))


@pytest.mark.parametrize("mode", MODES)
def test_the_protocols_stay_what_they_are(mode):
    assert resolve(mode) == (mode, MODES[mode], None, None)
    assert kernel(mode) is MODES[mode]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size=8", "'size=8' does not set resize; write it like 'size=224"),
        ("mean=0", "does not set size and resize"),
        ("size=8 resize=box interpolation=3", "no field 'interpolation'; the fields are size, resize, shortest, range"),
        ("size=8 resize=box size=9", "sets size twice"),
        ("size=8 resize=box mean=0.5, 0.5, 0.5", "mean=0.5,: mean takes numbers, separated by commas"),
        ("size= 8 resize=box", "'size=' in .* is not field=value, without spaces inside"),
        ("clip size=336", "'clip' in 'clip size=336' is not field=value"),
        ("size=8.5 resize=box", "size=8.5: size takes whole numbers"),
        ("size=a resize=box", "size=a: size takes whole numbers"),
        ("size=8 resize=box std=one", "std=one: std takes numbers"),
        ("size=0 resize=box", "size must be at least 1, got 0"),
        ("size=8,-1 resize=box", "size must be at least 1, got -1"),
        ("size=65536 resize=box", "size must be at most 65535 pixels, got 65536"),
        ("size=8 resize=box shortest=65536", "shortest must be at most 65535 pixels, got 65536"),
        ("size=1,2,3 resize=box", r"size must be one number, or height and width; got \(1, 2, 3\)"),
        (
            "size=8 resize=cubic",
            "resize must be one of nearest, .*, tensorflow-bilinear; got 'cubic'",
        ),
        ("size=8 resize=box shortest=7", "shortest must be at least 8, .* got 7; leave it out to stretch"),
        ("size=8,10 resize=box shortest=9", "shortest must be at least 10"),
        ("size=8 resize=box shortest=9,9", r"shortest must be a whole number, got \(9, 9\)"),
        ("size=8 resize=box range=1", "range must be 2 numbers, got 1.0"),
        ("size=8 resize=box range=1,0", r"the lower one first, got \(1.0, 0.0\)"),
        ("size=8 resize=box range=1,1", "the lower one first"),
        ("size=8 resize=box range=0,inf", r"range must be finite, got \(0.0, inf\)"),
        ("size=8 resize=box mean=nan", "mean must be finite, got nan"),
        ("size=8 resize=box mean=1,2", r"mean must be one or three numbers, got \(1.0, 2.0\)"),
        ("size=8 resize=box std=1,0,1", r"std must be positive, got \(1.0, 0.0, 1.0\)"),
        ("size=8 resize=box std=-1", "std must be positive, got -1.0"),
        ("size=8 resize=box std=1e-50", "float32 numbers for every pixel; size=8 .* std=1e-50,1e-50,1e-50 does not"),
        ("size=8 resize=box mean=1e39", "float32 numbers for every pixel"),
        ("size=8 resize=box range=-1e308,1e308", "float32 numbers for every pixel"),
        ("size=8 resize=box layout=CHW", "layout must be one of NCHW, NHWC; got 'CHW'"),
        ("Clip", "got 'Clip'.*: clip, dinov2, .*cmmd, or write it like 'size=224"),
        ("", "mode must be one of pytorch, tensorflow, clean, keras, torchmetrics; got ''"),
        (None, "mode must be one of .*; got None"),
    ],
)
def test_refused_text(text, message):
    with pytest.raises(InputError, match=message):
        resolve(text)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("size", v) for v in ("8", 8.0, True, None, (8, 8, 8), (8, 8.5), np.array([8, 8]))],
        *[("shortest", v) for v in (8.5, "8", False)],
        *[("range", v) for v in ("01", None, (0, None), (False, True), (0, 10**400))],
        *[("mean", v) for v in ("0.5", True, None, (0, 0, True), np.zeros((3, 3)), 10**400, 1j)],
        *[("std", v) for v in (0, float("inf"), {})],
        *[("resize", v) for v in (3, None, "BICUBIC")],
        *[("layout", v) for v in ("nchw", 1)],
    ],
)
def test_refused_fields(field, value):
    with pytest.raises(InputError, match=f"^{field} must be "):
        Preprocessing(**{"size": 8, "resize": "box", field: value})


def test_a_mode_is_resolved_without_pillow():
    code = "import sys; from fastfid.images.modes import resolve; resolve('clip'); print('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize(("theirs", "ours"), [("legacy_pytorch", "pytorch"), ("legacy_tensorflow", "tensorflow")])
def test_names_of_clean_fid_name_ours(theirs, ours):
    with pytest.raises(InputError, match=f"mode '{theirs}' is clean-fid's name; here it is mode='{ours}'"):
        resolve(theirs)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(1, 65535, 3), (65535, 1, 3)])
def test_the_longest_side_there_may_be(mode, shape):
    out = np.empty((3, 299, 299), np.float32)
    kernel(mode)(np.full(shape, 255, np.uint8), out)
    assert np.abs(out - 1).max() < 0.01
