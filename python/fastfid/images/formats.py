"""Which file formats are read: those of the endings, and those that the web commonly delivers under their names.

Pillow knows 43 formats and asks each whether a file is its own, whatever the file's name. One of them starts
Ghostscript, several are hardly ever used and hardly ever tested, and all are loaded when no list is given.
"""

import threading
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import ImageFile

__all__ = ["LONGEST_SIDE", "READ", "check_size", "open_image"]

#: Pillow's names. A phone's JPEG may hold several pictures (MPO, which is opened as JPEG); web servers send GIF, WebP
#: and AVIF where the address ends in ``.jpg`` or ``.png``.
READ = ("BMP", "GIF", "JPEG", "PPM", "PNG", "TIFF", "WEBP", "AVIF")
#: In pixels: the most that a JPEG file can have. Memory and time of a resize grow with the longer side, and a PNG of
#: a few bytes may declare 2**31.
LONGEST_SIDE = 65535

_TILE_TAGS = (322, 323)
_LARGE_TILE = 4096 * 4096  # pixels; a small image may well be in one corner of a large tile

# Modules beside those that `PIL.Image.preinit` loads; not every Pillow has every one.
_PLUGINS = ("TiffImagePlugin", "MpoImagePlugin", "WebPImagePlugin", "AvifImagePlugin")

_lock = threading.Lock()
_opened: list[str] = []


def open_image(data: bytes) -> "ImageFile.ImageFile":
    """Identify an image file by its first bytes, for the formats in `READ` alone; no pixel is decoded yet.

    Raises
    ------
    ValueError
        It is of no such format, or larger than `LONGEST_SIDE`. For damaged headers Pillow raises much else.
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


def check_size(width: int, height: int) -> None:
    """Raise `ValueError` where a side is longer than `LONGEST_SIDE`."""
    if max(width, height) > LONGEST_SIDE:
        raise ValueError(f"its size is {width}x{height} pixels; sides of at most {LONGEST_SIDE} are read")


def _check_tiles(image: "ImageFile.ImageFile") -> None:
    """Refuse a TIFF whose tiles take more memory than the image: libtiff reads each as a whole."""
    width, length = (image.tag_v2.get(tag, 0) for tag in _TILE_TAGS)  # type: ignore[attr-defined]
    if width * length > max(image.width * image.height, _LARGE_TILE):
        raise ValueError(
            f"its tiles of {width}x{length} pixels are larger than the image, {image.width}x{image.height}"
        )


def _load_plugins() -> list[str]:
    """Register the formats before any thread decodes: Pillow's own lazy way is not safe in several threads at once."""
    if _opened:
        return _opened
    with _lock:
        if not _opened:
            from PIL import Image

            Image.preinit()
            for plugin in _PLUGINS:
                try:
                    import_module(f"PIL.{plugin}")
                except ImportError:  # of an older Pillow
                    continue
            _opened.extend(name for name in READ if name in Image.OPEN)
    return _opened
