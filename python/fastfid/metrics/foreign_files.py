"""What the statistics files of other tools need besides reading: choosing among several sets, converting, writing.

`files.layouts` has the keys of each tool. The formats that are written are those whose readers refuse our own file:

- the fork of torch-fidelity that MAR and JiT use asserts that both means have the same dtype, and its own is float32;
- iMF asks for ``ref_mu`` and ``ref_sigma``;
- EDM2 reads DINOv2 statistics only from a pickle.
"""

import pickle
from collections.abc import Collection
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..checks import numbers, one_of
from ..errors import InputError
from ..files.layouts import Layout, layouts
from .feature_rows import count_of_rows

#: The formats that are written, and their endings.
FORMATS = {"fastfid": ".npz", "torch-fidelity-fork": ".npz", "imf": ".npz", "edm2": ".pkl"}
_DEFAULT_ENTRY = "fid"
_DINOV2_DIMS = 1024  # EDM2 has two kinds of features: Inception's and those of DINOv2 ViT-L/14

Arrays = dict[str, NDArray[Any]]


def choose(keys: Collection[str], name: str, entry: str | None) -> tuple[Layout, str | None]:
    """Return the layout of the wanted set of statistics, and a note if it was chosen among several.

    Raises
    ------
    InputError
        If there are no statistics, or none of that name, or several and none is called "fid".
    """
    found = layouts(keys)
    several = [each for each in found if each]
    listed = ", ".join(several)[:300]
    if not found:
        has = ", ".join(keys)[:300]
        raise InputError(f"{name} is not a statistics file: it needs mu and sigma, but holds {has}")
    if entry is not None and (entry not in several):
        has = f"its entries are {listed}" if several else "it has no entries"
        raise InputError(f"{name} has no entry {entry!r:.80}: {has}")
    if entry is not None:
        return found[entry], None
    if len(found) == 1:
        return next(iter(found.values())), None
    if _DEFAULT_ENTRY not in found:
        raise InputError(f"{name} has several entries, {listed}: name one of them, as in {name}#{several[0]:.80}")
    others = ", ".join(f"{name}#{each}" for each in several if each != _DEFAULT_ENTRY)[:300]
    return found[_DEFAULT_ENTRY], f"{name}: its entry {_DEFAULT_ENTRY} is used; for another, name it: {others}"


def from_sums(arrays: Arrays, layout: Layout) -> str | None:
    """Replace the sums that StyleGAN keeps by the mean and the covariance with ddof 1; return a note of that.

    Its own covariance is that sum over n, minus the product of the means: ddof 0.
    """
    total, products = (numbers(arrays[key], str(getattr(layout, key))) for key in ("mu", "sigma"))
    n = count_of_rows(arrays["n"].item())
    if not (total.any() or products.any()):  # it was told to keep only the features
        if "rows" not in arrays:
            raise InputError(f"{layout.mu} and {layout.sigma} are all zero: no mean and covariance were kept")
        del arrays["mu"], arrays["sigma"]
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        mean = total.astype(np.float64) / n
        arrays["mu"] = mean
        arrays["sigma"] = (products.astype(np.float64) / n - np.outer(mean, mean)) * (n / (n - 1))
    return f"its covariance of {n} images has ddof 0; multiplied by {n}/{n - 1} it has ddof 1, as everywhere else"


def write(file: IO[bytes], arrays: Arrays, form: str) -> None:
    """Write the arrays of our own file in the format of a tool; `check_format` comes before.

    The tools do not look at what else a file holds, so n, the provenance and the rows are kept.
    """
    if form == "edm2":
        _dump(file, arrays)
        return
    if form == "torch-fidelity-fork":
        arrays = {**arrays, "mu": arrays["mu"].astype(np.float32)}
    if form == "imf":
        arrays = {f"ref_{key}" if key in ("mu", "sigma") else key: array for key, array in arrays.items()}
    savez: Any = np.savez  # its keywords are the names of the arrays
    savez(file, **arrays)


def check_format(form: str) -> None:
    """Raise `InputError` if there is no such format."""
    one_of("format", form, FORMATS)


def _dump(file: IO[bytes], arrays: Arrays) -> None:
    entry = "fd_dinov2" if arrays["mu"].size == _DINOV2_DIMS else _DEFAULT_ENTRY
    whole: dict[str, Any] = {"num_images": arrays["n"].item()} if "n" in arrays else {}
    whole[entry] = {"mu": arrays["mu"], "sigma": arrays["sigma"]}
    for key, array in arrays.items():
        if key.startswith("fastfid"):  # our own record
            whole[key] = array if array.ndim else str(array)
    _Pickler(file, protocol=4).dump(whole)


class _Pickler(pickle.Pickler):
    """Writes an array as a call of `numpy.ndarray`; NumPy's own form names modules that differ between its versions."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return np.ndarray, (value.shape, value.dtype.str, value.tobytes())
        return NotImplemented
