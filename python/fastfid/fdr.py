"""FDr: Fréchet distances by several networks, each divided by that of a validation set, and their mean."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from statistics import fmean
from typing import Any

from . import networks as network_files
from ._core import __version__
from .checks import shown
from .compare import compare
from .errors import InputError, ModelError
from .extractor import Extractor
from .files.store import Store
from .fit import Fit, Side
from .metrics.moments import Statistics
from .options import Model
from .sources import is_statistics_file

# Options of `compare` that would make the distances something else.
_FIXED = (
    *("model", "mode", "dims", "metrics", "protocol", "reference"),
    *("bootstrap", "certainty", "level", "per_class", "features"),
)


@dataclass(frozen=True)
class Ratio:
    """The distance by one network.

    Attributes
    ----------
    network, sha256, mode : str
        Name, identity and preprocessing of the network.
    dims : int
    fd, divisor, ratio : float
        Fréchet distance, that of the validation set, and the quotient of the two.
    """

    network: str
    sha256: str
    mode: str
    dims: int
    fd: float
    divisor: float
    ratio: float


@dataclass(frozen=True)
class FDr:
    """The distances by each network, and the mean of their ratios.

    Attributes
    ----------
    mean : float
    ratios : tuple of Ratio
    a, b : Side
    """

    mean: float
    ratios: tuple[Ratio, ...]
    a: Side
    b: Side

    @property
    def citation(self) -> str:
        """What to state beside the numbers: version, numbers of images, weights."""
        weights = ", ".join(f"{each.network} (SHA-256 {each.sha256[:12]})" for each in self.ratios)
        networks = "1 network" if len(self.ratios) == 1 else f"{len(self.ratios)} networks"
        return f"FDr over {networks}; fastfid {__version__}; n {self.a.n} and {self.b.n}; {weights}"

    def table(self) -> str:
        """Return a Markdown table: one line for each network, and the mean."""
        return "\n".join(_rows(self))

    def as_dict(self) -> dict[str, Any]:
        """Return the result as plain data for JSON."""
        return {
            "fdr": self.mean,
            "networks": [asdict(each) for each in self.ratios],
            "citation": self.citation,
            "a": self.a.as_dict(),
            "b": self.b.as_dict(),
        }


def fdr(a: Any, b: Any, networks: Mapping[Model, float], **options: Any) -> FDr:
    """Fréchet distances of two sets by several networks, relative to those of a validation set.

    This is FDr [1]_. Each network makes its own pass over the images. A network that is a file must state its
    preprocessing, as ``fastfid models export`` writes it into a copy. All files are checked before the first network
    runs.

    Parameters
    ----------
    a, b : path, array or collection of images
        Generated and real images, as for `score`.
    networks : mapping of str, path or Extractor to float
        For each network its divisor: the distance that a validation set has to the real images by this network.
    **options
        Options of `compare` about the images and the run: ``batch_size``, ``device``, ``precision``, ``num_workers``,
        ``limit``, ``seed``, ``on_error``, ``recursive``, ``endings``, ``image_key``, ``value_range``, ``quantise``,
        ``storage_options``, ``method``, ``force``, ``progress``, ``engine``, ``engine_options``, ``resume``.

    Returns
    -------
    FDr

    Raises
    ------
    InputError
        If there is no network, a divisor is not above 0, a side can be read only once, or an option does not fit.
    ModelError
        If a file is not a network, or does not state its preprocessing.

    References
    ----------
    .. [1] The repository FD-Loss, ``eval_all_fds.py``, which names the mean over its six networks FDr-6.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> import fastfid
    >>> warnings.simplefilter("ignore", fastfid.FastFIDWarning)  # 4 images for 64 dims
    >>> network = fastfid.Extractor("inception-v3-random", dims=64, batch_size=4)
    >>> dark, light = np.full((4, 8, 8, 3), 20, np.uint8), np.full((4, 8, 8, 3), 200, np.uint8)
    >>> result = fastfid.fdr(dark, light, {network: 2.0})
    >>> result.mean == result.ratios[0].fd / 2
    True
    """
    _check(a, b, networks, options)
    if all(_is_saved(side, options.get("storage_options")) for side in (a, b)):
        raise InputError("FDr needs images on a side: no network would run on statistics and features")
    results = {
        model: compare(a, b, model=model, **{**options, **_folder_of(number, options)})
        for number, model in enumerate(networks)
    }
    ratios = []
    for model, result in results.items():
        made = result.provenance
        if made is None:
            raise InputError("FDr compares images: neither side says by which network its features were made")
        divisor = float(networks[model])
        ratios.append(
            Ratio(made.model, made.sha256, made.mode, made.dims, result.fid, divisor, ratio=result.fid / divisor)
        )
    last = next(reversed(results.values()))
    assert last.b is not None
    return FDr(fmean(each.ratio for each in ratios), tuple(ratios), last.a, last.b)


def _folder_of(number: int, options: Mapping[str, Any]) -> dict[str, str]:
    """Return where the pieces of a network are kept: each network has a folder of its own."""
    if options.get("resume") is None:
        return {}
    return {"resume": Store(options["resume"], options.get("storage_options")).below(f"network-{number}").place}


def _is_saved(side: Any, storage_options: Mapping[str, Any] | None) -> bool:
    """Return True if a side was given as statistics or a fit."""
    if isinstance(side, str | os.PathLike):
        return is_statistics_file(side, storage_options)
    return isinstance(side, Statistics | Fit)


def divisor_of(value: Any) -> float:
    """Return a divisor as a float, or raise `InputError`."""
    try:
        divisor = float(value)
    except (TypeError, ValueError):
        divisor = float("nan")
    if isinstance(value, bool) or not (isfinite(divisor) and divisor > 0):
        raise InputError(f"a divisor must be a number above 0, got {shown(value)}")
    return divisor


def _check(a: Any, b: Any, networks: Mapping[Model, float], options: Mapping[str, Any]) -> None:
    """Check everything that can be checked before the first network runs."""
    if not isinstance(networks, Mapping) or not networks:
        raise InputError(
            f"networks must map each network to its divisor, as in {{'dinov2.onnx': 14.19}}; got {networks!r}"
        )
    for divisor in networks.values():
        divisor_of(divisor)
    if wrong := [name for name in options if name in _FIXED]:
        raise InputError(f"fdr does not take {wrong[0]}: each network has its own preprocessing and dims")
    if any(hasattr(side, "__next__") for side in (a, b)):
        raise InputError("fdr reads each side once for each network; give a list instead of an iterator")
    for model in networks:
        if isinstance(model, Extractor) or (isinstance(model, str) and model in network_files.names()):
            continue
        if network_files.load(model).mode is None:
            raise ModelError(
                f"{model} does not state its preprocessing: fastfid models export {model} OUT.onnx --mode ... writes "
                "it into a copy"
            )


def _rows(result: FDr) -> Iterator[str]:
    yield _row(["network", "preprocessing", "dims", "FD", "divisor", "ratio"])
    yield _row(["---", "---", "---:", "---:", "---:", "---:"])
    for each in result.ratios:
        numbers = [str(each.dims), *(f"{number:.6g}" for number in (each.fd, each.divisor, each.ratio))]
        yield _row([each.network.replace("|", r"\|"), each.mode, *numbers])
    yield _row(["mean", "", "", "", "", f"{result.mean:.6g}"])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
