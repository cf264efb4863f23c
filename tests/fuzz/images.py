"""Image files by format; Pillow alone, given the same bytes, says which pixels are right."""

import io
import warnings
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, features

from fastfid.images.decode import decode

from .reader import Reader, expect

_SIZE = (20, 15)
_AVIF = features.check("avif")


def _picture() -> Image.Image:
    x, y = np.meshgrid(np.arange(_SIZE[0]), np.arange(_SIZE[1]))
    noise = np.random.RandomState(0).randint(0, 40, (*x.shape, 3))
    return Image.fromarray((np.stack([x * 9, y * 12, (x * y) % 200], -1) + noise).astype(np.uint8))


def _grey() -> Image.Image:
    return _picture().convert("L")


def _palette() -> Image.Image:
    return _picture().quantize(16)


def _alpha() -> Image.Image:
    image = _picture()
    image.putalpha(_grey())
    return image


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def _files(encoding: str) -> list[bytes]:
    plain = [(_picture(), {}), (_grey(), {})]
    more = {
        "PNG": [
            *((_palette(), {}), (_alpha(), {}), (_grey().convert("1"), {}), (_grey().convert("I;16"), {})),
            (_picture(), {"save_all": True, "append_images": [_picture().rotate(90)]}),
        ],
        "JPEG": [
            (_picture(), {"progressive": True}),
            (_picture(), {"exif": _exif()}),
            (_picture().convert("CMYK"), {}),
        ],
        "WEBP": [(_alpha(), {"lossless": True}), (_picture(), {"save_all": True, "append_images": [_picture()]})],
        "TIFF": [
            *((_picture(), {"compression": each}) for each in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")),
            *((_palette(), {}), (_grey().convert("I;16"), {})),
        ],
        "BMP": [(_palette(), {}), (_alpha(), {})],
        "GIF": [(_palette(), {"save_all": True, "append_images": [_palette().rotate(90)], "transparency": 3})],
        "PPM": [(_grey().convert("1"), {}), (_grey().convert("I"), {})],
        "MPO": [(_picture(), {"save_all": True, "append_images": [_picture()]})],
        "AVIF": [(_alpha(), {"speed": 10})],
    }
    found = []
    for image, options in plain + more[encoding]:
        file = io.BytesIO()
        image.save(file, encoding, **options)
        found.append(file.getvalue())
    if encoding == "PPM":
        found += [b"P3\n2 2 255\n1 2 3 4 5 6 7 8 9 10 11 255\n", b"P1 2 2\n0 1\n1 0\n", b"P2 2 1 9 # a\n1 9\n"]
    return found


def _read(data: bytes, path: Path) -> None:
    decoded = decode(data, "x.png")
    height, width, channels = decoded.pixels.shape
    expect((decoded.pixels.dtype, channels) == (np.uint8, 3), decoded.pixels.dtype)
    expect(1 <= min(height, width) <= max(height, width) <= 65535, decoded.pixels.shape)
    expect(decoded.damage == "" or decoded.damage.startswith("x.png ("), decoded.damage)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data)) as image:
            expect(image.format == decoded.encoding, f"{image.format} {decoded.encoding}")
            expect(np.array_equal(np.asarray(image.convert("RGB")), decoded.pixels), "other pixels than Pillow's")


_ENCODINGS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "PPM", "GIF", "MPO", *(("AVIF",) if _AVIF else ()))
READERS = [Reader(f"image {each.lower()}", partial(_files, each), _read) for each in _ENCODINGS]
