"""Recognise what was given: a folder, archives, arrays, an iterable."""

import os
from collections.abc import Collection, Mapping, Set
from pathlib import Path

from ..errors import InputError
from ..files.reading import failures
from .arrays import Stack, open_npy, open_npz, to_array
from .base import Source
from .folder import open_folder
from .iterable import Elements, is_file, is_pil
from .names import Endings, is_archive, is_image
from .shards import Shards

_KINDS = (
    "a folder of images, a .zip or .tar of images or a folder of those, an .npz or .npy of images, a NumPy array, "
    "or an iterable of arrays, PIL images, paths or bytes of files"
)


def open_source(source: object, *, recursive: bool = True, endings: str | Collection[str] | None = None) -> Source:
    """Recognise what was given and check all that can be known before the first image is read.

    Parameters
    ----------
    source : path, ndarray or iterable
        - A folder: every file with one of `ENDINGS` in any case, sorted; links are followed, and each
          folder is read once however many links lead to it. Only where it has no image files: the images of its
          ``.zip`` and ``.tar`` archives as one set, archive by archive in the order of their names; or, where it has
          no archives either, its ``.npy`` files, each of them one image.
        - A ``.zip`` or an uncompressed ``.tar`` (a WebDataset shard): its members with those endings, in the order that
          their files would have if it were unpacked. It is listed at once; each image is read where it lies, and
          nothing is written to disk.
        - An ``.npy`` or ``.npz`` of images (its ``arr_0``, or its only array of 3 or 4 dimensions), read image
          by image.
        - An array of integers in 0...255 of shape (N, H, W, 3), (N, H, W, 1) or (N, H, W).
        - An iterable, or an object with ``__getitem__`` and ``__len__``, of such images, PIL images, or image files:
          their paths, their bytes, open binary files (read from their beginning), or ``{"bytes": ..., "path": ...}``,
          of which the bytes count where there are any. An element is copied as soon as the iterable yields it, so a
          buffer may be reused. Files are decoded in worker threads.
    recursive : bool, default True
        Whether to search subfolders, of a folder and within an archive.
    endings : str or collection of str, optional
        Which files of a folder or an archive count as images: endings such as ``"png,jpg"``, in any case, or
        ``"pytorch-fid"`` for exactly the files that pytorch-fid takes: its endings in lower case alone, no subfolders.

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
    counted = Endings.of(endings)
    if isinstance(source, str | os.PathLike):
        with failures("cannot open the source"):
            path = os.fsdecode(source)
        if not path:
            raise InputError("an empty path: give a folder of images")  # Path("") would be the current folder
        with failures(f"cannot open {path!r}"):
            return _open_path(Path(path), recursive and not counted.exact, counted)
    if hasattr(source, "__array__"):
        return Stack(to_array(source, "the array", copy=False), "the array")
    if isinstance(source, bytes | bytearray | memoryview | Mapping | Set):
        raise InputError(f"a {type(source).__name__} cannot be scored: give {_KINDS}")
    if is_file(source):
        raise InputError(f"one open file cannot be scored: give a list of them, or {_KINDS}")
    if _are_moments(source):
        raise InputError(
            "mu and sigma are no images: give fastfid.Statistics.from_moments(mu, sigma), "
            "or call fastfid.frechet_distance(mu1, sigma1, mu2, sigma2)"
        )
    if not (hasattr(source, "__iter__") or hasattr(source, "__getitem__")):
        what = "one image" if is_pil(source) else f"a {type(source).__name__}"
        raise InputError(f"{what} cannot be scored: give {_KINDS}")
    return Elements(source)  # type: ignore[arg-type]


def _are_moments(source: object) -> bool:
    """Whether it is a pair of a mean (d,) and a covariance (d, d)."""
    if not (isinstance(source, tuple | list) and len(source) == 2):
        return False
    mu, sigma = (getattr(part, "shape", None) for part in source)
    return isinstance(mu, tuple) and len(mu) == 1 and sigma == (*mu, *mu)


def _open_path(path: Path, recursive: bool, endings: Endings) -> Source:
    if path.is_dir():
        return open_folder(path, recursive, endings)
    suffix = path.suffix.lower()
    if not path.exists():
        wanted = f"a folder, .zip or .tar with images ending in {endings}, or an .npz or .npy"
        raise InputError(f"{path} does not exist: give {wanted}")
    if suffix == ".npy":
        return open_npy(path)
    if suffix == ".npz":
        return open_npz(path)
    if endings.count(path.name) or is_image(path.name):
        raise InputError(f"{path} is a single image: give a folder of images")
    if is_archive(path.name):
        return Shards(str(path), [path], recursive, endings=endings)
    if suffix in (".pkl", ".pickle"):
        raise InputError(
            f"{path} is a pickle, and unpickling runs whatever code is in it: fastfid reads none. Where you trust the "
            "file, unpickle it in Python and save its mean and covariance: numpy.savez('stats.npz', mu=mu, sigma=sigma)"
        )
    raise InputError(f"{path} is of an unknown type: give {_KINDS}")
