"""score, compare, statistics: the whole flow from two sources to one number."""

from collections.abc import Collection, Sequence
from typing import Any

from .arguments import default
from .comparison import Comparison
from .engines.base import Engine
from .engines.choose import opened_engine
from .images.preprocess import Preprocessing
from .messages import Messages, tell_of_sides
from .metrics.base import Metric
from .metrics.fid import MOMENTS
from .metrics.moments import Statistics
from .metrics.registry import asked_for, needs_of
from .options import Model, Options
from .progress import ProgressOption
from .sides import check_sides, fitted, glanced, moments_of, open_side, read


def score(
    a: Any,
    b: Any,
    *,
    model: Model = "inception-v3",
    mode: str | Preprocessing = default("pytorch"),
    dims: int = default(2048),
    method: str = "auto",
    batch_size: int | None = None,
    device: str = default("auto"),
    precision: str = default("fp32"),
    num_workers: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    on_error: str = "raise",
    recursive: bool = True,
    endings: str | Collection[str] | None = None,
    force: bool = False,
    progress: ProgressOption = None,
    engine: str | Engine | None = None,
) -> float:
    """Fréchet Inception Distance between two sets of images.

    Parameters
    ----------
    a, b : path, array, Statistics or iterable
        A folder (searched recursively), a ``.zip`` or ``.tar`` of images, or a folder of those; a statistics
        ``.npz``; a ``.npy`` or ``.npz`` of uint8 images; an array (N, H, W, 3), (N, H, W, 1) or (N, H, W) of integers
        in 0…255; a `Statistics`; an iterable of arrays, PIL images or image files.
    model : str, path or Extractor
        A registry name, weights in pytorch-fid's layout (``.pth``) or Keras' (``.h5``), an ``.onnx`` extractor, or an
        `Extractor`, which brings its own mode, dims, device, precision and batch size. Not consulted where both sides
        are statistics.
    mode : {"pytorch", "tensorflow", "clean", "keras", "torchmetrics"} or Preprocessing
        Whose preprocessing: pytorch-fid's, TTUR's and torch-fidelity's, clean-fid's, the Keras tutorial's or
        torchmetrics'. For a network other than Inception: "clip", "dinov2", a `Preprocessing` or its text.
    dims : {2048, 768, 192, 64, 1008}
        Tap of the network; 1008 are the logits.
    method : {"auto", "schur"}
        How the trace term is computed; see `frechet_distance`.
    batch_size : int, optional
        Images per run of the network; a fixed number per device by default.
    device : str
        "auto", "cpu", "cuda" or "cuda:N"; or several, each for one process: "cuda:0,cuda:1", "cuda:all", "cpu,cpu".
    precision : {"fp32", "tf32", "fp16"}
        Arithmetic of the network.
    num_workers : int, optional
        Threads that decode and resize.
    limit, seed : int
        Take a random subset of `limit` images from each side, the same for the same seed.
    on_error : {"raise", "skip"}
        Whether an image that cannot be decoded ends the run, or is left out and listed.
    recursive : bool
        Whether subfolders are searched.
    endings : str or collection of str, optional
        Which files count as images: endings such as "png,jpg", in any case, or "pytorch-fid" for exactly the files that
        pytorch-fid takes: its endings in lower case alone, no subfolders.
    force : bool
        Compare statistics although their model or mode differ, or a covariance is not symmetric; the result says so.
    progress : None, bool or callable
        None shows a bar where stderr is a terminal; a callable gets (done, total).
    engine : {"local", "processes"} or Engine, optional
        What runs the network: this process, one process for each device, or an engine of yours. By default this process
        for one device, and processes for several.

    Returns
    -------
    float
        The FID, in squared units of the features.

    Raises
    ------
    InputError
        Where a source cannot be scored; `ImageError` for an image, `StatisticsMismatch` for statistics that do not fit.
    ModelError, DeviceError
        Where the model or the device cannot be used.

    References
    ----------
    M. Heusel et al. (2017), "GANs trained by a two time-scale update rule converge to a local Nash equilibrium".

    Examples
    --------
    >>> import numpy as np
    >>> import fastfid
    >>> rng = np.random.RandomState(0)
    >>> dark, light = rng.randint(0, 128, (2, 4, 32, 32, 3)), rng.randint(128, 256, (4, 32, 32, 3))
    >>> extractor = fastfid.Extractor("inception-v3-random", dims=64, batch_size=4)
    >>> import warnings; warnings.simplefilter("ignore", fastfid.FastFIDWarning)  # 4 images for 64 dims
    >>> near, far = (fastfid.score(dark[0], other, model=extractor) for other in (dark[1], light))
    >>> near < far
    True
    """
    return compare(
        a,
        b,
        model=model,
        mode=mode,
        dims=dims,
        method=method,
        batch_size=batch_size,
        device=device,
        precision=precision,
        num_workers=num_workers,
        limit=limit,
        seed=seed,
        on_error=on_error,
        recursive=recursive,
        endings=endings,
        force=force,
        progress=progress,
        engine=engine,
    ).fid


def compare(
    a: Any,
    b: Any,
    *,
    model: Model = "inception-v3",
    mode: str | Preprocessing = default("pytorch"),
    dims: int = default(2048),
    method: str = "auto",
    batch_size: int | None = None,
    device: str = default("auto"),
    precision: str = default("fp32"),
    num_workers: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    on_error: str = "raise",
    recursive: bool = True,
    endings: str | Collection[str] | None = None,
    force: bool = False,
    progress: ProgressOption = None,
    bootstrap: int = 0,
    metrics: Sequence[str | Metric] = ("fid",),
    engine: str | Engine | None = None,
) -> Comparison:
    """Fréchet Inception Distance with its terms, its error, and what made it; parameters as in `score`.

    Parameters
    ----------
    bootstrap : int
        Number of replicates behind a 95 % confidence interval; 0 for none. Rows are resampled while there are no more
        of them than dims; beyond that one of 20 groups of images is left out at a time, on each side (a jackknife of
        40 distances whatever the number, with 20 d² numbers of memory a side). Statistics without rows count as known.
        The replicates are computed with ``method="auto"``.
    metrics : sequence of str or Metric
        What to compute, each by its name or as an object with parameters: ``["fid", MyMetric(k=3)]``. All metrics share
        one pass over the images.

    Returns
    -------
    Comparison
    """
    options = Options.of(locals())
    asked = asked_for(options.metrics, options)
    needs, messages = needs_of(asked), Messages()
    # Both sides are opened before the network runs on either: a typo in the second must not cost the first.
    sides = [open_side(a, "the first side", options, messages), open_side(b, "the second side", options, messages)]
    with opened_engine(sides, needs, options, messages) as (engine, facts):
        sides, forced = check_sides(sides, facts, needs, options.force, messages)
        sides = [glanced(side, options) for side in sides]
        tell_of_sides(sides, facts, messages)
        sides = [fitted(side, engine, facts, needs, options, messages) for side in sides]
        tell_of_sides(sides, facts, messages)
    scores = {metric.name: metric.value(*(side.fit for side in sides[: metric.sides])) for metric in asked}
    for found in scores.values():
        for text in found.warnings:
            messages.warn(text)
    first, second = (side.result() for side in sides)
    return Comparison(
        scores=scores,
        a=first,
        b=second,
        method=str(options.method),
        provenance=sides[0].provenance or sides[1].provenance,
        forced=forced,
        warnings=tuple(messages.warnings),
        notes=tuple(messages.notes),
    )


def statistics(
    source: Any,
    *,
    model: Model = "inception-v3",
    mode: str | Preprocessing = default("pytorch"),
    dims: int = default(2048),
    batch_size: int | None = None,
    device: str = default("auto"),
    precision: str = default("fp32"),
    num_workers: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    on_error: str = "raise",
    recursive: bool = True,
    endings: str | Collection[str] | None = None,
    progress: ProgressOption = None,
    engine: str | Engine | None = None,
) -> Statistics:
    """Mean and covariance of the features of a set of images, ready to be saved, merged and compared.

    Parameters are those of `score`; a statistics file is loaded as it is.

    Returns
    -------
    Statistics
    """
    options, messages = Options.of(locals()), Messages()
    side = open_side(source, "the source", options, messages)
    with opened_engine([side], [MOMENTS], options, messages) as (engine, facts):
        return moments_of(read(side, engine, facts, [MOMENTS], options, messages))
