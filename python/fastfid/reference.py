"""Reference files as other tools read them: statistics, and the images themselves."""

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from .arguments import default
from .checks import whole_number
from .engines.base import Engine
from .engines.choose import opened_engine
from .errors import InputError
from .files.npz import Stream, write_npz
from .files.reading import failures
from .files.writing import atomic_write
from .fit import Facts, Side
from .messages import Messages
from .metrics import image_facts
from .metrics.moments import MOMENTS, Statistics
from .metrics.sfid import SPATIAL
from .metrics.statistics_file import exists_already, statistics_path
from .options import Model, Options
from .progress import ProgressOption
from .sides import check_sides, open_side, read
from .sources import Source
from .sources.pieces import choose, read_checked

_IMAGES = 10_000  # as many as in ADM's own files


def reference(
    source: Any,
    path: str | os.PathLike[str],
    *,
    images: int = _IMAGES,
    overwrite: bool = False,
    model: Model = "inception-v3",
    batch_size: int | None = None,
    device: str = default("auto"),
    precision: str = default("fp32"),
    num_workers: int | None = None,
    seed: int = 0,
    recursive: bool = True,
    endings: str | Collection[str] | None = None,
    image_key: str | None = None,
    value_range: tuple[float, float] | None = None,
    quantise: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
    progress: ProgressOption = None,
    engine: str | Engine | None = None,
    engine_options: Mapping[str, Any] | None = None,
) -> Path:
    """Write a reference file for ADM's evaluator, which `compare` reads too.

    It holds ``mu`` and ``sigma`` of the features, ``mu_s`` and ``sigma_s`` of the spatial features for sFID, both of
    all images and in float64, and some of the images in ``arr_0`` for precision and recall. The mode is "tensorflow".

    Takes the parameters of `score` that make features, and these:

    Parameters
    ----------
    source : path, array or iterable
        What `score` accepts as images; all of one size.
    path : path
        The ``.npz`` to write; the ending is appended if it is missing.
    images : int
        Number of images in ``arr_0``, chosen at random; all if there are fewer.
    overwrite : bool
        Whether to replace an existing file.
    seed : int
        Chooses the images.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    InputError
        If the images have different sizes, or the file exists and `overwrite` is False. Nothing is written then.

    References
    ----------
    P. Dhariwal and A. Nichol (2021), "Diffusion models beat GANs on image synthesis"; the file format is that of
    ``evaluations/evaluator.py`` in guided-diffusion.
    """
    options, messages = Options.of({**locals(), "mode": "tensorflow"}), Messages()
    whole_number("images", images, 2)
    target = statistics_path(path)
    if os.path.lexists(target) and not overwrite:
        raise exists_already(target)
    side = open_side(source, "the source", (MOMENTS, SPATIAL), options, messages)
    if side.source is None:
        raise InputError(f"{side.name} holds statistics; a reference file needs the images")
    with opened_engine([side], options, messages) as (opened, facts):
        (side,), _ = check_sides([side], facts, force=False, messages=messages)
        with failures(f"cannot write {target}"), atomic_write(target, replace=overwrite) as file:
            write_npz(file, _arrays(side, images, opened, facts, options, messages))
    return target


def _arrays(
    side: Side, images: int, engine: Engine | None, facts: Facts, options: Options, messages: Messages
) -> Iterator[tuple[str, NDArray[Any] | Stream]]:
    """Yield the arrays of the file: the images first, because those of different sizes are found sooner there."""
    assert side.source is not None
    yield "arr_0", _stored(side.source, images, options)
    side = read(side, engine, facts, options, messages)
    assert side.fit is not None
    moments, spatial = (cast(Statistics, side.fit[need]) for need in (MOMENTS, SPATIAL))
    yield from {"mu": moments.mu, "sigma": moments.sigma, "mu_s": spatial.mu, "sigma_s": spatial.sigma}.items()
    if moments.rows is not None:
        yield "rows", moments.rows
    yield "n", np.array(moments.n)
    if moments.provenance is not None:
        yield "fastfid", np.array(moments.provenance.to_json())
    yield from image_facts.arrays_of(side.seen, moments.n).items()


def _stored(source: Source, images: int, options: Options) -> Stream:
    """Return the images to store, which are decoded while they are written."""
    if source.size is None:
        raise InputError(
            f"{source.name} can be read only once, and the images are needed twice: give a list or a folder"
        )
    chosen = choose(source, images, options.seed)
    assert chosen is not None
    first = next(read_checked(source, chosen[:1])).decode().pixels.shape
    return Stream((len(chosen), *first), np.dtype(np.uint8), _pixels(source, chosen, first))


def _pixels(source: Source, chosen: Any, shape: tuple[int, ...]) -> Iterator[NDArray[np.uint8]]:
    for item in read_checked(source, chosen):
        pixels = item.decode().pixels
        if pixels.shape != shape:
            raise InputError(
                f"{item.name} has {pixels.shape[1]}x{pixels.shape[0]} pixels, the first image {shape[1]}x{shape[0]}: a "
                "reference file needs images of one size; crop them first, as the protocol says"
            )
        yield pixels
