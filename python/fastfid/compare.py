"""score, compare, statistics: the whole flow from two sources to one number."""

import os
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

from . import preflight
from .arguments import default, given
from .errors import InputError, StatisticsMismatch
from .extraction.extractor import Extractor
from .extraction.settings import check_settings
from .images.observed import Tally
from .images.preprocess import Preprocessing, resolve
from .messages import Report
from .metrics import frechet
from .metrics.base import Metric
from .metrics.intervals import Blocks, Interval, interval_of
from .metrics.moments import Statistics
from .options import Model, Options
from .progress import ProgressOption, on_a_terminal, progress_bar
from .provenance import Provenance, differences
from .sources import Source, is_statistics_file, open_source

# What `images.decode` may report, as a sentence after "N images".
_LOSSES = {
    "16-bit": "have 16 bits a channel; values above 255 become 255, as in every tool",
    "alpha": "have transparency; it is dropped, as in every tool",
    "larger than PIL.Image.MAX_IMAGE_PIXELS": "are larger than PIL.Image.MAX_IMAGE_PIXELS",
}


@dataclass(frozen=True)
class Side:
    """One side of a comparison: its name, the number of images counted, and those left out."""

    name: str
    n: int | None
    rejected: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """A FID and everything that a reader of it should know.

    Attributes
    ----------
    fid : float
        ``mean_term + trace_term``, in squared units of the features.
    mean_term : float
        ``|mu1 - mu2|²``.
    trace_term : float
        ``tr(S1) + tr(S2) - 2 tr(sqrt(S1 S2))``.
    error_estimate : float
        Estimated error of `fid`, absolute: rounding, and where a side is known only as a deficient covariance matrix,
        what that cannot tell from zero. NaN with ``method="schur"``, which has no estimate.
    rank : tuple of int or None
        Numerical ranks of the two covariances, among the dims that are not zero on either side; None with "schur".
    interval : Interval or None
        Confidence interval, where `bootstrap` asked for one.
    a, b : Side
        Name, n and rejected images of either side.
    method : str
        "auto" or "schur".
    provenance : Provenance or None
        What made the features; None where neither side says.
    forced : bool
        Whether statistics that do not fit each other were compared all the same.
    warnings, notes : tuple of str
        What was said on the way.
    """

    fid: float
    mean_term: float
    trace_term: float
    error_estimate: float
    rank: tuple[int, int] | None
    interval: Interval | None
    a: Side
    b: Side
    method: str
    provenance: Provenance | None
    forced: bool
    warnings: tuple[str, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison as plain data for JSON, NaN as None."""
        data = asdict(self)
        if self.error_estimate != self.error_estimate:
            data["error_estimate"] = None
        return data


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
    engine: Any = None,
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
        What runs the network: "local" is this process on one device, "processes" one process per device.

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
    return _compare(a, b, Options.of(locals())).fid


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
    engine: Any = None,
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
        What to compute: names of metrics, or `Metric` objects with parameters of their own.

    Returns
    -------
    Comparison
    """
    return _compare(a, b, Options.of(locals()))


def _compare(a: Any, b: Any, options: Options) -> Comparison:
    _check_known(options)
    report = Report()
    # Both sides are opened and checked before the network runs on either: a typo in the second must not cost the first.
    inputs = [_open(side, options, report) for side in (a, b)]
    extractor = None
    if any(isinstance(side, Source) for side in inputs):
        extractor = _extractor(options, report)
    names = (_name(a, "the first side"), _name(b, "the second side"))
    made_by = [side.provenance if isinstance(side, Statistics) else _made_by(extractor) for side in inputs]
    _check_dims(inputs, extractor, names)
    texts, forced = differences(made_by[0], made_by[1], names, force=options.force)
    for text in texts:
        report.warn(text)

    mode = extractor.mode if extractor else ""
    fitted_dims = extractor.dims if extractor else cast(Statistics, inputs[0]).dims
    first = [_glance(side, name, options) for side, name in zip(inputs, names, strict=True)]
    preflight.check(first, fitted_dims, mode, report)
    fitted, blocks, seen = [], [], []
    for side, name in zip(inputs, names, strict=True):
        tally, dealt = None, None
        if isinstance(side, Source):
            assert extractor is not None
            tally, dealt = Tally(), Blocks(extractor.dims) if options.bootstrap else None
            side = _run(extractor, side, options, report, tally, dealt)
        fitted.append(side)
        blocks.append(dealt)
        seen.append(preflight.Side(name, side.n, tally))
    preflight.check(seen, fitted_dims, mode, report)
    gaussians = [side.gaussian() for side in fitted]
    result = frechet.distance(gaussians[0], gaussians[1], method=options.method)
    if result.offset:
        report.warn(f"the square root would not do: {result.offset:g} was added to the diagonals of both covariances")
    interval = None
    if options.bootstrap:
        interval = interval_of(gaussians, blocks, result.value, options.bootstrap, options.seed)
    return Comparison(
        fid=result.value,
        mean_term=result.mean_term,
        trace_term=result.trace_term,
        error_estimate=result.error_estimate,
        rank=result.rank,
        interval=interval,
        a=_side(seen[0]),
        b=_side(seen[1]),
        method=options.method,
        provenance=made_by[0] or made_by[1],
        forced=forced,
        warnings=tuple(report.warnings),
        notes=tuple(report.notes),
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
    engine: Any = None,
) -> Statistics:
    """Mean and covariance of the features of a set of images, ready to be saved, merged and compared.

    Parameters are those of `score`; a statistics file is loaded as it is.

    Returns
    -------
    Statistics
    """
    options = Options.of(locals())
    _check_known(options)
    report = Report()
    side = _open(source, options, report)
    if isinstance(side, Statistics):
        return side
    extractor = _extractor(options, report)
    name, tally = _name(source, "the source"), Tally()
    preflight.check([_glance(side, name, options)], extractor.dims, extractor.mode, report)
    result = _run(extractor, side, options, report, tally)
    preflight.check([preflight.Side(name, result.n, tally)], extractor.dims, extractor.mode, report)
    return result


def _check_known(options: Options) -> None:
    """Refuse what is not there yet."""
    if options.engine not in (None, "local"):
        raise InputError(f"engine={options.engine!r} is not there yet; engine='local' is")
    if options.metrics != ("fid",):
        raise InputError(f"metrics={list(options.metrics)!r} are not there yet; metrics=['fid'] is")


def _open(side: Any, options: Options, report: Report) -> Statistics | Source:
    known = isinstance(side, Statistics)
    if known or (isinstance(side, str | os.PathLike) and is_statistics_file(side)):
        if options.limit is not None:
            where = _name(side, "statistics")
            report.warn(f"limit={options.limit} does not apply to {where}: it has no images to choose from")
        return side if known else Statistics._load(side, report.warn, force=options.force)
    source = open_source(side, recursive=options.recursive, endings=options.endings)
    source.items(options.limit, options.seed)  # nothing is read yet, but a limit that cannot be had is refused
    if source.size is not None and source.size < 2:
        raise InputError(f"{source.name} has {source.size} image; a covariance needs at least 2")
    for text in source.notes:
        report.note(text)
    return source


def _extractor(options: Options, report: Report) -> Extractor:
    settings = {name: getattr(options, name) for name in ("mode", "dims", "device", "precision", "batch_size")}
    model = options.model
    if isinstance(model, Extractor):
        check_settings(options.device, options.precision, options.batch_size)
        _check_brought(model, **settings)
    else:
        progress = options.progress is True or (options.progress is None and on_a_terminal())
        model = Extractor(model, **settings, progress=progress, report=report)
    if not model.comparable:
        report.note(f"made with {model.provenance.model}: not comparable with published FIDs")
    return model


def _check_brought(extractor: Extractor, **options: Any) -> None:
    """An Extractor brings its own settings: refuse another value that was given beside it."""
    for name, value in options.items():
        if not given(value):
            continue
        if name == "mode":
            value = resolve(value).name
        elif name == "device":
            value = {"auto": extractor.device, "cuda": "cuda:0", "cpu:0": "cpu"}.get(value, value)
        own = getattr(extractor, name)
        if value != own:
            raise InputError(f"{name}={value!r} does not fit the Extractor given as model, which has {name}={own!r}")


def _run(
    extractor: Extractor, source: Source, options: Options, report: Report, tally: Tally, blocks: Blocks | None = None
) -> Statistics:
    result = Statistics(extractor.dims, extractor.provenance)
    with progress_bar(options.progress, source.expected(options.limit), source.name) as show:
        for features in extractor.stream(
            source,
            num_workers=options.num_workers,
            limit=options.limit,
            seed=options.seed,
            on_error=options.on_error,
            progress=show,
            tally=tally,
        ):
            result.update(features)
            if blocks is not None:
                blocks.update(features)
    if problem := extractor.shortage(tally):
        report.warn(problem)
    _tell(source, result.n or 0, tally, report)
    return result


def _glance(side: Statistics | Source, name: str, options: Options) -> preflight.Side:
    if isinstance(side, Statistics):
        return preflight.Side(name, side.n)
    return preflight.Side(name, side.expected(options.limit), preflight.glance(side, options.limit, options.seed))


def _side(seen: preflight.Side) -> Side:
    return Side(seen.name, seen.n, tuple(seen.seen.rejected) if seen.seen else ())


def _tell(source: Source, n: int, tally: Tally, report: Report) -> None:
    if n < 2:
        raise InputError(f"{source.name} gave {n} readable images; a covariance needs at least 2")
    if text := tally.left_out(source.name):
        report.warn(text)
    for loss, count in tally.losses.items():
        report.warn(f"{source.name}: {count} images {_LOSSES.get(loss, loss)}")
    if tally.largest <= 1:
        report.warn(f"{source.name}: the largest pixel is {tally.largest}; integers in 0…255 are expected, not in 0…1")


def _made_by(extractor: Extractor | None) -> Provenance | None:
    return extractor.provenance if extractor is not None else None


def _check_dims(inputs: list[Statistics | Source], extractor: Extractor | None, names: tuple[str, str]) -> None:
    """Different lengths cannot even be forced."""
    dims = [side.dims if isinstance(side, Statistics) else extractor.dims if extractor else 0 for side in inputs]
    if dims[0] != dims[1]:
        raise StatisticsMismatch(f"these cannot be compared: dims {dims[0]} in {names[0]}, {dims[1]} in {names[1]}")


def _name(side: Any, otherwise: str) -> str:
    return os.fspath(side) if isinstance(side, str | os.PathLike) else f"{otherwise} ({type(side).__name__})"
