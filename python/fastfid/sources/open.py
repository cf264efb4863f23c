"""Opens any input as a source, with a table of kinds by type; `single` has the one of files by their endings.

A new kind is one line in one of the tables and a function that opens it, or that raises the error for it.
"""

import os
from collections.abc import Callable, Collection, Mapping, Set
from pathlib import Path
from typing import Any, NoReturn

from ..checks import type_of
from ..errors import InputError
from ..files.places import Local
from ..files.reading import failures
from ..files.remote import Remote, is_address, without_secrets
from ..images.decode import is_pil
from ..images.rgb import is_tensor, to_array
from .address import open_address, open_remote
from .arrays import Stack
from .base import Source, check_source
from .effects import effect_notes
from .element import is_file, is_upath
from .folder import open_folder
from .globs import is_pattern, open_pattern
from .hugging_face import is_dataset, is_dataset_dict, open_dataset, refuse_dict
from .iterable import Elements
from .single import KINDS, missing, open_file
from .tables import are_tables, open_list_of_tables
from .terms import Terms


def open_source(
    source: object,
    *,
    recursive: bool = True,
    endings: str | Collection[str] | None = None,
    image_key: str | None = None,
    value_range: tuple[float, float] | None = None,
    quantise: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Source:
    """Recognise the input, open it, and check everything that can be checked before the first image is read.

    Parameters
    ----------
    source : path, ndarray, iterable or Source
        - A folder: every file with one of `ENDINGS`, in upper or lower case, sorted. Links are followed, and each
          folder is read once even if several links lead to it. If there are no image files, the images of its ``.zip``
          and ``.tar`` archives are one set, archive by archive in the order of their names. If there are no archives
          either, the rows of its tables are, and if there are none of these, each of its ``.npy`` files is one image.
        - A ``.zip`` or an uncompressed ``.tar`` (a WebDataset shard): its members with those endings, in the order that
          the files would have if the archive were unpacked. It is listed at once. Each image is read directly from the
          archive, and nothing is written to disk.
        - A compressed tar (``.tar.gz``, ``.tar.bz2``, ``.tar.xz``, ``.tar.zst``): the same members, in the order in
          which they were packed. They are read from the beginning to the end, and their number is unknown until then.
        - An ``.npy`` or ``.npz`` of images (its ``arr_0``, or its only array of 3 or 4 dimensions), read image
          by image.
        - An address of any of these that fsspec knows, such as ``s3://bucket/images``, or a `UPath`.
        - A pattern of paths or addresses, such as ``"data/*/[0-9]*.png"`` or ``"s3://bucket/shard-{00..99}.tar"``: the
          files that match, like a folder that holds nothing else. Each alternative in braces must match.
        - A table: Parquet, or Arrow's stream, file or Feather, with the bytes of files in a column; or a list of those.
        - A ``.txt``, ``.csv`` or ``.tsv`` that lists paths, relative to its folder.
        - The ``mlperf_log_accuracy.json`` of MLPerf's loadgen.
        - An array or tensor of integers in 0...255, or of floats with `value_range` and `quantise`, of shape
          (N, H, W, 3), (N, H, W, 1), (N, H, W), (N, 3, H, W) or (N, 1, H, W).
        - A `Dataset` or `IterableDataset` of Hugging Face, whose images it does not decode.
        - An iterable, or an object with ``__getitem__`` and ``__len__``, of such images or batches, PIL images, or
          image files; torch's `Dataset` and `DataLoader` are two. Image files are given as paths or addresses, as
          bytes, as open binary files (read from their beginning), or as ``{"bytes": ..., "path": ...}``, where the path
          is used only if the bytes are None. Elements may also be tuples, lists or mappings with one image, or with
          several of which `image_key` chooses one. An element is copied as soon as the iterable yields it, so a buffer
          may be reused. Files are decoded in worker threads.
        - A `Source`, which is returned unchanged.
    recursive : bool, default True
        Whether to search subfolders, of a folder and within an archive.
    endings : str or collection of str, optional
        File endings that count as images in a folder or an archive, such as ``"png,jpg"``, in upper or lower case.
        ``"pytorch-fid"`` selects exactly the files that pytorch-fid reads: its endings in lower case only, and no
        subfolders.
    image_key, value_range, quantise, storage_options
        As in `score`. A note of the source names those that have no effect on it.

    Raises
    ------
    InputError
        If a path does not exist or has no images, or if a type, dtype or shape is not accepted. Pickles are never read.

    Examples
    --------
    >>> import numpy as np
    >>> source = open_source(np.zeros((4, 8, 8, 3), np.uint8))
    >>> source.size, source.name
    (4, 'the array')
    """
    terms = Terms.of(
        recursive=recursive,
        endings=endings,
        image_key=image_key,
        value_range=value_range,
        quantise=quantise,
        storage_options=storage_options,
    )
    open_kind = next(open_kind for test, open_kind in _TYPES if test(source))
    opened = open_kind(source, terms)
    if opened is not source:  # one of the caller's own may do with options what it likes
        opened.notes += effect_notes(source, opened, terms)
    return opened


# Each kind is opened by a function of the input and the terms.


def _open_path(source: str | os.PathLike[str], terms: Terms) -> Source:
    with failures("cannot open the source"):
        name = os.fsdecode(source)
    if not name:
        raise InputError("an empty path: give a folder of images")  # Path("") would be the current folder
    with failures(f"cannot open {without_secrets(name)!r}"):
        if is_address(name) and not os.path.exists(name):  # noqa: PTH110 - False for one that is too long for a name
            return open_address(name, terms, _open_path)
        path = Path(name)
        if path.is_dir():
            return open_folder(path, terms)
        if path.exists():
            return open_file(Local(str(path)), terms)
        if is_pattern(name):
            return open_pattern(name, terms)
        raise missing(str(path))


def _open_upath(source: Any, terms: Terms) -> Source:
    return open_remote(Remote(source.fs, str(source), source.path), terms)


def _open_array(array: object, terms: Terms) -> Source:
    found = to_array(array, "the array", copy=False)
    return Stack(found, "the array", terms.floats, tensor=is_tensor(array))


def _accept(source: Source, *_: object) -> Source:
    check_source(source)
    return source


def _refuse_type(source: object, *_: object) -> NoReturn:
    raise InputError(f"{type_of(source)} cannot be scored: give {KINDS}")


def _refuse_file(*_: object) -> NoReturn:
    raise InputError(f"one open file cannot be scored: give a list of them, or {KINDS}")


def _refuse_pil(*_: object) -> NoReturn:
    raise InputError(f"one image cannot be scored: give {KINDS}")


def _refuse_moments(*_: object) -> NoReturn:
    raise InputError(
        "mu and sigma are not images: give fastfid.Statistics.from_moments(mu, sigma), "
        "or call fastfid.frechet_distance(mu1, sigma1, mu2, sigma2)"
    )


def _of(*types: type) -> Callable[[object], bool]:
    return lambda source: isinstance(source, types)


def _with(*methods: str) -> Callable[[object], bool]:
    return lambda source: any(hasattr(source, method) for method in methods)


def _are_moments(source: object) -> bool:
    """Return True for a pair of a mean (d,) and a covariance (d, d)."""
    if not (isinstance(source, tuple | list) and len(source) == 2):
        return False
    mu, sigma = (getattr(part, "shape", None) for part in source)
    return isinstance(mu, tuple) and len(mu) == 1 and sigma == (*mu, *mu)


_Open = Callable[[Any, Terms], Source]

#: Kinds of inputs, by type. The first line that applies is used.
_TYPES: tuple[tuple[Callable[[object], bool], _Open], ...] = (
    (_of(Source), _accept),
    (_of(str, os.PathLike), _open_path),
    (is_upath, _open_upath),
    (is_dataset_dict, refuse_dict),
    (is_dataset, open_dataset),
    (_with("__array__", "__dlpack__"), _open_array),
    (_of(bytes, bytearray, memoryview, Mapping, Set), _refuse_type),
    (is_file, _refuse_file),
    (_are_moments, _refuse_moments),
    (are_tables, open_list_of_tables),
    (_with("__iter__", "__getitem__"), Elements),
    (is_pil, _refuse_pil),
    (_of(object), _refuse_type),
)
