"""`score` and `compare`: the flow from two sources to a number."""

import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from typing import Any

from .against import Baseline
from .arguments import default, given, spelled
from .comparison import Comparison
from .engines.base import Engine
from .engines.choose import opened_engine
from .errors import UsageError
from .fit import Side
from .following import Following
from .identity import result_of, tell_of_same
from .images.preprocess import Preprocessing
from .messages import Messages, tell_of_scores, tell_of_sides
from .messages_of_pairs import MessagesOfPairs
from .metrics.base import Metric, Need
from .metrics.certainty import LEVEL
from .metrics.fid import FID
from .metrics.registry import METRICS, asked_for, needs_of, score_of, with_certainty
from .options import OF_METRICS, Model, Options
from .per_class import Shelf, check_classes, scores_of_classes, tell_of_classes
from .progress import ProgressOption
from .protocols import references
from .report.command import command_of
from .report.evidence import gather
from .report.html import check_report
from .row_names import named, named_in_class, namer
from .sides import cached, check_sides, fitted, glanced, open_side, resumable


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
    image_key: str | None = None,
    value_range: tuple[float, float] | None = None,
    quantise: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
    features: bool = False,
    force: bool = False,
    progress: ProgressOption = None,
    engine: str | Engine | None = None,
    engine_options: Mapping[str, Any] | None = None,
    resume: str | os.PathLike[str] | None = None,
    cache: bool = False,
) -> float:
    """Fréchet Inception Distance between two sets of images.

    Parameters
    ----------
    a, b : path, array, Statistics or iterable
        A folder (searched recursively), a ``.zip`` or ``.tar`` of images, or a folder of those; a statistics
        file; a ``.npy`` or ``.npz`` of uint8 images; an array (N, H, W, 3), (N, H, W, 1) or (N, H, W) of integers in
        0…255; a `Statistics` or a `Fit`; an iterable of arrays, PIL images or image files.
    model : str, path or Extractor
        A registry name, weights in pytorch-fid's layout (``.pth``) or Keras' (``.h5``), an ``.onnx`` network, or an
        `Extractor`, which has its own mode, dims, device, precision and batch size. Ignored if both sides are
        statistics.
    mode : {"pytorch", "tensorflow", "clean", "keras", "torchmetrics"} or Preprocessing
        Preprocessing to apply: that of pytorch-fid, of TTUR and torch-fidelity, of clean-fid, of the Keras tutorial, or
        of torchmetrics. For a network other than Inception: "clip", "dinov2", a `Preprocessing` or its text form.
    dims : {2048, 768, 192, 64, 1008}
        Length of the features, which selects the layer of the network. 1008 selects the logits.
    method : {"auto", "schur"}
        How to compute the trace term; see `frechet_distance`.
    batch_size : int, optional
        Images per run of the network. The default depends only on the device.
    device : str
        "auto", "cpu", "cuda" or "cuda:N", or another of docs/devices.md, such as "openvino". Several devices run one
        process each: "cuda:0,cuda:1", "cuda:all", "cpu,cpu".
    precision : {"fp32", "tf32", "fp16"}
        Arithmetic of the network.
    num_workers : int, optional
        Threads that decode and resize.
    limit, seed : int
        Use a random subset of `limit` images of each side. The same seed chooses the same subset.
    on_error : {"raise", "skip"}
        What to do with an image that cannot be decoded: end the run, or leave the image out and list it.
    recursive : bool
        Whether to search subfolders.
    endings : str or collection of str, optional
        File endings that count as images, such as "png,jpg", in upper or lower case. "pytorch-fid" selects exactly the
        files that pytorch-fid reads: its endings in lower case only, and no subfolders.
    image_key : str, optional
        The column of a table, or the key of the elements of an iterable, that holds the images. It can be left out if
        only one can. In an archive it is what follows the first dot in the names of the images, as in WebDataset.
    value_range : (float, float), optional
        The values of black and white in images of floats, such as (-1, 1). Floats are refused without it.
    quantise : {"round", "truncate", "edm"}, optional
        How floats become 8-bit values; needed with `value_range`. On the scale 0...255, "round" takes the nearest
        whole number, "truncate" rounds down, and "edm" adds 0.5 and rounds down, as ``127.5 x + 128`` does.
    storage_options : mapping, optional
        What the file system of an address such as ``s3://`` needs, such as credentials.
    features : bool
        The sides are matrices of features, shape (n, dims): arrays, or an ``.npy`` or ``.npz`` each. No network runs.
    force : bool
        Compare statistics even if their model or mode differs, or if a covariance is not symmetric. The result records
        this.
    progress : None, bool or callable
        None shows a bar if stderr is a terminal. A callable is called with (done, total).
    engine : {"local", "processes", "ray"} or Engine, optional
        What runs the network: this process, one process per device, the actors of a Ray cluster, or your own `Engine`.
        The default is "local" for one device and "processes" for several. No Ray cluster is started.
    engine_options : mapping, optional
        Options of the engine "ray": "workers", "num_gpus" and "num_cpus" of each, and "address" of the cluster.
    resume : path, optional
        A folder, or an address, that keeps the results of each piece of the images. A run that ended early continues
        from those that are there.
    cache : bool
        Keep the results of the second side, the real images, in fastfid's cache folder. A later run with the same
        images and options reads none of them: names, sizes and times of the files tell whether they are the same.
        ``fastfid cache`` lists what is kept.

    Returns
    -------
    float
        The FID, in squared units of the features.

    Raises
    ------
    InputError
        If a source cannot be scored. If a single image is at fault, it is an `ImageError`. If two statistics cannot be
        compared, it is a `StatisticsMismatch`.
    ModelError, DeviceError
        If the model or the device cannot be used.

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
        image_key=image_key,
        value_range=value_range,
        quantise=quantise,
        storage_options=storage_options,
        features=features,
        force=force,
        progress=progress,
        engine=engine,
        engine_options=engine_options,
        resume=resume,
        cache=cache,
    ).fid


def compare(
    a: Any,
    b: Any = None,
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
    image_key: str | None = None,
    value_range: tuple[float, float] | None = None,
    quantise: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
    features: bool = False,
    force: bool = False,
    progress: ProgressOption = None,
    bootstrap: int = 0,
    certainty: bool = False,
    level: float = default(LEVEL),
    metrics: Sequence[str | Metric] = ("fid",),
    protocol: str | None = None,
    reference: str | os.PathLike[str] | None = None,
    per_class: bool = False,
    report: bool | str | os.PathLike[str] = False,
    thumbnails: bool = True,
    baseline: Any = None,
    paired: bool = False,
    engine: str | Engine | None = None,
    engine_options: Mapping[str, Any] | None = None,
    resume: str | os.PathLike[str] | None = None,
    cache: bool = False,
) -> Comparison:
    """Fréchet Inception Distance with its terms, its error estimate and its provenance; and other metrics.

    Takes the parameters of `score` and these:

    Parameters
    ----------
    b : path, array, Statistics or iterable, optional
        May be left out if all metrics take one side, as ``metrics=["is"]`` does, or if the protocol has a reference.
    bootstrap : int
        Number of replicates for a 95 % confidence interval of the FID at this number of images, its bias included; 0
        for none. `certainty` has limits for infinitely many. If no side has more images than dims, the rows are
        resampled (method "bootstrap"). Otherwise a jackknife leaves out one of 20 groups of images at a time, on each
        side (method "jackknife"). It always computes 40 distances, and needs memory for 20 d² numbers per side.
        Statistics without rows count as exactly known. The replicates are computed with ``method="auto"``.
    certainty : bool
        Also say how sure each score is: its bias, standard error, limits and p-value, as `fastfid.certainty` does.
        ``Comparison.certainty`` has that of the FID, and ``scores[...].certainty`` those of "fid", "kid", "sfid" and
        "is"; it is None for other metrics. The features of all images are kept, 8 KiB each at 2048 dims.
    level : float
        Confidence level of the limits of `certainty`, from 0.5 to 0.9999.
    metrics : sequence of str or Metric
        The metrics to compute, each by its name or as an object with parameters: ``["fid", MyMetric(k=3)]``. All
        metrics share one pass over the images.
    protocol : str, optional
        Compute what a published protocol does, such as "adm" or "imagenet-256-adm". It fixes mode and metrics, and that
        of one data set also size and real side. docs/protocols.md lists the protocols, and shows how to export the
        network for those that do not use Inception, which `model` then names.
    reference : path, optional
        The real side of a protocol of one data set, instead of `b`. If neither is given, it is looked for in the cache.
    per_class : bool
        Also compute the metrics of each class. The class of an image is the name of the subfolder that it is in, and
        both sides need folders or archives. ``Comparison.classes`` has the scores.
    report : bool or path
        Also gather what a report shows: how sure the scores are, as with `certainty`, and the images behind them.
        ``Comparison.to_html`` returns the page, and a path is a file that it is written to; a report that is there
        already is replaced. Needs jinja2: ``pip install 'fastfid[report]'``.
    thumbnails : bool
        Whether a report shows images. The names of files are in it in any case.
    baseline : path, array, Fit or iterable, optional
        Other generated images, such as those of the model in use. ``Comparison.baseline`` has their FID to the same
        real images, and the difference of the two with its standard error. Each side needs 3 images for each dim.
    paired : bool
        Image i of the first side and of the baseline was made from the same seed, or the same noise or caption. If the
        images are files, their names have to be the same.

    Returns
    -------
    Comparison
    """
    options = Options.of(locals())
    asked, said = _asked(options), MessagesOfPairs()
    messages, fid = said.of(0), any(isinstance(metric, FID) for metric in asked)
    following, other = Following(options, messages), Baseline(options, asked, said.of(1))
    command = command_of((a, b), options)
    b, real = references.given(following.protocol, b, options.reference, messages, force=options.force)
    # All sides are opened before the network runs on one, so that a typo in the last path fails at once.
    sides = _opened(asked, (a, b), other.needs, options, messages)
    sides[0] = following.choosing(sides[0])
    other.open(sides, following)
    for metric in asked:
        metric.check(*(side.n for side in sides[: metric.sides]))
    common, images = check_classes(sides, asked, messages) if options.per_class else ((), ())
    with ExitStack() as stack:
        with following.opening([*sides, *other.sides]):
            engine, facts = stack.enter_context(opened_engine([*sides, *other.sides], options, messages))
        following.opened(facts, sides, other.sides)
        sides, forced = check_sides(sides, facts, options.force, messages)
        other.check(sides, facts)
        for i, classes in enumerate(images):
            sides[i] = replace(sides[i], shelf=stack.enter_context(closing(Shelf(classes))))
        sides[1:] = [cached(side, engine, facts, options, messages) for side in sides[1:]]
        sides = [resumable(side, facts, options, messages) for side in sides]
        sides = [glanced(side) for side in sides]
        following.glanced(sides)
        tell_of_sides(sides, facts, messages, fid=fid)
        sides = [fitted(side, engine, facts, options, messages) for side in sides]
        tell_of_sides(sides, facts, messages, fid=fid)
        tell_of_same(sides, messages)
        following.read(sides)
        namers = [namer(side) for side in sides]
        scores = {metric.name: score_of(metric, [side.fit for side in sides]) for metric in asked}
        scores = {metric.name: named(metric, scores[metric.name], namers) for metric in asked}
        tell_of_scores(scores, messages)
        against = other.read(sides, engine, facts, scores)
        used = references.confirmed(real, sides[1], messages) if real else None
        of_classes = scores_of_classes(common, sides, asked, partial(named_in_class, namers))
        evidence = gather(sides, scores, thumbnails=options.thumbnails) if options.report is not False else None
    tell_of_classes(of_classes, facts.roles.get("features", 0) if fid else 0, messages)
    warnings, notes = said.texts()
    result = Comparison(
        scores=scores,
        classes=of_classes,
        a=result_of(sides[0]),
        b=result_of(sides[1]) if len(sides) > 1 else None,
        method=str(scores["fid"].parameters["method"] if "fid" in scores else options.method),
        provenance=next((side.provenance for side in sides if side.provenance), None),
        forced=forced,
        warnings=warnings,
        notes=notes,
        sure=options.certainty,
        protocol=following.protocol,
        command=command,
        evidence=evidence,
        reference=used,
        baseline=against,
        settings=options.reading(),
    )
    if not isinstance(options.report, bool):
        result.to_html(options.report, thumbnails=options.thumbnails)
    return result


def _asked(options: Options) -> list[Metric]:
    """Return the metrics that are asked for, and check the options that need one another."""
    asked, reports = asked_for(options.metrics, options), options.report is not False
    if given(options.level) and not options.certainty and options.baseline is None and not reports:
        one, needed = spelled("level", options.level), spelled("certainty", True)
        raise UsageError(f"{one} is about the limits of certainty: give {needed} as well, or leave it out")
    for name in OF_METRICS:
        if getattr(options, name) != getattr(Options, name) and not any(hasattr(metric, name) for metric in asked):
            raise UsageError(f"{name} is no parameter of any metric that is asked for: leave it out")
    if not reports and not options.thumbnails:
        raise UsageError(f"{spelled('thumbnails', False)} is about a report, and none is asked for")
    if reports:
        check_report(options.report)
    return [with_certainty(metric) for metric in asked] if reports else list(asked)


def _opened(
    asked: Sequence[Metric], given: Sequence[Any], more: Sequence[Need], options: Options, messages: Messages
) -> list[Side]:
    """Open the first side, and the second if a metric compares two."""
    both = [metric.name for metric in asked if metric.sides > 1]
    if both and given[1] is None:
        raise UsageError(f"{both[0]} compares two sides, and only one is given{_metrics_of_one()}")
    if not both and given[1] is not None:
        messages.note(f"the second side is not read: {', '.join(metric.name for metric in asked)} takes one side")
    return [
        open_side(
            given[place], name, tuple(dict.fromkeys((*needs_of(asked, place), *more))), options, messages, "ab"[place]
        )
        for place, name in enumerate(("the first side", "the second side")[: 2 if both else 1])
    ]


def _metrics_of_one() -> str:
    return f"; metrics of one side are {', '.join(name for name, kind in METRICS.items() if kind.sides == 1)}"
