"""Decodes an image file or a PIL image to an RGB array, and reports its properties."""

import os
import sys
import threading
import warnings
from hashlib import blake2b
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple, TypeGuard

import numpy as np
from numpy.typing import NDArray

from ..checks import type_of
from ..errors import ImageError, InputError
from ..files.reading import MOST_FILE_BYTES, failures, read_regular
from .damage import damage_of
from .formats import check_size, open_image
from .rgb import as_rgb, to_array

if TYPE_CHECKING:
    from PIL import Image as PillowImage
    from PIL.ImageFile import ImageFile

__all__ = ["ENDINGS", "Decoded", "as_decoded", "decode", "digest", "from_pil", "is_pil"]

#: File endings that count as images: those of pytorch-fid, here in upper and lower case.
ENDINGS = frozenset({"bmp", "jpg", "jpeg", "pgm", "png", "ppm", "tif", "tiff", "webp"})

# Sum of the luminance table in Annex K of the JPEG standard; libjpeg scales that table by its `quality`.
_STANDARD_LUMINANCE = 3685
_SCAN = b"\xff\xda"  # start of a scan's header, which has 8 bytes and 2 for each component


class Decoded(NamedTuple):
    """One image, ready for a resize kernel, with facts about its file.

    Attributes
    ----------
    pixels : ndarray of uint8, shape (H, W, 3)
        C-contiguous, possibly read-only.
    losses : tuple of str
        Losses of the conversion, and other reasons for a warning: ``"16-bit"`` (values above 255 became 255),
        ``"alpha"`` (transparency was dropped), ``"larger than PIL.Image.MAX_IMAGE_PIXELS"`` (the size at which Pillow
        warns; it refuses twice that size).
    encoding : str or None
        Pillow's name of the file's format, such as "JPEG"; None if the image is not from a file.
    quality : int or None
        For a JPEG, the quality, up to 99, at which libjpeg would write a luminance table with the same sum.
    digest : int or None
        64 bits of a hash of the file's bytes; None if the image is not from a file.
    damage : str
        The image's name and the sign of damage in its file, if there is one; see `damage`.
    """

    pixels: NDArray[np.uint8]
    losses: tuple[str, ...] = ()
    encoding: str | None = None
    quality: int | None = None
    digest: int | None = None
    damage: str = ""


def decode(file: str | os.PathLike[str] | bytes, name: str) -> Decoded:
    """Decode one image file exactly as ``PIL.Image.open(file).convert("RGB")`` does.

    Like the tools whose numbers fastfid reproduces, it does not apply an EXIF rotation and uses the first frame of
    an animation. It is thread-safe.

    Parameters
    ----------
    file : path or bytes
        The file, or all its bytes.
    name : str
        Name of the image in errors.

    Returns
    -------
    Decoded

    Raises
    ------
    ImageError
        If the file is missing, not a regular file or larger than `MOST_FILE_BYTES`. If the image is truncated, corrupt,
        of a format that is not read, without pixels or a decompression bomb, or has a side longer than
        `fastfid.images.formats.LONGEST_SIDE`.
    """
    with failures(f"cannot decode {name}", ImageError), _muted:
        data = file if isinstance(file, bytes) else read_regular(file, MOST_FILE_BYTES)
        with open_image(data) as image:
            start = _start_of_pixels(image, data)
            scans = image.format in ("JPEG", "MPO") and _has_scans(image, data, start)
            decoded = _convert(image)
            damage = damage_of(image.format, data, start, scans=scans)
            return decoded._replace(
                losses=decoded.losses + _largeness(image),
                encoding=image.format,
                quality=_quality(image),
                digest=digest(data),
                damage=f"{name} ({damage})" if damage else "",
            )


def from_pil(image: "PillowImage.Image", name: str) -> Decoded:
    """Convert one PIL image as :func:`decode` does; no other thread may use the image meanwhile."""
    with failures(f"cannot decode {name}", ImageError), _muted:
        return _convert(image)


def is_pil(image: object) -> TypeGuard["PillowImage.Image"]:
    """Return True for a PIL image, without importing PIL."""
    module = sys.modules.get("PIL.Image")
    kind = getattr(module, "Image", None)  # None: not imported, or another thread is at it, so no such image can exist
    return kind is not None and isinstance(image, kind)


def as_decoded(image: object, name: str) -> Decoded:
    """Convert any form of one image: a `Decoded`, the bytes of an image file, a PIL image or an array.

    Parameters
    ----------
    image : Decoded, bytes, PIL image, or array of integers in 0...255, shape (H, W, 3), (H, W, 1) or (H, W)
    name : str
        Name of the image in errors.

    Raises
    ------
    ImageError
        If a file or PIL image cannot be decoded.
    InputError
        If `image` is something else, or an array that is not an image.
    """
    if isinstance(image, Decoded):
        return image
    if isinstance(image, bytes | bytearray | memoryview):
        return decode(bytes(image), name)
    if is_pil(image):
        return from_pil(image, name)
    if hasattr(image, "__array__"):
        return Decoded(as_rgb(to_array(image, name, copy=False), name))
    raise InputError(f"{name}: {type_of(image)} is not an array, a PIL image or the bytes of an image file")


def digest(data: bytes | NDArray[np.uint8]) -> int:
    """Return a 64-bit hash of bytes, or of a C-contiguous array including its shape."""
    if isinstance(data, bytes):
        hashed = blake2b(data, digest_size=8)
    else:
        hashed = blake2b(data.data, digest_size=8, salt=str(data.shape[:2]).encode()[:16])
    return int.from_bytes(hashed.digest(), "big")


def _convert(image: "PillowImage.Image") -> Decoded:
    check_size(image.width, image.height)
    image.load()
    if 0 in image.size:
        raise ValueError(f"its size is {image.width}x{image.height}")
    losses: tuple[str, ...] = ()
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        losses += ("16-bit",)
    if image.has_transparency_data and not _opaque(image):
        losses += ("alpha",)
    return Decoded(np.asarray(image.convert("RGB")), losses)


def _largeness(image: "PillowImage.Image") -> tuple[str, ...]:
    from PIL import Image

    limit = Image.MAX_IMAGE_PIXELS
    large = limit is not None and image.width * image.height > limit
    return ("larger than PIL.Image.MAX_IMAGE_PIXELS",) if large else ()


def _start_of_pixels(image: "ImageFile", data: bytes) -> int:
    """Return the offset of the first chunk or scan with pixels; Pillow has read all bytes before it."""
    if image.format == "PNG" and image.tile:
        return int(image.tile[0][2]) - 8
    if image.format == "MPO":  # its file is back at the start, where a thumbnail has an end marker of its own
        from PIL.JpegImagePlugin import JpegImageFile

        image = JpegImageFile(BytesIO(data))
    return image.fp.tell() if image.format == "JPEG" and image.fp else 0


def _has_scans(image: "ImageFile", data: bytes, start: int) -> bool:
    """Return True if a JPEG has several scans: it is progressive, or its first scan lacks some of the components."""
    components: int = getattr(image, "layers", 0)
    return "progressive" in image.info or not data.startswith(_SCAN, start - 8 - 2 * components)


def _quality(image: "PillowImage.Image") -> int | None:
    tables: dict[int, list[int]] = getattr(image, "quantization", {})  # only JPEG files have it
    if not tables:
        return None
    scale = 100 * sum(tables[min(tables)]) / _STANDARD_LUMINANCE
    return round(min(100, max(1, (200 - scale) / 2 if scale <= 100 else 5000 / scale)))


def _opaque(image: "PillowImage.Image") -> bool:
    # Opaque alpha is common (screenshots), and dropping it loses nothing. A transparent colour in a palette or a PNG
    # counts as a loss even if no pixel uses it.
    return image.mode.endswith(("A", "a")) and image.getchannel(image.getbands()[-1]).getextrema() == (255, 255)


# Pillow warns about large images, palettes with several transparent entries, and damaged EXIF data. Here such warnings
# would come from a worker thread, once per image or as an exception. `decode` reports the relevant ones in its result.
# `warnings.catch_warnings` changes the filters of the whole process, and two threads can restore them in the wrong
# order. So one filter is added, once. Its category matches every warning of a thread that is decoding, and no other.
_thread = threading.local()


class _WhileDecoding(type):
    def __subclasscheck__(cls, subclass: type) -> bool:
        return getattr(_thread, "decoding", False)


class _DecodingWarning(Warning, metaclass=_WhileDecoding):
    pass


class _Muted:
    def __enter__(self) -> None:
        if not warnings.filters or warnings.filters[0][2] is not _DecodingWarning:  # first call, or a newer filter
            warnings.simplefilter("ignore", _DecodingWarning)
        _thread.decoding = True

    def __exit__(self, *_: object) -> None:
        _thread.decoding = False


_muted = _Muted()
