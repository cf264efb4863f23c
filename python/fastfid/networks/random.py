"""The untrained network `inception-v3-random`, which is the same on every machine and needs no download.

The weights of each layer are drawn from NumPy's `RandomState`, whose stream never changes, with the CRC-32 of the
layer's name as seed. They are uniform(-a, a) with a = sqrt(3 / fan_in), which gives a variance of 1 / fan_in. The
batch-norm means and variances are packaged. They were measured once on procedural images (models/calibrate_random.py
in the repository), so that every layer has mean 0 and variance 1 on those.

Numerics: float64 draws, scaled by a separate product (a fused one would round differently on some machines), rounded
once to float32.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Mapping
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

from .architecture import LOGITS, conv_shapes

Array = npt.NDArray[Any]


def draw(name: str, shape: tuple[int, ...]) -> Array:
    """Draw one layer's weight.

    Parameters
    ----------
    name : str
        Name of the layer; its CRC-32 is the seed.
    shape : tuple of int
        (out, in, ...); the fan-in is the product of all sizes except the first.

    Returns
    -------
    ndarray of that shape, float32

    Examples
    --------
    >>> draw("fc", (1008, 2048)).dtype
    dtype('float32')
    """
    # With the range (-1, 1) the product inside the generator is exact, so that only the product below rounds.
    weight = np.random.RandomState(zlib.crc32(name.encode())).uniform(-1.0, 1.0, shape)
    weight *= math.sqrt(3.0 / math.prod(shape[1:]))
    return weight.astype(np.float32)


def conv_weights() -> dict[str, Array]:
    """Return the weight of every convolution by name, (out, in, height, width) float32."""
    return {name: draw(name, shape) for name, shape in conv_shapes().items()}


def batch_norm_statistics() -> tuple[Array, Array]:
    """Read the packaged means and variances of all channels, (17216,) float32 each, in the order of `conv_shapes`."""
    with resources.files(__package__).joinpath("random_bn.npz").open("rb") as file, np.load(file) as data:
        return data["mean"], data["var"]


def random_weights() -> dict[str, Array]:
    """Make the weights of `inception-v3-random`.

    Returns
    -------
    dict of str to ndarray, float32
        All entries of `expected_shapes`.
    """
    weights: dict[str, Array] = {}
    convs = conv_weights()
    splits = np.cumsum([len(weight) for weight in convs.values()])[:-1]
    means, variances = (np.split(part, splits) for part in batch_norm_statistics())
    for (name, weight), mean, var in zip(convs.items(), means, variances, strict=True):
        weights[f"{name}.conv.weight"] = weight
        weights[f"{name}.bn.weight"], weights[f"{name}.bn.bias"] = np.ones_like(mean), np.zeros_like(mean)
        weights[f"{name}.bn.running_mean"], weights[f"{name}.bn.running_var"] = mean, var
    weights["fc.weight"] = draw("fc", (LOGITS, 2048))
    weights["fc.bias"] = np.zeros(LOGITS, np.float32)
    return weights


def identity(weights: Mapping[str, Array]) -> str:
    """Return the SHA-256 of names, shapes and little-endian float32 bytes, in the order of the names.

    Parameters
    ----------
    weights : mapping of str to ndarray

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for name in sorted(weights):
        array = np.ascontiguousarray(weights[name], "<f4")
        digest.update(f"{name}{list(array.shape)}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()
