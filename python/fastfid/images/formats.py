"""The file formats that are read: those of the usual endings, and those that web servers often send under these names.

Pillow knows 43 formats and tries each on a file, whatever the file's name. One of them starts Ghostscript, several are
rarely used and rarely tested, and all are loaded if no list is given.
"""

import re
import threading
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import ImageFile

__all__ = ["LONGEST_SIDE", "READ", "begins_as_image", "check_size", "open_image"]

#: Pillow's names. A phone's JPEG may hold several pictures (MPO, which is opened as JPEG). Web servers send GIF, WebP
#: and AVIF even if the address ends in ``.jpg`` or ``.png``.
READ = ("BMP", "GIF", "JPEG", "PPM", "PNG", "TIFF", "WEBP", "AVIF")
#: The longest side in pixels, which is the limit of JPEG. Memory and time of a resize grow with the longer side, and a
#: PNG of a few bytes can declare 2**31.
LONGEST_SIDE = 65535

_TILE_TAGS = (322, 323)
_LARGE_TILE = 4096 * 4096  # pixels; a small image can use one corner of a large tile

# Modules that `PIL.Image.preinit` does not load; not every version of Pillow has all of them.
_PLUGINS = ("TiffImagePlugin", "MpoImagePlugin", "WebPImagePlugin", "AvifImagePlugin")

# First bytes of the formats in READ; a RIFF file and an ISO one (ftyp) have a kind after a length.
_MARKS = (b"BM", b"GIF8", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_NETPBM = re.compile(rb"P[1-6][\s#]")

_lock = threading.Lock()
_opened: list[str] = []


def open_image(data: bytes) -> "ImageFile.ImageFile":
    """Identify an image file by its first bytes, among the formats in `READ`, without decoding pixels.

    Raises
    ------
    ValueError
        If it has another format, or a side longer than `LONGEST_SIDE`. For damaged headers Pillow raises other errors.
    """
    formats = _load_plugins()
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(BytesIO(data), formats=formats)
    except UnidentifiedImageError:
        known = ", ".join(formats)
        raise ValueError(
            f"it is damaged, or of no format that is read ({known}): convert it to PNG, or decode it and give arrays"
        ) from None
    check_size(image.width, image.height)
    if image.format == "TIFF":
        _check_tiles(image)
    return image


def begins_as_image(data: bytes) -> bool:
    """Return True if the first bytes of a file, at least 12, are those of a format in `READ`."""
    kind = data[:4], data[8:12]
    return data.startswith(_MARKS) or bool(_NETPBM.match(data)) or kind == (b"RIFF", b"WEBP") or data[4:8] == b"ftyp"


def check_size(width: int, height: int) -> None:
    """Raise `ValueError` if a side is longer than `LONGEST_SIDE`."""
    if max(width, height) > LONGEST_SIDE:
        raise ValueError(f"its size is {width}x{height} pixels; sides of at most {LONGEST_SIDE} are read")


def _check_tiles(image: "ImageFile.ImageFile") -> None:
    """Raise `ValueError` if a TIFF has large tiles that exceed the image, because libtiff reads whole tiles."""
    width, length = (image.tag_v2.get(tag, 0) for tag in _TILE_TAGS)  # type: ignore[attr-defined]
    if width * length > max(image.width * image.height, _LARGE_TILE):
        raise ValueError(
            f"its tiles of {width}x{length} pixels are larger than the image, {image.width}x{image.height}"
        )


def _load_plugins() -> list[str]:
    """Register the formats before any thread decodes, because Pillow's lazy loading is not thread-safe."""
    if _opened:
        return _opened
    with _lock:
        if not _opened:
            from PIL import Image

            Image.preinit()
            for plugin in _PLUGINS:
                try:
                    import_module(f"PIL.{plugin}")
                except ImportError:  # an older Pillow does not have it
                    continue
            _opened.extend(name for name in READ if name in Image.OPEN)
    return _opened
