"""Image files and PIL images to RGB arrays: losses, limits, damaged files."""

import io
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from fastfid.errors import ImageError, InputError
from fastfid.images.decode import ENDINGS, as_rgb, decode, digest, from_pil

RNG = np.random.RandomState(7)
RGB = RNG.randint(0, 256, (23, 31, 3), dtype=np.uint8)
GREY = RGB[..., 0]
INTEGERS = [np.dtype(code) for code in ("u1", "i1", "u2", "i2", ">u2", "i4", "u4", "i8", ">i8", "u8")]


def rgb():
    return Image.fromarray(RGB)


def alpha(mode, opaque=False):
    image = rgb().convert(mode)
    image.putalpha(255 if opaque else Image.fromarray(GREY))
    return image


def rotated():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


# file name, image, save options, losses expected
FORMATS = [
    ("rgb.png", rgb(), {}, ()),
    ("grey.png", rgb().convert("L"), {}, ()),
    ("bit.png", rgb().convert("1"), {}, ()),
    ("palette.png", rgb().quantize(16), {}, ()),
    ("palette-int.png", rgb().quantize(16), {"transparency": 3}, ("alpha",)),
    ("palette-bytes.png", rgb().quantize(16), {"transparency": bytes(range(0, 256, 16))}, ("alpha",)),
    ("rgb-key.png", rgb(), {"transparency": (1, 2, 3)}, ("alpha",)),
    ("rgba.png", alpha("RGB"), {}, ("alpha",)),
    ("opaque.png", alpha("RGB", opaque=True), {}, ()),
    ("grey-alpha.png", alpha("L"), {}, ("alpha",)),
    ("sixteen.png", Image.fromarray(GREY.astype(np.uint16) * 3), {}, ("16-bit",)),
    ("plain.jpg", rgb(), {}, ()),
    ("UPPER.JPEG", rgb(), {}, ()),
    ("grey.jpg", rgb().convert("L"), {}, ()),
    ("cmyk.jpg", rgb().convert("CMYK"), {}, ()),
    ("progressive.jpg", rgb(), {"progressive": True}, ()),
    ("rotated.jpg", rgb(), {"exif": rotated()}, ()),
    ("plain.webp", rgb(), {}, ()),
    ("alpha.webp", alpha("RGB"), {"lossless": True}, ("alpha",)),
    ("plain.tiff", rgb(), {}, ()),
    ("lzw.tif", rgb(), {"compression": "tiff_lzw"}, ()),
    ("cmyk.tif", rgb().convert("CMYK"), {}, ()),
    ("sixteen.tif", Image.fromarray(GREY.astype(np.uint16) * 3), {}, ("16-bit",)),
    ("int32.tif", Image.fromarray(GREY.astype(np.int32) * 1000), {}, ("16-bit",)),
    ("float.tif", Image.fromarray(GREY.astype(np.float32) * 1.5), {}, ("16-bit",)),
    ("grey.pgm", rgb().convert("L"), {}, ()),
    ("rgb.ppm", rgb(), {}, ()),
    ("rgb.bmp", rgb(), {}, ()),
    ("really-a-gif.png", rgb(), {"format": "GIF"}, ()),
    ("图像 é.png", rgb(), {}, ()),
]


def reference(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path) as image:
            return np.array(image.convert("RGB"))


def in_thread(function, *args):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *args).result()


@pytest.mark.parametrize(("name", "image", "options", "losses"), FORMATS, ids=[row[0] for row in FORMATS])
def test_equals_pillow(tmp_path, name, image, options, losses):
    path = tmp_path / name
    image.save(path, **options)
    pixels, found, encoding, quality, digest, damage = in_thread(decode, path, str(path))
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    np.testing.assert_array_equal(pixels, reference(path))
    assert found == losses
    with Image.open(path) as opened:
        assert encoding == opened.format
    assert (quality is not None) == (encoding == "JPEG")
    again = decode(path.read_bytes(), name)
    np.testing.assert_array_equal(again.pixels, pixels)
    assert again[1:] == (found, encoding, quality, digest, damage)
    assert damage == ""


@pytest.mark.parametrize("quality", [25, 49, 50, 51, 75, 90, 95, 99, 100])
def test_quality_of_a_jpeg(tmp_path, quality):
    rgb().save(tmp_path / "q.jpg", quality=quality)
    assert decode(tmp_path / "q.jpg", "q").quality == min(quality, 99)  # entries end at 1, and below 25 at 255


def test_digest_tells_files_and_shapes_apart(tmp_path):
    rgb().save(tmp_path / "a.png")
    other = RGB.copy()
    other[0, 0, 0] ^= 1
    Image.fromarray(other).save(tmp_path / "b.png")
    a, b = (decode(tmp_path / name, name).digest for name in ("a.png", "b.png"))
    assert a != b
    assert a == decode(tmp_path / "a.png", "again").digest < 2**64
    flat = np.zeros((2, 8, 3), np.uint8)
    assert digest(flat) == digest(flat.copy()) != digest(flat.reshape(4, 4, 3))


def test_every_ending_is_tested():
    assert {Path(row[0]).suffix[1:].lower() for row in FORMATS} == ENDINGS


def test_exif_rotation_is_not_applied(tmp_path):
    rgb().save(tmp_path / "r.jpg", exif=rotated())
    assert decode(tmp_path / "r.jpg", "r")[0].shape == RGB.shape


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "ppm", "tif", "webp"])
def test_truncated_file_is_an_image_error(tmp_path, ending):
    path = tmp_path / f"cut.{ending}"
    rgb().save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageError, match=rf"cut\.{ending}: .+"):
        in_thread(decode, path, str(path))


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"P6 0 4 255\n"])
def test_corrupt_file_is_an_image_error(tmp_path, content):
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"cannot decode here/bad\.png: .+") as caught:
        decode(path, "here/bad.png")
    assert caught.value.__cause__ is not None


@given(st.data())
def test_damaged_bytes_raise_nothing_but_image_errors(data):
    file = io.BytesIO()
    Image.fromarray(RGB).save(file, data.draw(st.sampled_from(["PNG", "JPEG", "TIFF", "WEBP", "BMP", "PPM"])))
    content = bytearray(file.getvalue())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, min(len(content) - 1, 200)))] = data.draw(st.integers(0, 255))
    try:
        pixels = decode(bytes(content), "damaged").pixels
    except ImageError:
        return
    assert pixels.ndim == 3


def test_missing_file_says_why(tmp_path):
    with pytest.raises(ImageError, match="cannot decode gone: No such file or directory"):
        decode(tmp_path / "gone.png", "gone")


def test_memory_error_is_not_a_bad_image(tmp_path, monkeypatch):
    def exhausted(*args, **options):
        raise MemoryError

    monkeypatch.setattr(Image, "open", exhausted)
    with pytest.raises(MemoryError):
        decode(b"", "a")


def test_bombs(tmp_path, monkeypatch):
    path = tmp_path / "large.png"
    rgb().save(path)
    size = RGB.shape[0] * RGB.shape[1]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", size // 2 - 1)
    with pytest.raises(ImageError, match=r"cannot decode large: .*exceeds limit"):
        in_thread(decode, path, "large")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", size - 1)
    pixels, losses, *_ = in_thread(decode, path, "large")  # Pillow warns here, and warnings are errors
    np.testing.assert_array_equal(pixels, RGB)
    assert losses == ("larger than PIL.Image.MAX_IMAGE_PIXELS",)
    for limit in (size, None):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        assert decode(path, "large")[1] == ()


def test_several_losses_of_one_image(tmp_path, monkeypatch):
    Image.fromarray(GREY.astype(np.uint16)).save(tmp_path / "a.png", transparency=7)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", GREY.size - 1)
    losses = decode(tmp_path / "a.png", "a")[1]
    assert losses == ("16-bit", "alpha", "larger than PIL.Image.MAX_IMAGE_PIXELS")


def test_pillow_warns_of_what_is_muted_here(tmp_path):
    """Otherwise the tests of silence would prove nothing."""
    path = tmp_path / "p.png"
    rgb().quantize(16).save(path, transparency=bytes(16))
    with Image.open(path) as image, pytest.raises(UserWarning, match="expressed in bytes"):
        image.convert("RGB")
    decode(path, "p")
    with Image.open(path) as image:
        from_pil(image, "p")
    with Image.open(path) as image, pytest.raises(UserWarning, match="expressed in bytes"):
        image.convert("RGB")  # still issued outside of decode


def test_only_decoding_threads_are_muted(tmp_path):
    decoding, heard = threading.Event(), threading.Event()

    class Slow:
        def __fspath__(self):
            decoding.set()
            assert heard.wait(10)
            warnings.warn("not shown", UserWarning, stacklevel=1)
            return str(tmp_path / "a.png")

    rgb().save(tmp_path / "a.png")
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(decode, Slow(), "slow")
        assert decoding.wait(10)
        with pytest.warns(UserWarning, match="shown"):
            warnings.warn("shown", UserWarning, stacklevel=1)
        with pytest.raises(UserWarning, match="an error"):
            warnings.warn("an error", UserWarning, stacklevel=1)
        heard.set()
        np.testing.assert_array_equal(future.result()[0], RGB)


def test_muted_although_a_filter_came_in_front(tmp_path):
    path = tmp_path / "p.png"
    rgb().quantize(16).save(path, transparency=bytes(16))
    decode(path, "p")
    warnings.simplefilter("error")  # pytest restores the filters
    in_thread(decode, path, "p")


def test_muting_adds_one_filter(tmp_path):
    rgb().save(tmp_path / "a.png")
    decode(tmp_path / "a.png", "a")
    before = list(warnings.filters)
    for _ in range(3):
        decode(tmp_path / "a.png", "a")
    assert warnings.filters == before


def test_many_threads_agree(tmp_path):
    for name, image, options, _ in FORMATS:
        image.save(tmp_path / name, **options)
    paths = [tmp_path / row[0] for row in FORMATS] * 10
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda path: decode(path, "x")[0], paths))
    for path, pixels in zip(paths, results, strict=True):
        np.testing.assert_array_equal(pixels, reference(path))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "LA", "PA", "CMYK", "YCbCr", "HSV", "I", "F", "I;16", "RGBX"])
def test_from_pil(mode):
    image = rgb().convert("L").convert("I;16") if mode == "I;16" else rgb().convert("L" if mode in "PA" else "RGB")
    image = image if mode == "I;16" else image.convert("LA").convert("PA") if mode == "PA" else image.convert(mode)
    pixels, losses, *_ = from_pil(image, "x")
    np.testing.assert_array_equal(pixels, np.asarray(image.convert("RGB")))
    assert losses == (("16-bit",) if mode in ("I", "F", "I;16") else ())


def test_from_pil_refuses_an_empty_image():
    with pytest.raises(ImageError, match="cannot decode image 3: its size is 0x4"):
        from_pil(Image.new("RGB", (0, 4)), "image 3")


shapes = st.tuples(st.integers(1, 6), st.integers(1, 6)).flatmap(lambda hw: st.sampled_from([hw, (*hw, 1), (*hw, 3)]))


@given(st.data())
def test_as_rgb_keeps_values(data):
    dtype = data.draw(st.sampled_from(INTEGERS))
    high = min(255, np.iinfo(dtype).max)
    array = data.draw(hnp.arrays(dtype, data.draw(shapes), elements=st.integers(0, high)))
    if data.draw(st.booleans()):
        array = np.asfortranarray(array)
    pixels = as_rgb(array, "x")
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert pixels.shape == (*array.shape[:2], 3)
    grey = array if array.ndim == 2 else array[..., 0]
    for channel in range(3):
        np.testing.assert_array_equal(pixels[..., channel], array[..., channel] if array.shape[2:] == (3,) else grey)


@given(st.sampled_from([d for d in INTEGERS if d.itemsize > 1]), st.data())
def test_as_rgb_names_the_value_out_of_range(dtype, data):
    info = np.iinfo(dtype)
    outside = st.integers(256, int(info.max))
    if info.min < 0:
        outside |= st.integers(int(info.min), -1)
    value = data.draw(outside)
    array = np.full((4, 5), 7, dtype)
    array[2, 3] = value
    with pytest.raises(InputError, match=rf"^image 17: the value {value} is outside 0\.\.\.255$"):
        as_rgb(array, "image 17")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 4, 3), "f4"), r'dtype float32 .*\[0, 1\] with \(x \* 255\)\.round\(\)\.astype\("uint8"\)'),
        (np.ones((4, 4, 3), "f4"), r'torchmetrics with normalize=True truncates: \(x \* 255\)\.astype\("uint8"\)$'),
        (np.full((4, 4, 3), -0.5), r'\[-1, 1\] with \(\(x \+ 1\) \* 127\.5\)\.round\(\)\.astype\("uint8"\)'),
        (np.full((4, 4, 3), 254.5), r'\[0, 255\] with x\.round\(\)\.astype\("uint8"\)$'),
        (np.full((4, 4, 3), -3.5), r"its values, from -3\.5 to -3\.5, must be brought to 0\.\.\.255"),
        (np.full((4, 4, 3), np.nan), "it holds NaN or infinite values"),
        (np.zeros((4, 4, 3), "V2"), r'dtype \|V2 .* x\.astype\("float32"\)'),
        (np.zeros(64, "f4"), r"float32 of shape \(64,\) .* frechet_distance_from_features.*Statistics\(dims\)\.update"),
        (np.zeros((1, 65536), "u1"), r"shape \(1, 65536\) has a side longer than 65535 pixels"),
        (np.zeros((4, 4, 3), "f8"), "dtype float64"),
        (np.zeros((4, 4), bool), r'dtype bool .*x\.astype\("uint8"\) \* 255'),
        (np.zeros((4, 4), object), r"dtype object .*x\.tolist\(\)"),
        (np.zeros((4, 4), complex), "dtype complex128"),
        (np.array(["a.png"]), r"dtype <U5 .*x\.tolist\(\)"),
        (np.zeros((3, 8, 8), "u1"), r"shape \(3, 8, 8\) is not .*x\.transpose\(1, 2, 0\)"),
        (np.zeros((1, 8, 8), "u1"), r"x\.transpose\(1, 2, 0\)"),
        (np.zeros((8, 8, 4), "u1"), r"shape \(8, 8, 4\) is not .*x\[\.\.\., :3\]"),
        (np.zeros((8, 8, 2), "u1"), r"shape \(8, 8, 2\) is not \(H, W, 3\), \(H, W, 1\) or \(H, W\)$"),
        (np.zeros((2, 8, 8, 3), "u1"), "this is a batch"),
        (np.zeros(8, "u1"), r"shape \(8,\)"),
        (np.zeros((0, 8, 3), "u1"), r"shape \(0, 8, 3\) holds no pixels"),
    ],
)
def test_as_rgb_refuses(array, message):
    with pytest.raises(InputError, match=message) as caught:
        as_rgb(array, "image 17")
    assert str(caught.value).startswith("image 17: ")


def test_bfloat16_is_told_how_to_convert():
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    with pytest.raises(InputError, match=r'image 17: dtype bfloat16 is not accepted.* x\.astype\("float32"\)'):
        as_rgb(np.zeros((4, 4, 3), bfloat16), "image 17")


def test_the_conversions_that_are_told_give_what_they_say():
    x = np.linspace(-1, 1, 511)[:, None]
    assert np.array_equal(np.unique(((x + 1) * 127.5).round().astype("uint8")), np.arange(256))
    x = np.linspace(0, 1, 256)[:, None]
    assert np.array_equal((x * 255).round().astype("uint8")[:, 0], np.arange(256))
