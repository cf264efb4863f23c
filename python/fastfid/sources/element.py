"""One element of an iterable: the image or the batch of images in it, still to be decoded."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import shown
from ..errors import ImageError, InputError
from ..files.places import Far, Place, place_of
from ..files.reading import MOST_FILE_BYTES, failures
from ..files.remote import Remote
from ..images.arrays import channels_last, decoded
from ..images.decode import Decoded, decode, from_pil, is_pil
from ..images.formats import begins_as_image
from ..images.rgb import check_arrays, is_array, is_tensor, to_array
from .base import Item, given
from .folder import load_image
from .names import is_archive, is_image
from .terms import Terms

_KINDS = 'an array, a PIL image or a path, nor the bytes of a file, an open file or {"bytes": ..., "path": ...}'
_CHUNK = 1 << 20
_ARCHIVES_WAY_OUT = "put all archives into one folder and give that, or save the statistics of each and merge them"
_KEY, _MOST_SHOWN = "__key__", 20

#: Makes the `Item` of an image, of the name that it is given.
Maker = Callable[[str], Item]


def images_of(element: object, name: str, terms: Terms, batch_size: int | None = None) -> Sequence[Maker]:
    """Find the image in an element, or the images if it is a batch.

    Parameters
    ----------
    element : object
        An image; an array (N, H, W, C) or (N, C, H, W) of images; or a tuple, list or mapping with one of these. From
        those, `terms.image_key` chooses, or the type and the shape do if there is only one image.
    name : str
        Name of the element in errors.
    terms : Terms
    batch_size : int, optional
        How many images an element has, if its owner says so.

    Returns
    -------
    sequence of callable
        One for each image; it converts the image, copies what the element's owner may use again, and returns the item.

    Raises
    ------
    InputError
        If there is no image in it, or several, or its channels may be first or last.
    """
    image, label = pick(element, name, terms.image_key)
    if not is_array(image) or is_pil(image):
        return [partial(_item, image, label, terms)]
    array = to_array(image, name, copy=False)
    if array.ndim not in (3, 4):
        return [partial(_array_item, array, label, terms)]
    if array.ndim == 3 and len(array) == batch_size != 1:
        raise InputError(
            f"{name}: shape {array.shape} from a loader of batches of {batch_size} may be one image or {batch_size}: "
            "give batches (N, 1, H, W)"
        )
    array = channels_last(array, name, tensor=is_tensor(image))
    images = array if array.ndim == 4 else [array]
    return [partial(_array_item, one, label, terms) for one in images]


def failing(error: ImageError) -> Maker:
    """Make an item whose image cannot be loaded."""
    return lambda name: Item(name, partial(_fail, error))


def is_batch(element: object, terms: Terms) -> bool:
    """Return True if an element is an array with many images, or has one as its image."""
    try:
        image, _ = pick(element, "", terms.image_key)
    except InputError:
        return False
    return is_array(image) and len(getattr(image, "shape", ())) == 4


def is_file(element: object) -> bool:
    """Return True for an open file or a `BytesIO`, but not for an array that has a `read` method."""
    file = all(callable(getattr(element, method, None)) for method in ("read", "seekable"))
    return file and not hasattr(element, "__array__")


def is_upath(source: object) -> bool:
    """Return True for a `UPath` of universal_pathlib that is behind an address; others are ordinary paths."""
    return all(hasattr(source, name) for name in ("fs", "path", "protocol", "storage_options"))


def is_path(element: object) -> bool:
    """Return True for a path, an address or a `UPath`."""
    return isinstance(element, str | os.PathLike) or is_upath(element)


# --- which part of an element is the image


def pick(element: object, name: str, key: str | None) -> tuple[object, str]:
    """Return the image in an element, and what is known about it: a path or a key; "" if nothing."""
    if is_file_of_bytes(element) or not isinstance(element, Mapping | tuple | list):
        return element, ""
    parts = _parts(element)
    label = shown(parts[_KEY]) if isinstance(parts.get(_KEY), str) else ""
    if key is not None:
        if key not in parts:
            raise InputError(f"{name}: a {type(element).__name__} has no {key!r}: it has {_listed(parts)}")
        return parts[key], label
    found = [part for part in parts if _may_be_image(part, parts[part])]
    if not found:  # a path beside an image is only its name
        found = [part for part in parts if _may_be_path(parts[part])]
    if len(found) == 1:
        return parts[found[0]], label
    if found:
        raise InputError(f"{name}: which one is the image? Give image_key, one of {_listed(found)}")
    raise InputError(
        f"{name}: a {type(element).__name__} is not {_KINDS}, and holds no image: it has {_listed(parts)}; image_key "
        "says which one is an image all the same"
    )


def _parts(element: Mapping[Any, Any] | Sequence[Any]) -> dict[str, Any]:
    pairs = element.items() if isinstance(element, Mapping) else enumerate(element)
    return {str(part): value for part, value in pairs}


def _listed(parts: Any) -> str:
    names = [shown(part) for part in parts]
    more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    return (", ".join(names[:_MOST_SHOWN]) or "nothing") + more


def _may_be_image(key: str, value: object) -> bool:
    """Return True if a value is an image, or a batch of images, by its type and shape, or by the ending of its key."""
    if isinstance(value, bytes | bytearray | memoryview):
        return is_image(f"x.{key}") or begins_as_image(bytes(value[:16]))
    if is_pil(value) or is_file(value) or is_file_of_bytes(value):
        return True
    return is_array(value) and len(getattr(value, "shape", ())) >= 2


def _may_be_path(value: object) -> bool:
    if is_upath(value):
        return is_image(str(value))
    return isinstance(value, str | os.PathLike) and is_image(os.fsdecode(value))


def is_file_of_bytes(element: object) -> bool:
    """Return True for Hugging Face's undecoded image, ``{"bytes": ..., "path": ...}``."""
    return isinstance(element, Mapping) and not {"bytes", "path"}.isdisjoint(element) and set(element) <= _UNDECODED


_UNDECODED = frozenset({"bytes", "path", "type"})


# --- how an image becomes an item


def _item(element: object, label: str, terms: Terms, name: str) -> Item:
    if isinstance(element, Mapping) and is_file_of_bytes(element):
        data, path = element.get("bytes"), element.get("path")
        element, label = (path, label) if data is None else (data, path or label)
    if label:
        name = f"{name} ({label})"
    if is_path(element):
        with failures(name):
            place = place_of_element(element, terms)
        if is_archive(place.tail):
            raise InputError(f"{name}: {place} is an archive, not an image: {_ARCHIVES_WAY_OUT}")
        return Item(str(place), partial(load_image, place, str(place)))
    return _guarded(name, partial(_loader, element, name))


def place_of_element(element: Any, terms: Terms) -> Place:
    """Return where the file lies that an element names, by a path, an address or a `UPath`."""
    if is_upath(element):
        return Far(Remote(element.fs, str(element), element.path))
    return place_of(os.fsdecode(element), terms.storage_options)


def _array_item(array: NDArray[Any], label: str, terms: Terms, name: str) -> Item:
    name = f"{name} ({label})" if label else name
    return _guarded(name, partial(_array_loader, array, name, terms))


def _guarded(name: str, make: Callable[[], Callable[[], Decoded]]) -> Item:
    try:
        return Item(name, make())
    except ImageError as error:
        return Item(name, partial(_fail, error))  # raised when the image is loaded, so that it can be skipped


def _loader(element: object, name: str) -> Callable[[], Decoded]:
    """Return a function that returns the image and shares no memory with `element`.

    The iterable may reuse one buffer (ImageSequence does), and Pillow images cannot be loaded in two threads at once.
    So PIL images are converted now. Bytes and arrays are copied now and converted later, in a worker thread.
    """
    if isinstance(element, bytes | bytearray | memoryview):
        return partial(decode, bytes(element), name)
    if is_file(element):
        return partial(decode, read_file(element, name), name)
    if is_pil(element):
        return partial(given, from_pil(element, name))
    raise InputError(f"{name}: a {type(element).__name__} is not {_KINDS}")


def _array_loader(array: NDArray[Any], name: str, terms: Terms) -> Callable[[], Decoded]:
    """Return a function that returns the image, and check what the type and the shape tell."""
    floats = terms.floats if array.dtype.kind == "f" else None
    if array.dtype != np.uint8 and floats is None:
        return partial(given, decoded(array, name))  # of other integers, a value may be out of range
    check_arrays(array.shape, array.dtype, name, stack=False, values=array, floats=floats is not None)
    return partial(decoded, array.copy(order="K"), name, floats)


def read_file(file: Any, name: str) -> bytes:
    """Read a file from its beginning, as Pillow does, whatever its current position."""
    data = bytearray()
    with failures(f"cannot read {name}", ImageError):
        if file.seekable():
            file.seek(0)
        while len(data) <= MOST_FILE_BYTES and (chunk := file.read(_CHUNK)):
            if isinstance(chunk, str):
                raise InputError(f"{name}: the file is open as text; open it with mode 'rb'")
            data += chunk
        if len(data) > MOST_FILE_BYTES:
            raise ValueError(f"it has more than {MOST_FILE_BYTES:,} bytes")
    return bytes(data)


def _fail(error: ImageError) -> Decoded:
    raise error
