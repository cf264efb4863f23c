"""Damage that a file itself shows: good files raise no alarm; damaged ones are reported if the format allows it."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from fastfid.errors import ImageError
from fastfid.images.decode import decode
from kinds import picture


def saved(encoding, size=200, **options):
    file = io.BytesIO()
    Image.fromarray(picture(size, size)).save(file, encoding, **options)
    return file.getvalue()


def with_exif():
    thumbnail = io.BytesIO()
    Image.fromarray(picture(20, 20)).save(thumbnail, "JPEG")
    exif = Image.Exif()
    exif[0x010E] = thumbnail.getvalue().decode("latin-1")
    return exif


def flat(**options):
    file = io.BytesIO()
    Image.new("RGB", (800, 800), (255, 255, 255)).save(file, "JPEG", **options)
    return file.getvalue()


def scan_by_scan():
    """A grey square whose three components come one after the other; without differences a colour is bits of zero."""
    whole = io.BytesIO()
    Image.new("RGB", (512, 512), (128, 128, 128)).save(whole, "JPEG", subsampling=0)
    head = whole.getvalue()[: whole.getvalue().index(b"\xff\xda")]
    brightness = int("001010" * 4096, 2).to_bytes(3072, "big")
    scans = ((1, 0x00, brightness), (2, 0x11, bytes(2048)), (3, 0x11, bytes(2048)))
    parts = (
        struct.pack(">HHBBB3s", 0xFFDA, 8, 1, number, tables, b"\0\x3f\0") + data for number, tables, data in scans
    )
    return head + b"".join(parts) + b"\xff\xd9"


def with_thumbnail(mpo):
    """Put a whole JPEG before the pixels of an MPO, behind the segment that lists its pictures, as phones do."""
    index = mpo.index(b"\xff\xe2")
    at = index + 2 + int.from_bytes(mpo[index + 2 : index + 4], "big")
    thumbnail = saved("JPEG", size=20)
    return mpo[:at] + struct.pack(">HH", 0xFFE5, len(thumbnail) + 2) + thumbnail + mpo[at:]


PNG, JPEG, WEBP = saved("PNG"), saved("JPEG", exif=with_exif()), saved("WEBP")
MPO = saved("MPO", save_all=True, append_images=[Image.fromarray(picture(200, 200))])
GOOD = {
    "PNG": PNG,
    "PNG, many chunks": saved("PNG", size=500),
    "PNG, text at its end": PNG[:-12] + b"\0\0\0\4tEXta\0bc" + struct.pack(">I", zlib.crc32(b"tEXta\0bc")) + PNG[-12:],
    "PNG, more after its end": PNG + b"more",
    "PNG, animated": saved("PNG", save_all=True, append_images=[Image.fromarray(picture(200, 200)[::-1])]),
    "JPEG": JPEG,
    "JPEG, progressive": saved("JPEG", progressive=True),
    "JPEG, restarts": saved("JPEG", restart_marker_rows=1),
    "JPEG, more after its end": JPEG + bytes(99) + b"more",
    "JPEG, flat": flat(),
    "JPEG, flat, tables of its own": flat(optimize=True),
    "JPEG, flat, thumbnail with the standard's tables": flat(optimize=True, exif=with_exif()),
    "JPEG, flat, progressive": flat(progressive=True),
    "JPEG, flat, scan by scan": scan_by_scan(),
    "MPO": MPO,
    "MPO, with a thumbnail": with_thumbnail(MPO),
    "WebP": WEBP,
    "WebP, lossless": saved("WEBP", lossless=True),
    "WebP, with EXIF": saved("WEBP", exif=with_exif()),
    "WebP, more after its end": WEBP + b"more",
    "WebP, animated": saved("WEBP", save_all=True, append_images=[Image.fromarray(picture(200, 200)[::-1])]),
    "GIF": saved("GIF"),
    "TIFF": saved("TIFF", compression="tiff_lzw"),
    "BMP": saved("BMP"),
    "PPM": saved("PPM"),
}


@pytest.mark.parametrize("kind", GOOD)
def test_good_files_are_not_told(kind):
    assert decode(GOOD[kind], "x").damage == ""


def zeroed(data, start, stop=None):
    stop = len(data) if stop is None else stop
    return data[:start] + bytes(stop - start) + data[stop:]


def outcome(data):
    try:
        return decode(data, "here/x.png").damage
    except ImageError:
        return "refused"


TEXT = GOOD["PNG, text at its end"]
DAMAGED = {
    "PNG, no end": (PNG[:-12], "its end, the chunk IEND, is missing"),
    "PNG, end cut": (PNG[:-3], "its end, the chunk IEND, is missing"),
    "PNG, zeros at the end": (zeroed(PNG, len(PNG) - 900), "the checksum of its chunk IDAT is wrong"),
    "PNG, another checksum": (zeroed(PNG, len(PNG) - 16, len(PNG) - 12), "the checksum of its chunk IDAT is wrong"),
    "PNG, text damaged": (TEXT[:-18] + b"x" + TEXT[-17:], "the checksum of its chunk tEXt is wrong"),
    "PNG, a name damaged": (TEXT[:-24] + b"\xff" + TEXT[-23:], "the checksum of its chunk without a name is wrong"),
    "JPEG, zeros in its middle": (
        zeroed(JPEG, len(JPEG) - 5000, len(JPEG) - 4488),
        f"it has a block of zeros, at byte {len(JPEG) - 5000}",
    ),
    "MPO, zeros in its first picture": (zeroed(MPO, 5000, 5512), "it has a block of zeros, at byte 5000"),
    "MPO, with a thumbnail, zeros from its first picture on": (
        zeroed(with_thumbnail(MPO), 9000),
        "its end marker is missing",
    ),
    "JPEG, zeros at the end": (JPEG[:-5] + bytes(9), "its end marker is missing"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_files_are_told(kind):
    data, message = DAMAGED[kind]
    assert outcome(data) == f"here/x.png ({message})"


def test_flat_areas_are_zeros_where_the_tables_are_made_for_them():
    """Otherwise the tests of flat images would prove nothing."""
    assert bytes(640) in flat(optimize=True)


@pytest.mark.parametrize("quality", [1, 10, 25, 50, 75, 90, 95, 100])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_no_good_jpeg_is_told(quality, subsampling):
    ramp = np.broadcast_to(np.linspace(0, 255, 256).astype(np.uint8)[:, None], (256, 256, 3))
    noise = np.random.RandomState(quality).randint(0, 256, (256, 256, 3)).astype(np.uint8)
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[::7] = 255
    bars = noise.copy()
    bars[:100] = bars[160:] = 0
    for pixels in (picture(256, 256), ramp, noise, stripes, bars, noise // 128 * 255, np.full_like(noise, quality)):
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels)).save(file, "JPEG", quality=quality, subsampling=subsampling)
        assert decode(file.getvalue(), "x").damage == ""


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_png_with_zeros_at_its_end_is_never_passed_over(cut):
    data = saved("PNG", size=400)
    assert outcome(zeroed(data, len(data) - cut * 997))


@pytest.mark.parametrize("kind", [kind for kind in GOOD if kind.startswith("PNG") and "more" not in kind])
def test_no_changed_bit_of_a_png_is_passed_over(kind):
    data = GOOD[kind]
    rng = np.random.RandomState(3)
    for at in [*rng.randint(8, len(data), 200), *range(len(data) - 60, len(data))]:
        changed = bytearray(data)
        changed[at] ^= 1 << rng.randint(8)
        found = outcome(bytes(changed))
        assert found or np.array_equal(decode(bytes(changed), "x").pixels, decode(data, "x").pixels), at


def test_pixels_stay_those_of_pillow():
    data = zeroed(PNG, len(PNG) - 900)
    assert outcome(data) != "refused"
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(decode(data, "x").pixels, np.asarray(image.convert("RGB")))
