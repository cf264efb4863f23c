"""What is surely different once an image in memory, or the file that an element names, has changed."""

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError, InputError
from ..files.places import Local
from ..files.reading import failures
from ..images.decode import from_pil, is_pil
from ..images.rgb import is_array, is_tensor, to_array
from .element import is_file, is_file_of_bytes, is_path, pick, place_of_element, read_file
from .terms import Terms


def proof_of(element: object, terms: Terms, *, content: bool) -> str:
    """Return a text that is surely different once the image in an element has changed; "" if that cannot be told.

    It is the proof of a file on a disk, and a hash of an image in memory, as it is used: of a PIL image the pixels in
    RGB. An open file is read from its beginning, and its position stays. "" is also the proof of an address, since
    asking for each of many takes long, and of what is no image.

    Parameters
    ----------
    element : object
        As in `images_of`.
    terms : Terms
    content : bool
        False to hash nothing.
    """
    try:
        with failures("cannot tell whether it has changed"):
            image, _ = pick(element, "", terms.image_key)
            if isinstance(image, Mapping) and is_file_of_bytes(image):
                data = image.get("bytes")
                image = image.get("path") if data is None else data
            if is_path(image):
                place = place_of_element(image, terms)
                return place.proof() if isinstance(place, Local) else ""
            return next((hashed(image) for test, hashed in _KINDS if test(image)), "") if content else ""
    except (InputError, ImageError):  # said when the image is read
        return ""


def hash_of_array(array: NDArray[Any], *, tensor: bool = False) -> str:
    """Return a hash of the values of an array, its dtype and shape, and whether its channels may be first; "" if none.

    How the values lie in memory does not matter.
    """
    if array.dtype.hasobject:
        return ""
    return _hash(f"{array.dtype.str} {array.shape} {tensor}", np.ascontiguousarray(array).tobytes())


def _hash(said: str, data: bytes) -> str:
    return blake2b(data, digest_size=16, key=blake2b(said.encode(), digest_size=16).digest()).hexdigest()


def _of_bytes(data: Any) -> str:
    return _hash("", bytes(data))


def _of_file(file: Any) -> str:
    if not file.seekable():
        return ""
    place = file.tell()
    try:
        return _hash("", read_file(file, "the file"))
    finally:
        file.seek(place)


def _of_pil(image: Any) -> str:
    found = from_pil(image, "the image")
    return _hash(f"{found.losses} {found.pixels.shape}", found.pixels.tobytes())


def _of_array(array: Any) -> str:
    return hash_of_array(to_array(array, "the array", copy=False), tensor=is_tensor(array))


_KINDS: tuple[tuple[Callable[[object], bool], Callable[[Any], str]], ...] = (
    (lambda image: isinstance(image, bytes | bytearray | memoryview), _of_bytes),
    (is_file, _of_file),
    (is_pil, _of_pil),
    (is_array, _of_array),
)
