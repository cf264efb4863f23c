"""Reads weights of Keras' Inception-v3 from HDF5 without Keras; h5py is imported only when such a file is read.

The network is that of `architecture` with an average pool in the last block, and without the FID's logits. Keras writes
weights in two formats. The legacy format lists every layer in the attribute `layer_names`, at the root (weights only,
as in the published file) or in the group `model_weights` (a whole model). The `.weights.h5` of Keras 3 has
`layers/<class>_<number>/vars/<number>`. In both, a layer is identified by its position in `model.layers` and not by its
name, as in Keras itself.
"""

from __future__ import annotations

import io
import math
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import ModelError
from ..files.reading import failures
from . import isolated
from .architecture import LOGITS, TAPS, check_tap, conv_shapes, expected_shapes
from .roles import check_inception

if TYPE_CHECKING:
    import h5py

SUFFIXES = (".h5", ".hdf5")
_NETWORK = "inception-v3 with Keras' weights"
_TAPS = tuple(tap for tap in TAPS if tap != LOGITS)

# Keras sorts `model.layers` by the distance from the output, the farthest first. So the long branches of a block come
# before the short ones, convolution by convolution. Batch norms have the same order.
_STEM = "Conv2d_1a_3x3 Conv2d_2a_3x3 Conv2d_2b_3x3 Conv2d_3b_1x1 Conv2d_4a_3x3"
_A = "branch3x3dbl_1 branch5x5_1 branch3x3dbl_2 branch1x1 branch5x5_2 branch3x3dbl_3 branch_pool"
_B = "branch3x3dbl_1 branch3x3dbl_2 branch3x3 branch3x3dbl_3"
_C = (
    "branch7x7dbl_1 branch7x7dbl_2 branch7x7_1 branch7x7dbl_3 branch7x7_2 "
    "branch7x7dbl_4 branch1x1 branch7x7_3 branch7x7dbl_5 branch_pool"
)
_D = "branch7x7x3_1 branch7x7x3_2 branch3x3_1 branch7x7x3_3 branch3x3_2 branch7x7x3_4"
_E = (
    "branch3x3dbl_1 branch3x3_1 branch3x3dbl_2 branch3x3_2a branch3x3_2b "
    "branch3x3dbl_3a branch3x3dbl_3b branch1x1 branch_pool"
)
_BLOCKS = {
    **dict.fromkeys(("Mixed_5b", "Mixed_5c", "Mixed_5d"), _A),
    "Mixed_6a": _B,
    **dict.fromkeys(("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"), _C),
    "Mixed_7a": _D,
    **dict.fromkeys(("Mixed_7b", "Mixed_7c"), _E),
}

_ALONE = "If Inception-v3 is a layer of another model, save the weights of that layer only."

Array = npt.NDArray[Any]


def layer_order() -> list[str]:
    """Return the names of the convolutions, as in `architecture`, in the order of Keras' `model.layers`.

    Examples
    --------
    >>> len(layer_order()), layer_order()[5]
    (94, 'Mixed_5b.branch3x3dbl_1')
    """
    return [*_STEM.split(), *(f"{block}.{layer}" for block, layers in _BLOCKS.items() for layer in layers.split())]


def check_usable(source: str, dims: int, roles: Sequence[str] = ("features",)) -> None:
    """Raise `ModelError` if Keras' network has no such outputs, or h5py is missing; call it before a download."""
    check_tap(dims, _TAPS, _NETWORK)
    for role in roles:
        check_inception(role, _NETWORK, fc=False)
    try:
        import h5py  # noqa: F401
    except ImportError as error:
        raise ModelError(f"{source} is an HDF5 file, which h5py reads: pip install 'fastfid[keras]'") from error


def _child(group: h5py.Group, path: str) -> Any:
    """Follow a path inside the file; links to other files are refused, since the file's hash does not cover those."""
    import h5py

    for part in path.split("/"):
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
        if link is None:
            raise ModelError(f"{group.name} has no {part}")
        if not isinstance(link, h5py.HardLink):
            raise ModelError(f"{part} in {group.name} is a link, which weights do not need: refused")
        group = group[part]
    return group


def _strings(group: h5py.Group, attribute: str) -> list[str]:
    """Read a list of names, which h5py returns as bytes or as str."""
    if attribute not in group.attrs:
        raise ModelError(f"{group.name} has no attribute {attribute}")
    return [name.decode() if isinstance(name, bytes) else str(name) for name in group.attrs[attribute]]


# A layer with weights: its name in messages, and its datasets in Keras' order.
_Layer = tuple[str, list[Any]]


def _legacy_layers(group: h5py.Group) -> Iterator[_Layer]:
    for name in _strings(group, "layer_names"):
        if name != "predictions":  # the classifier of include_top=True
            layer = _child(group, name)
            yield name, [_child(layer, weight) for weight in _strings(layer, "weight_names")]


def _number(name: str) -> int:
    """Return the position among the layers of a class, which Keras 3 names conv2d, conv2d_1, conv2d_2 and so on."""
    found = re.search(r"_(\d+)$", name)
    return int(found[1]) if found else 0


def _keras3_layers(group: h5py.Group) -> Iterator[_Layer]:
    for name in sorted(group, key=_number):
        if name != "dense" and "vars" in _child(group, name):  # dense is the classifier
            weights = _child(group, f"{name}/vars")
            yield name, [_child(weights, number) for number in sorted(weights, key=int)]


def _layers(file: h5py.File) -> Iterator[_Layer]:
    if "layer_names" in file.attrs:
        return _legacy_layers(file)
    if "model_weights" in file:
        return _legacy_layers(_child(file, "model_weights"))
    if "layers" in file:
        return _keras3_layers(_child(file, "layers"))
    raise ModelError("it has neither layer_names nor model_weights nor layers")


def _read(layer: str, dataset: Any, shape: tuple[int, ...]) -> Array:
    """Check the shape of a dataset, and read it as float32."""
    import h5py

    if not isinstance(dataset, h5py.Dataset):
        raise ModelError(f"layer {layer}: {dataset.name} is not a dataset")
    if dataset.shape != shape or dataset.dtype.kind != "f":
        raise ModelError(f"layer {layer}: {dataset.name} is {dataset.dtype} {dataset.shape} instead of float32 {shape}")
    if dataset.external or dataset.is_virtual:
        raise ModelError(f"layer {layer}: {dataset.name} lies in another file: refused")
    with np.errstate(over="ignore"):  # a float64 too large becomes infinite, which `inception.fold` refuses
        return np.asarray(dataset[()], dtype=np.float32)


def _convert(layers: Iterable[_Layer]) -> dict[str, Array]:
    """Convert layers in Keras' order to the names and layouts of `architecture.expected_shapes`."""
    convs: list[_Layer] = []
    norms: list[_Layer] = []
    for name, datasets in layers:
        match len(datasets):
            case 0:
                continue
            case 1:
                convs.append((name, datasets))
            case 3 | 4:
                norms.append((name, datasets))
            case count:
                raise ModelError(
                    f"layer {name} has {count} weights; a convolution has 1, a batch norm 3 or 4. {_ALONE}"
                )
    shapes = conv_shapes()
    if not len(convs) == len(norms) == len(shapes):
        raise ModelError(
            f"it has {len(convs)} convolutions and {len(norms)} batch norms instead of {len(shapes)} of each. {_ALONE}"
        )
    weights: dict[str, Array] = {}
    for name, (conv, (kernel,)), (norm, parts) in zip(layer_order(), convs, norms, strict=True):
        out, into, height, width = shapes[name]
        stored = _read(conv, kernel, (height, width, into, out))
        weights[f"{name}.conv.weight"] = np.ascontiguousarray(stored.transpose(3, 2, 0, 1))
        # Keras builds the network with scale=False, that is, without gamma, which is then 1.
        gamma = [] if len(parts) == 4 else [np.ones(out, np.float32)]
        values = [*gamma, *(_read(norm, part, (out,)) for part in parts)]
        for part, value in zip(("weight", "bias", "running_mean", "running_var"), values, strict=True):
            weights[f"{name}.bn.{part}"] = value
    return weights


def _parse(data: bytes) -> dict[str, Array]:
    import h5py

    with failures("the file is damaged, or not HDF5", ModelError), h5py.File(io.BytesIO(data), "r") as file:
        return _convert(_layers(file))


def _arrays(data: bytes) -> list[Array]:
    """Return all arrays in the order of `_keras_shapes`; this runs in the child process of `read_keras`."""
    weights = _parse(data)
    return [weights[name] for name in _keras_shapes()]


def _keras_shapes() -> dict[str, tuple[int, ...]]:
    return {name: shape for name, shape in expected_shapes().items() if not name.startswith("fc.")}


@contextmanager
def _named(name: str) -> Iterator[None]:
    try:
        with failures("no process can be started that reads it", ModelError):
            yield
    except ModelError as error:
        raise ModelError(f"{name} cannot be read as weights of Keras' inception-v3: {error}") from error


def read_keras(data: bytes, *, name: str = "the given data", trusted: bool = False) -> dict[str, Array]:
    """Read the weights of `keras.applications.InceptionV3` from an HDF5 file that Keras has written.

    Parameters
    ----------
    data : bytes
        Contents of the file, with or without the classifier.
    name : str
        Name of the file in messages.
    trusted : bool
        True if the file has the hash of a published one. Any other file is read in a separate process, because a single
        wrong byte can make the HDF5 library loop for ever.

    Returns
    -------
    dict of str to ndarray, float32, C-contiguous
        All entries of `architecture.expected_shapes` except the FID's logits `fc`. Kernels are (out, in, height,
        width).

    Raises
    ------
    ModelError
        If h5py is missing, or the file is damaged, not HDF5, or of another network; the message says which.
    """
    check_usable(name, _TAPS[-1])
    # If Python is embedded in another program, it cannot start another interpreter.
    alone = not sys.executable or getattr(sys, "frozen", False)
    with _named(name):
        if trusted or alone:
            return _parse(data)
        flat, at = np.frombuffer(isolated.call(_arrays, data), np.float32), 0
        weights: dict[str, Array] = {}
        for key, shape in _keras_shapes().items():
            size = math.prod(shape)
            weights[key] = flat[at : at + size].reshape(shape)
            at += size
        return weights
