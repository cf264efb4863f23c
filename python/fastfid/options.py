"""The options of `score`, `compare` and `statistics`, each stated once, and checked before any file is opened."""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any, Self, Union

from .arguments import Option, default, given, keeping_value, option, optional, spelled
from .checks import (
    json_object,
    level_number,
    level_text,
    list_text,
    mapping,
    one_of,
    range_text,
    seed_number,
    shown,
    text,
    truth,
    whole_number,
    whole_text,
)
from .engines.base import Engine
from .errors import InputError, ModelError, UsageError
from .extraction.device import parse_devices
from .extraction.opened import Opened
from .extraction.settings import (
    ON_ERROR,
    PRECISIONS,
    check_batch_size,
    check_num_workers,
    check_on_error,
    check_precision,
)
from .images.modes import MODES, resolve
from .images.preprocess import PRESETS, Preprocessing
from .metrics.base import Metric
from .metrics.certainty import LEVEL
from .metrics.frechet import METHODS, check_method
from .metrics.intervals import check_replicates
from .metrics.registry import METRICS, check_name
from .networks.loading import check_model
from .progress import ProgressOption, check_progress
from .protocols import Protocol, check_protocol, protocol_of
from .sources.element import is_upath
from .sources.names import Endings
from .sources.terms import QUANTISE, check_value_range

if TYPE_CHECKING:
    from .extractor import Extractor

Model = Union[str, os.PathLike[str], "Extractor"]
OF_METRICS = ("method", "bootstrap", "certainty", "level")  # parameters of metrics
# What is computed, not from which images.
OF_SCORES = (
    *(*OF_METRICS, "metrics", "protocol", "reference", "per_class"),
    *("report", "thumbnails", "baseline", "paired"),
)
_OF_READING = ("limit", "seed", "on_error", "recursive", "endings", "image_key", "value_range", "quantise", "features")
# Options of one side that the other facts of a kept result tell, or that do not change it.
_NOT_OF_IMAGES = (
    *("model", "mode", "dims", "batch_size", "device", "precision", "num_workers", "limit", "seed", "storage_options"),
    *("features", "progress", "metrics", "engine", "engine_options", "resume", "cache"),
)
ENGINES = ("local", "processes", "ray")


def _model(value: object) -> None:
    if not isinstance(getattr(value, "opened", None), Opened):  # an Extractor; its class comes later in the flow
        check_model(value)


def _metrics(value: object) -> tuple[str | Metric, ...]:
    metrics = tuple(value) if isinstance(value, list | tuple) else ()
    if not metrics or not all(isinstance(metric, str | Metric) and metric for metric in metrics):
        raise InputError(f"metrics must be a list of names or Metric objects, such as ['fid']; got {shown(value)}")
    for name in (metric for metric in metrics if isinstance(metric, str)):
        check_name(name)
    return metrics


def _engine(value: object) -> None:
    named = isinstance(value, str) and value in ENGINES
    if not (value is None or named or isinstance(value, Engine)):
        raise InputError(f"engine must be one of {', '.join(ENGINES)}, or an Engine; got {shown(value)}")


def _report(value: object) -> str | None:
    if is_upath(value):
        raise InputError(f"report must be a file on a disk, got {value}")
    if not (isinstance(value, bool) or (isinstance(value, str | os.PathLike) and os.fspath(value))):
        raise InputError(f"report must be True or the file to write, got {shown(value)}")
    return None


def _reference(value: object) -> None:
    if value is not None and not (isinstance(value, str | os.PathLike) and os.fspath(value)):
        raise InputError(f"reference must be the path of a file or folder, got {shown(value)}")


def _baseline(value: object) -> None:
    if isinstance(value, bool | int | float) or (isinstance(value, str) and not value):
        raise InputError(f"baseline must be generated images, as the first side is; got {shown(value)}")


def _resume(value: object) -> str | None:
    if is_upath(value):
        return str(value)
    if value is not None and not (isinstance(value, str | os.PathLike) and os.fspath(value)):
        raise InputError(f"resume must be a folder or an address, got {shown(value)}")
    return None


@dataclass(frozen=True)
class Options:
    """The options of a run.

    The fields are the table of options. The flags of the command line are made from it. The signatures and docstrings
    of the functions are written by hand, and ``tests/test_options.py`` compares them with the table. Options are
    checked in the order of the table.
    """

    model: Model = option(
        "inception-v3",
        help="a name from `fastfid models list`, weights as .pth or Keras' .h5, or a network as .onnx",
        check=_model,
        bad=(None, 5),
        error=ModelError,
    )
    mode: str | Preprocessing = option(
        default("pytorch"),
        help=f"whose preprocessing to apply: {', '.join(MODES)}; or, for a network other than Inception, "
        f"{', '.join(PRESETS)}, or fields such as '{PRESETS['dinov2']}'",
        check=keeping_value(resolve),
        functions=("score", "compare", "statistics", "fit", "shard"),
        bad=("cubist", "size=224", 5, None),
        good=(*MODES, *PRESETS, Preprocessing(size=8, resize="box")),
    )
    dims: int = option(
        default(2048),
        help="which features of the network to use: 64, 192, 768, 2048, or 1008 for the logits",
        check=partial(whole_number, "dims", least=1),
        functions=("score", "compare", "statistics", "fit", "shard"),
        bad=("64", 64.0, 0, -64, None),
        good=(64, 1008),
        read=whole_text,
        metavar="N",
    )
    method: str = option(
        "auto",
        help="how to compute the trace term: auto is exact, schur takes the matrix root as pytorch-fid does",
        check=check_method,
        bad=("sqrtm", None),
        functions=("score", "compare"),
        choices=METHODS,
    )
    batch_size: int | None = option(
        None,
        help="images per run of the network (default: 16 on a CPU, 64 on a GPU)",
        check=check_batch_size,
        bad=(0, -1, 8.0, "8"),
        good=(1, 50),
        read=whole_text,
        metavar="N",
    )
    device: str = option(
        default("auto"),
        help="auto, cpu, cuda or cuda:N, or another of docs/devices.md, such as openvino; cpu,cpu, cuda:0,cuda:1 or "
        "cuda:all use one process per device",
        check=keeping_value(parse_devices),
        bad=("gpu", "cuda:0,gpu", "auto,cpu", "cpu,", "openvino:1", "", None),
        good=("cpu", "cpu:0", "cuda", "cuda:1", "cuda:0,cuda:1", "cuda:all", "cpu,cpu", "openvino", "directml:1"),
    )
    precision: str = option(
        default("fp32"),
        help="arithmetic of the network; tf32 needs an NVIDIA GPU",
        check=check_precision,
        bad=("fp8", None),
        choices=PRECISIONS,
    )
    num_workers: int | None = option(
        None,
        help="threads that decode and resize images (default: one per core, at most 16)",
        check=check_num_workers,
        bad=(-1, 1.5, "2"),
        good=(0, 4),
        read=whole_text,
        metavar="N",
    )
    limit: int | None = option(
        None,
        help="use a random subset of N images of each side",
        check=optional(partial(whole_number, "limit", least=2)),
        functions=("score", "compare", "statistics", "fit", "shard"),
        bad=(1, 0, 5.0, "5"),
        good=(2, 50_000),
        read=whole_text,
        metavar="N",
    )
    seed: int = option(
        0,
        help="chooses the random subset of --limit, the resamples of --bootstrap and the directions of mind",
        check=seed_number,
        bad=(-1, 2**32, 1.5, "1", None),
        good=(1, 2**32 - 1),
        read=whole_text,
        metavar="N",
    )
    on_error: str = option(
        "raise",
        help="what to do about an image that cannot be decoded: raise ends the run, skip leaves it out and lists it",
        check=check_on_error,
        functions=("score", "compare", "statistics", "fit", "shard"),
        bad=("ignore", None),
        choices=ON_ERROR,
    )
    recursive: bool = option(
        True,
        help="do not search subfolders (pytorch-fid does not search them either)",
        check=partial(truth, "recursive"),
        bad=("no", None, 2),
        good=(False,),
        flag="--no-recursive",
        switch=False,
    )
    endings: str | Collection[str] | None = option(
        None,
        help="which files count as images, by their endings, such as png,jpg; "
        "pytorch-fid selects exactly the files that pytorch-fid reads",
        check=keeping_value(Endings.of),
        bad=("docx", "", 5),
        good=("png,jpg", ["png", ".JPG"], "pytorch-fid"),
        metavar="LIST",
    )
    image_key: str | None = option(
        None,
        help="the column or key that holds the images, where a table, an element of an iterable or a sample in an "
        "archive has several",
        check=optional(partial(text, "image_key")),
        bad=("", 5),
        good=("image",),
        metavar="NAME",
    )
    value_range: tuple[float, float] | None = option(
        None,
        help="the values of black and white in images of floats, such as -1,1; needs --quantise",
        check=check_value_range,
        bad=((1,), (1, 1), (1, -1), ("0", "1"), (0, float("inf")), 5, "0,1"),
        good=((-1, 1), (0.0, 255.0)),
        read=range_text,
        metavar="LOW,HIGH",
    )
    quantise: str | None = option(
        None,
        help="how floats of a --value-range become 8-bit values: round to the nearest, truncate, or edm, which adds "
        "0.5 at white's end as 127.5 x + 128 does, and truncates",
        check=optional(lambda value: one_of("quantise", value, QUANTISE)),
        bad=("floor", 5),
        choices=QUANTISE,
    )
    storage_options: Mapping[str, Any] | None = option(
        None,
        help="what the file system of an address such as s3:// needs, as JSON: '{\"anon\": true}'",
        check=optional(partial(mapping, "storage_options")),
        bad=("anon", 5, {1: 2}),
        good=({}, {"anon": True}),
        read=json_object,
        metavar="JSON",
    )
    features: bool = option(
        False,
        help="the paths are matrices of features, .npy or .npz of shape (n, dims), not images",
        check=partial(truth, "features"),
        bad=("yes", None, 2),
        good=(True,),
        functions=("score", "compare", "fit"),
        switch=True,
    )
    force: bool = option(
        False,
        help="compare statistics that were made in different ways; with --save-stats, replace an existing file",
        check=partial(truth, "force"),
        bad=("yes", None, 2),
        good=(True,),
        functions=("score", "compare"),
        switch=True,
    )
    progress: ProgressOption = option(
        None,
        help="show no progress bar",
        check=check_progress,
        bad=("yes", 1.5),
        good=(True, False, print),
        flag="--quiet",
        switch=False,
    )
    bootstrap: int = option(
        0,
        help="print a 95 % confidence interval of the FID on stderr, from N resamples (at least 20)",
        check=check_replicates,
        bad=(5, -1, 1_000_001, "50", None),
        good=(20, 1_000_000),
        functions=("compare",),
        read=whole_text,
        metavar="N",
    )
    certainty: bool = option(
        False,
        help="also print how sure FID, KID, sFID and IS are: bias, standard error, limits, noise floor, p-value",
        check=partial(truth, "certainty"),
        bad=("yes", None, 2),
        good=(True,),
        functions=("compare",),
        switch=True,
    )
    level: float = option(
        default(LEVEL),
        help="confidence level of the limits of --certainty, from 0.5 to 0.9999",
        check=level_number,
        bad=(95, 0, 0.49, 1.0, "0.9", None),
        good=(0.5, 0.9, 0.9999),
        functions=("compare",),
        read=level_text,
        metavar="P",
    )
    metrics: Sequence[str | Metric] = option(
        ("fid",),
        help=f"which metrics to compute, as names separated by commas: {', '.join(METRICS)}",
        check=_metrics,
        bad=([], (), "fid", [5], [""], ["fod"], None),
        good=(["fid"], ("fid",)),
        functions=("compare", "fit", "shard"),
        read=list_text,
        metavar="LIST",
    )
    protocol: str | None = option(
        None,
        help="compute what a published protocol does, which fixes mode and metrics; `fastfid protocols` lists them",
        check=check_protocol,
        bad=("adm2", 5),
        good=("adm", "imagenet-256-adm"),
        functions=("compare",),
        metavar="NAME",
    )
    reference: str | os.PathLike[str] | None = option(
        None,
        help="the real side of a protocol of one data set, if it is not in the cache; then one path suffices",
        check=_reference,
        bad=("", 5),
        good=("VIRTUAL_imagenet256_labeled.npz",),
        functions=("compare",),
        metavar="PATH",
    )
    per_class: bool = option(
        False,
        help="also compute the metrics of each class; the subfolders of both paths are the classes",
        check=partial(truth, "per_class"),
        bad=("yes", None, 2),
        good=(True,),
        functions=("compare",),
        switch=True,
    )
    report: bool | str | os.PathLike[str] = option(
        False,
        help="also write a page with the result, how sure it is and where it comes from, as one .html file",
        check=_report,
        bad=("", 5, None),
        good=(True, "out.html"),
        functions=("compare",),
        metavar="FILE",
    )
    thumbnails: bool = option(
        True,
        help="show no images on the page of --report",
        check=partial(truth, "thumbnails"),
        bad=("no", None, 2),
        good=(False,),
        functions=("compare",),
        flag="--no-thumbnails",
        switch=False,
    )
    baseline: Any = option(
        None,
        help="other generated images: also print how far the FID is from theirs, with the standard error of that",
        check=_baseline,
        bad=("", 5),
        good=("previous",),
        functions=("compare",),
        metavar="PATH",
    )
    paired: bool = option(
        False,
        help="image i of the first path and of --baseline was made from the same seed; files must have the same names",
        check=partial(truth, "paired"),
        bad=("yes", None, 2),
        good=(True,),
        functions=("compare",),
        switch=True,
    )
    engine: str | Engine | None = option(
        None,
        help="what runs the network: local is this process, processes starts one process per device, ray uses a "
        "running Ray cluster (default: local for one device, processes for several)",
        check=_engine,
        bad=("spark", 5),
        choices=ENGINES,
    )
    engine_options: Mapping[str, Any] | None = option(
        None,
        help='options of --engine ray, as JSON: \'{"workers": 8, "num_gpus": 0.5}\'',
        check=optional(partial(mapping, "engine_options")),
        bad=("workers", 5, {1: 2}),
        good=({}, {"workers": 2}),
        read=json_object,
        metavar="JSON",
    )
    resume: str | os.PathLike[str] | None = option(
        None,
        help="keep the results of each piece of the images in this folder or at this address, and continue from those "
        "that are there",
        check=_resume,
        bad=("", 5),
        good=("pieces", "s3://bucket/pieces"),
        functions=("score", "compare", "statistics", "fit"),
        metavar="DIR",
    )
    cache: bool = option(
        False,
        help="keep the results of the second path, the real images, in fastfid's cache folder: as long as they and the "
        "options stay the same, later runs read none of them",
        check=partial(truth, "cache"),
        bad=("yes", None, 2),
        good=(True,),
        functions=("score", "compare", "statistics", "fit"),
        switch=True,
    )

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Self:
        """Take the options from a function's arguments and check them, in the order of the table.

        Parameters
        ----------
        arguments : mapping
            The ``locals()`` of a function. Names that are not options are ignored. A missing option gets its default.

        Raises
        ------
        InputError, ModelError
            If the check of an option refuses its value.

        Examples
        --------
        >>> Options.of({"a": "generated", "limit": 50}).limit
        50
        """
        asked = {name: checked(name, arguments[name]) for name in names() if name in arguments}
        protocol = protocol_of(asked.get("protocol"))
        return cls(**(asked if protocol is None else {**asked, **_fixed(protocol, asked)}))

    @property
    def of_images(self) -> dict[str, str]:
        """The options that say how the images are read, as text; a new option is one of them until it is excluded."""
        return {name: repr(getattr(self, name)) for name in names("fit") if name not in _NOT_OF_IMAGES}

    def reading(self) -> dict[str, Any]:
        """Return the options about which images there are and how they become bytes, if they are not the usual ones."""
        found = {name: getattr(self, name) for name in _OF_READING}
        found = {name: value for name, value in found.items() if value != getattr(type(self), name)}
        if not isinstance(found.get("endings", ""), str):
            found["endings"] = ",".join(sorted(found["endings"]))
        return found


def _fixed(protocol: Protocol, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a protocol fixes; raise `InputError` if something else was asked for."""
    fixed = protocol.fixed(asked)
    for name, value in fixed.items():
        if name not in asked:
            continue
        own, usual = asked[name], getattr(Options, name)
        explicit = own != usual if given(usual) else given(own)
        if explicit and own != value:
            raise UsageError(f"protocol {protocol.name} fixes {name}; leave {spelled(name, own)} out")
    for name in OF_METRICS:
        if asked.get(name, getattr(Options, name)) != getattr(Options, name):
            raise UsageError(f"protocol {protocol.name} fixes the metrics; leave {spelled(name, asked[name])} out")
    return {name: value for name, value in fixed.items() if name in asked}


def names(function: str = "") -> Iterator[str]:
    """Yield the names of the options, in the order of the table; only those that `function` takes, if it is given."""
    return (each.name for each in fields(Options) if not function or function in option_of(each.name).functions)


def checked(name: str, value: Any) -> Any:
    """Check the value of an option, and return the value to use for it."""
    result = option_of(name).check(value)
    return value if result is None or not given(value) else result


def option_of(name: str) -> Option:
    """Return the entry of the table for the option called `name`."""
    known: Option = Options.__dataclass_fields__[name].metadata["option"]
    return known
