"""One image, from a file or from memory, to one RGB array; and what is refused on the way."""

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .errors import ImageError, InputError

if TYPE_CHECKING:
    from PIL import Image as PillowImage

__all__ = ["ENDINGS", "Decoded", "as_rgb", "check_arrays", "decode", "digest", "from_pil"]

#: File endings taken for images: those of pytorch-fid, here in any case.
ENDINGS = frozenset({"bmp", "jpg", "jpeg", "pgm", "png", "ppm", "tif", "tiff", "webp"})

# Sum of the luminance table in Annex K of the JPEG standard; libjpeg scales that table by its `quality`.
_STANDARD_LUMINANCE = 3685


class Decoded(NamedTuple):
    """One image, ready for a resize kernel, and what is worth knowing about where it came from.

    Attributes
    ----------
    pixels : ndarray of uint8, shape (H, W, 3)
        C-contiguous, possibly read-only.
    losses : tuple of str
        What the conversion lost, or what else deserves a warning: ``"16-bit"`` (values above 255 became 255),
        ``"alpha"`` (transparency was dropped), ``"larger than PIL.Image.MAX_IMAGE_PIXELS"`` (Pillow's warning level;
        at twice that size it refuses).
    encoding : str or None
        Pillow's name of the file's format, "JPEG" say; None for what was no file.
    quality : int or None
        Of a JPEG: the quality, up to 99, at which libjpeg would write a luminance table of the same sum.
    digest : int or None
        64 bits of a hash of the file's bytes; None for what was no file.
    """

    pixels: NDArray[np.uint8]
    losses: tuple[str, ...] = ()
    encoding: str | None = None
    quality: int | None = None
    digest: int | None = None


def decode(file: str | os.PathLike[str] | bytes, name: str) -> Decoded:
    """Decode one image file exactly as ``PIL.Image.open(file).convert("RGB")`` does.

    Like the tools whose numbers fastfid reproduces, it does not apply an EXIF rotation and takes the first frame of
    an animation. Safe to call from several threads at once.

    Parameters
    ----------
    file : path or bytes
        The file, or all its bytes.
    name : str
        How an error names the image.

    Returns
    -------
    Decoded

    Raises
    ------
    ImageError
        The image is missing, truncated, corrupt, of an unknown format, without pixels or a decompression bomb.
    """
    _load_plugins()
    from PIL import Image

    with _failures(name):
        data = file if isinstance(file, bytes) else Path(file).read_bytes()
        with Image.open(BytesIO(data)) as image:
            decoded = _convert(image)
            limit = Image.MAX_IMAGE_PIXELS
            if limit is not None and image.width * image.height > limit:
                decoded = decoded._replace(losses=(*decoded.losses, "larger than PIL.Image.MAX_IMAGE_PIXELS"))
            return decoded._replace(encoding=image.format, quality=_quality(image), digest=digest(data))


def from_pil(image: "PillowImage.Image", name: str) -> Decoded:
    """Convert one PIL image as :func:`decode` does; the image itself must not be in use by another thread."""
    with _failures(name):
        return _convert(image)


def digest(data: bytes | NDArray[np.uint8]) -> int:
    """64 bits that tell apart all but identical bytes; for an array (C-contiguous), its shape counts too."""
    if isinstance(data, bytes):
        hashed = blake2b(data, digest_size=8)
    else:
        hashed = blake2b(data.data, digest_size=8, salt=str(data.shape[:2]).encode()[:16])
    return int.from_bytes(hashed.digest(), "big")


def as_rgb(array: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Bring one in-memory image to the form that every later stage takes.

    Parameters
    ----------
    array : ndarray of integers, shape (H, W, 3), (H, W, 1) or (H, W)
        Values in 0...255, of any integer dtype.
    name : str
        How an error names the image.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        C-contiguous; grey is repeated. A read-only view of `array` where that already has this form.

    Raises
    ------
    InputError
        A dtype that is not an integer, a value outside 0...255, or another shape.

    Examples
    --------
    >>> as_rgb(np.array([[0, 255]]), "grey").tolist()
    [[[0, 0, 0], [255, 255, 255]]]
    """
    check_arrays(array.shape, array.dtype, name, stack=False)
    if array.dtype != np.uint8:
        low, high = int(array.min()), int(array.max())
        if low < 0 or high > 255:
            raise InputError(f"{name}: the value {low if low < 0 else high} is outside 0...255")
        array = array.astype(np.uint8)
    if array.ndim == 2:
        array = array[..., None]
    return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3)))


def check_arrays(shape: tuple[int, ...], dtype: np.dtype[Any], name: str, *, stack: bool) -> None:
    """Refuse a dtype or shape that cannot be one image or, where `stack`, N of them.

    Raises
    ------
    InputError
        The message names the dtype or shape, and the way out.
    """
    if dtype.kind not in "iu":
        raise InputError(f"{name}: dtype {dtype} is not accepted, give integers in 0...255; {_dtype_hint(dtype)}")
    one = shape[1:] if stack else shape
    if stack and len(shape) == 3 and shape[2] in (1, 3, 4):
        # Grey images of that width are legal but absurd; one colour image in place of N is a common slip.
        raise InputError(
            f"{name}: shape {shape} looks like one image, not (N, H, W); give many images as (N, H, W, 3), "
            "or x[..., None] if these really are grey ones"
        )
    if not (len(one) == 2 or (len(one) == 3 and one[2] in (1, 3))):
        wanted = "(N, H, W, 3), (N, H, W, 1) or (N, H, W)" if stack else "(H, W, 3), (H, W, 1) or (H, W)"
        raise InputError(f"{name}: shape {shape} is not {wanted}{_shape_hint(one, stack)}")
    if 0 in shape:
        raise InputError(f"{name}: shape {shape} holds no pixels")


def _dtype_hint(dtype: np.dtype[Any]) -> str:
    if dtype.kind == "b":
        return 'convert it with x.astype("uint8") * 255'
    if dtype.kind == "f":
        return 'convert values in [0, 1] with (x * 255).round().astype("uint8")'
    if dtype.kind in "OUS":
        return "give paths or PIL images as a list, x.tolist()"
    return "uint8 is best"


def _shape_hint(one: tuple[int, ...], stack: bool) -> str:
    if len(one) == 3 and one[2] == 4:
        return "; drop the alpha channel with x[..., :3]"
    if len(one) == 3 and one[0] in (1, 3):
        return f"; put the channels last with x.transpose({'0, 2, 3, 1' if stack else '1, 2, 0'})"
    if len(one) == 4 and not stack:
        return "; this is a batch: give its images one by one, (image for batch in batches for image in batch)"
    return ""


def _convert(image: "PillowImage.Image") -> Decoded:
    image.load()
    if 0 in image.size:
        raise ValueError(f"its size is {image.width}x{image.height}")
    losses: tuple[str, ...] = ()
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        losses += ("16-bit",)
    if image.has_transparency_data and not _opaque(image):
        losses += ("alpha",)
    return Decoded(np.asarray(image.convert("RGB")), losses)


def _quality(image: "PillowImage.Image") -> int | None:
    tables: dict[int, list[int]] = getattr(image, "quantization", {})  # only JPEG files have it
    if not tables:
        return None
    scale = 100 * sum(tables[min(tables)]) / _STANDARD_LUMINANCE
    return round(min(100, max(1, (200 - scale) / 2 if scale <= 100 else 5000 / scale)))


def _opaque(image: "PillowImage.Image") -> bool:
    # Opaque alpha is common (screenshots) and dropping it loses nothing. A transparent colour of a palette or
    # of a PNG counts as a loss without looking for it in the pixels.
    return image.mode.endswith(("A", "a")) and image.getchannel(image.getbands()[-1]).getextrema() == (255, 255)


@contextmanager
def _failures(name: str) -> Iterator[None]:
    """Turn whatever Pillow raises into an `ImageError` and silence what it warns of."""
    try:
        with _muted():
            yield
    except MemoryError:
        raise  # says something about the machine, not the image: must not be skipped as a bad file
    except Exception as error:  # decoders of damaged files raise nearly every class there is
        if type(error).__name__ == "UnidentifiedImageError":
            cause = "no image format that Pillow knows"
        else:
            cause = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ImageError(f"cannot decode {name}: {cause}") from error


# Pillow warns of large images, of palettes with several transparent entries, of damaged EXIF data. Here that would
# come from a worker thread, once per image or as an exception; `decode` reports what matters in its result.
# `warnings.catch_warnings` swaps filters for the whole process and two threads in it can restore them in the wrong
# order. So one filter is added, once, whose category contains every warning of a thread that is decoding, and no other.
_thread = threading.local()


class _WhileDecoding(type):
    def __subclasscheck__(cls, subclass: type) -> bool:
        return getattr(_thread, "decoding", False)


class _DecodingWarning(Warning, metaclass=_WhileDecoding):
    pass


@contextmanager
def _muted() -> Iterator[None]:
    if not warnings.filters or warnings.filters[0][2] is not _DecodingWarning:  # someone came in front, or a first call
        warnings.simplefilter("ignore", _DecodingWarning)
    _thread.decoding = True
    try:
        yield
    finally:
        _thread.decoding = False


_plugins_lock = threading.Lock()
_plugins_loaded = False


def _load_plugins() -> None:
    """Register Pillow's formats before any thread decodes: its own lazy way is not safe in several threads at once."""
    global _plugins_loaded
    if _plugins_loaded:
        return
    with _plugins_lock:
        from PIL import Image

        Image.preinit()
        # Next the rest of ENDINGS, so that an exotic format with a lax signature is not asked before them.
        for plugin in ("TiffImagePlugin", "WebPImagePlugin"):
            import_module(f"PIL.{plugin}")
        Image.init()
        _plugins_loaded = True
