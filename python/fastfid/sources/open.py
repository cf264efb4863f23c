"""Recognise what was given: tables of kinds, by type, scheme and ending.

A new kind is one line in one of the tables and a function that opens it, or that says why it is refused.
"""

import os
from collections.abc import Callable, Collection, Mapping, Set
from pathlib import Path
from typing import Any, NoReturn

from ..errors import InputError
from ..files.reading import failures
from ..images.decode import is_pil
from ..images.rgb import to_array
from .arrays import Stack, open_npy, open_npz
from .base import Source, check_source
from .folder import open_folder
from .iterable import Elements, is_file
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
    source : path, ndarray, iterable or Source
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
        - A `Source`, which is returned as it is.
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
    >>> source.size, source.name
    (4, 'the array')
    """
    counted = Endings.of(endings)
    for test, open_kind in _TYPES:
        if test(source):
            return open_kind(source, recursive and not counted.exact, counted)
    raise InputError(f"a {type(source).__name__} cannot be scored: give {_KINDS}")


# Each kind is opened by a function of what was given, `recursive` and the endings that count as images.


def _open_path(source: str | os.PathLike[str], recursive: bool, endings: Endings) -> Source:
    with failures("cannot open the source"):
        name = os.fsdecode(source)
    if not name:
        raise InputError("an empty path: give a folder of images")  # Path("") would be the current folder
    with failures(f"cannot open {name!r}"):
        path, (scheme, mark, _) = Path(name), name.partition("://")
        if path.is_dir():
            return open_folder(path, recursive, endings)
        if not path.exists():
            if mark and scheme.lower() in _SCHEMES:
                return _SCHEMES[scheme.lower()](name, recursive, endings)
            wanted = f"a folder, .zip or .tar with images ending in {endings}, or an .npz or .npy"
            raise InputError(f"{path} does not exist: give {wanted}")
        for test, open_kind in _FILES:
            if test(path, endings):
                return open_kind(path, recursive, endings)
        raise InputError(f"{path} is of an unknown type: give {_KINDS}")


def _open_archive(path: Path, recursive: bool, endings: Endings) -> Source:
    return Shards(str(path), [path], recursive, endings=endings)


def _open_array(array: object, *_: object) -> Source:
    return Stack(to_array(array, "the array", copy=False), "the array")


def _accept(source: Source, *_: object) -> Source:
    check_source(source)
    return source


def _refuse_address(address: str, *_: object) -> NoReturn:
    raise InputError(f"{address} is an address, and nothing is fetched: download it and give the folder or the file")


def _refuse_image(path: Path, *_: object) -> NoReturn:
    raise InputError(f"{path} is a single image: give a folder of images")


def _refuse_pickle(path: Path, *_: object) -> NoReturn:
    raise InputError(
        f"{path} is a pickle, and unpickling runs whatever code is in it: fastfid reads none. Where you trust the "
        "file, unpickle it in Python and save its mean and covariance: numpy.savez('stats.npz', mu=mu, sigma=sigma)"
    )


def _refuse_type(source: object, *_: object) -> NoReturn:
    raise InputError(f"a {type(source).__name__} cannot be scored: give {_KINDS}")


def _refuse_file(*_: object) -> NoReturn:
    raise InputError(f"one open file cannot be scored: give a list of them, or {_KINDS}")


def _refuse_pil(*_: object) -> NoReturn:
    raise InputError(f"one image cannot be scored: give {_KINDS}")


def _refuse_moments(*_: object) -> NoReturn:
    raise InputError(
        "mu and sigma are no images: give fastfid.Statistics.from_moments(mu, sigma), "
        "or call fastfid.frechet_distance(mu1, sigma1, mu2, sigma2)"
    )


def _of(*types: type) -> Callable[[object], bool]:
    return lambda source: isinstance(source, types)


def _with(*methods: str) -> Callable[[object], bool]:
    return lambda source: any(hasattr(source, method) for method in methods)


def _ending(*endings: str) -> Callable[[Path, Endings], bool]:
    return lambda path, _: path.suffix.lower() in endings


def _are_moments(source: object) -> bool:
    """Whether it is a pair of a mean (d,) and a covariance (d, d)."""
    if not (isinstance(source, tuple | list) and len(source) == 2):
        return False
    mu, sigma = (getattr(part, "shape", None) for part in source)
    return isinstance(mu, tuple) and len(mu) == 1 and sigma == (*mu, *mu)


_Open = Callable[[Any, bool, Endings], Source]

#: What was given, by its type. The first line that applies counts.
_TYPES: tuple[tuple[Callable[[object], bool], _Open], ...] = (
    (_of(Source), _accept),
    (_of(str, os.PathLike), _open_path),
    (_with("__array__"), _open_array),
    (_of(bytes, bytearray, memoryview, Mapping, Set), _refuse_type),
    (is_file, _refuse_file),
    (_are_moments, _refuse_moments),
    (_with("__iter__", "__getitem__"), lambda source, *_: Elements(source)),
    (is_pil, _refuse_pil),
)

#: A text that begins with ``scheme://`` and is no path.
_SCHEMES: dict[str, _Open] = dict.fromkeys(("http", "https", "s3", "gs", "hf"), _refuse_address)

#: A file, by its name. The first line that applies counts.
_FILES: tuple[tuple[Callable[[Path, Endings], bool], _Open], ...] = (
    (_ending(".npy"), lambda path, *_: open_npy(path)),
    (_ending(".npz"), lambda path, *_: open_npz(path)),
    (lambda path, endings: endings.count(path.name) or is_image(path.name), _refuse_image),
    (lambda path, _: is_archive(path.name), _open_archive),
    (_ending(".pkl", ".pickle"), _refuse_pickle),
)
