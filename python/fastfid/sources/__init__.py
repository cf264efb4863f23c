"""What can be scored: a folder, archives, arrays, an iterable; each becomes one stream of images."""

import os
from collections.abc import Mapping, Set
from pathlib import Path

from ..errors import InputError
from ..images import ENDINGS
from .arrays import Stack, is_statistics_file, open_npy, open_npz, to_array
from .base import Item, Source
from .elements import Elements, is_pil
from .folder import open_folder
from .names import image_endings, is_archive
from .shards import Shards

__all__ = ["Item", "Source", "is_statistics_file", "open_source"]

_KINDS = (
    "a folder of images, a .zip or .tar of images or a folder of those, an .npz or .npy of images, a NumPy array, "
    "or an iterable of arrays, PIL images or paths"
)


def open_source(source: object, *, recursive: bool = True) -> Source:
    """Recognise what was given and check all that can be known before the first image is read.

    Parameters
    ----------
    source : path, ndarray or iterable
        - A folder: every file with one of `fastfid.images.ENDINGS` in any case, sorted; links are followed, and each
          folder is read once however many links lead to it. Only where it has no image files: the images of its
          ``.zip`` and ``.tar`` archives as one set, archive by archive in the order of their names.
        - A ``.zip`` or an uncompressed ``.tar`` (a WebDataset shard): its members with those endings, in the order that
          their files would have if it were unpacked. It is listed at once; each image is read where it lies, and
          nothing is written to disk.
        - An ``.npy`` or ``.npz`` of images (its ``arr_0``, or its only array of 3 or 4 dimensions), read image
          by image.
        - An array of integers in 0...255 of shape (N, H, W, 3), (N, H, W, 1) or (N, H, W).
        - An iterable, or an object with ``__getitem__`` and ``__len__``, of such images, PIL images or paths of image
          files; an element is converted as soon as the iterable yields it, so a buffer may be reused. Of these only
          paths are decoded in worker threads.
    recursive : bool, default True
        Whether to search subfolders, of a folder and within an archive.

    Raises
    ------
    InputError
        A missing path, nothing to score in it, a type, dtype or shape that is not accepted; never a pickle is read.

    Examples
    --------
    >>> import numpy as np
    >>> source = open_source(np.zeros((4, 8, 8, 3), np.uint8))
    >>> source.size, next(source.items()).name
    (4, 'image 0 of the array')
    """
    if isinstance(source, str | os.PathLike):
        if not os.fspath(source):
            raise InputError("an empty path: give a folder of images")  # Path("") would be the current folder
        return _open_path(Path(source), recursive)
    if hasattr(source, "__array__"):
        return Stack(to_array(source, "the array", copy=False), "the array")
    if isinstance(source, bytes | bytearray | memoryview | Mapping | Set):
        raise InputError(f"a {type(source).__name__} cannot be scored: give {_KINDS}")
    if not (hasattr(source, "__iter__") or hasattr(source, "__getitem__")):
        what = "one image" if is_pil(source) else f"a {type(source).__name__}"
        raise InputError(f"{what} cannot be scored: give {_KINDS}")
    return Elements(source)  # type: ignore[arg-type]


def _open_path(path: Path, recursive: bool) -> Source:
    if path.is_dir():
        return open_folder(path, recursive)
    suffix = path.suffix.lower()
    if not path.exists():
        wanted = f"a folder, .zip or .tar with images ending in {image_endings()}, or an .npz or .npy"
        raise InputError(f"{path} does not exist: give {wanted}")
    if suffix == ".npy":
        return open_npy(path)
    if suffix == ".npz":
        return open_npz(path)
    if suffix[1:] in ENDINGS:
        raise InputError(f"{path} is a single image: give a folder of images")
    if is_archive(path.name):
        return Shards(str(path), [path], recursive)
    if suffix in (".pkl", ".pickle"):
        raise InputError(
            f"{path} is a pickle, and unpickling runs whatever code is in it: fastfid reads none. Where you trust the "
            "file, unpickle it in Python and save its mean and covariance: numpy.savez('stats.npz', mu=mu, sigma=sigma)"
        )
    raise InputError(f"{path} is of an unknown type: give {_KINDS}")
