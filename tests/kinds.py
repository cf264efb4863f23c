"""Every kind of image that the tools may meet, drawn from seeded integers, for golden/kinds.npz and bench/parity.py."""

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Width and height of the kinds that differ in size only. Up- and downscaled, both at once, one pixel high.
SIZES = [
    *[(32, 32), (299, 299), (1024, 768), (768, 1024), (300, 298)],
    *[(600, 100), (100, 600), (64, 1), (500, 1), (1, 64), (1, 1)],
]

SIZE = 299  # of the network's input
SAMPLES = 128


def picture(height: int, width: int) -> NDArray[np.uint8]:
    """Blocks, a ramp and a little noise, (height, width, 3)."""
    rng = np.random.RandomState(height * 10_000 + width)
    blocks = rng.randint(0, 200, (-(-height // 7), -(-width // 7), 3)).repeat(7, axis=0).repeat(7, axis=1)
    ramp = np.arange(height)[:, None] * 25 // height + np.arange(width) * 25 // width
    noise = rng.randint(0, 8, (height, width, 3))
    return (blocks[:height, :width] + ramp[..., None] + noise).astype(np.uint8)


def positions(kind: str) -> NDArray[np.intp]:
    """Where the network's input (3, 299, 299) of a kind is sampled: flat indices, corners among them."""
    corners = [c * SIZE * SIZE + y * SIZE + x for c in range(3) for y in (0, SIZE - 1) for x in (0, SIZE - 1)]
    drawn = np.random.RandomState(zlib.crc32(kind.encode())).randint(0, 3 * SIZE * SIZE, SAMPLES - len(corners))
    return np.concatenate([corners, drawn])


def _saved(image: Image.Image, encoding: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, encoding, **options)
    return file.getvalue()


def _png16(array: NDArray[np.uint16]) -> bytes:
    """16 bits a channel, which Pillow reads and does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, _ = array.shape
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _ppm16(array: NDArray[np.uint16]) -> bytes:
    height, width, _ = array.shape
    return f"P6 {width} {height} 65535\n".encode() + array.astype(">u2").tobytes()


def sizes() -> dict[str, bytes]:
    """File name and content of every size, as RGB PNG: the same pixels on every machine."""
    drawn = {f"{width}x{height}.png": Image.fromarray(picture(height, width)) for width, height in SIZES}
    return {name: _saved(image, "PNG", compress_level=1) for name, image in drawn.items()}


def formats() -> dict[str, bytes]:
    """File name and content of every format, 36x28 pixels. The bytes are this Pillow's: others may encode otherwise."""
    rgb = Image.fromarray(picture(28, 36))
    grey = rgb.convert("L")
    values = np.asarray(grey)
    deep = Image.fromarray(values.astype(np.uint16) * 2)  # some above 255, which become 255
    fine = np.asarray(rgb) * np.uint16(256) + np.asarray(rgb) * np.uint16(37) % 256
    palette = rgb.quantize(16)
    rgba, la = rgb.copy(), grey.copy()
    rgba.putalpha(grey)
    la.putalpha(grey)
    rotated = Image.Exif()
    rotated[0x0112] = 6
    return {
        "grey.png": _saved(grey, "PNG"),
        "1-bit.png": _saved(rgb.convert("1"), "PNG"),
        "palette.png": _saved(palette, "PNG"),
        "palette-transparent-colour.png": _saved(palette, "PNG", transparency=3),
        "palette-alpha.png": _saved(palette, "PNG", transparency=bytes(range(0, 256, 16))),
        "rgb-transparent-colour.png": _saved(rgb, "PNG", transparency=rgb.getpixel((0, 0))),
        "rgba.png": _saved(rgba, "PNG"),
        "grey-alpha.png": _saved(la, "PNG"),
        "16-bit-grey.png": _saved(deep, "PNG"),
        "16-bit-rgb.png": _png16(fine),
        "rgb.jpg": _saved(rgb, "JPEG"),
        "full-chroma.jpg": _saved(rgb, "JPEG", quality=95, subsampling=0),
        "progressive.jpg": _saved(rgb, "JPEG", progressive=True),
        "grey.jpg": _saved(grey, "JPEG"),
        "cmyk.jpg": _saved(rgb.convert("CMYK"), "JPEG"),
        "exif-rotated.jpg": _saved(rgb, "JPEG", exif=rotated),
        "lossy.webp": _saved(rgb, "WEBP"),
        "lossless.webp": _saved(rgb, "WEBP", lossless=True),
        "alpha.webp": _saved(rgba, "WEBP", lossless=True, exact=True),
        "animated.webp": _saved(rgb, "WEBP", lossless=True, save_all=True, append_images=[rgb.rotate(180)]),
        "rgb.tif": _saved(rgb, "TIFF"),
        "lzw.tif": _saved(rgb, "TIFF", compression="tiff_lzw"),
        "cmyk.tif": _saved(rgb.convert("CMYK"), "TIFF"),
        "16-bit-grey.tif": _saved(deep, "TIFF"),
        "float.tif": _saved(Image.fromarray(values.astype(np.float32) * 1.5 - 20), "TIFF"),
        "grey.pgm": _saved(grey, "PPM"),
        "16-bit-grey.pgm": _saved(deep.convert("I"), "PPM"),
        "rgb.ppm": _saved(rgb, "PPM"),
        "16-bit-rgb.ppm": _ppm16(fine),
        "rgb.bmp": _saved(rgb, "BMP"),
        "palette.bmp": _saved(palette, "BMP"),
        "1-bit.bmp": _saved(rgb.convert("1"), "BMP"),
    }


def write(folder: Path, files: dict[str, bytes]) -> list[Path]:
    """Write files by their names; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in files]
