"""The architecture of the FID Inception-v3 and the shapes of its weights.

The network is the TensorFlow graph of 2015-12-05, not torchvision's. It has 1008 logits, convolutions without bias,
batch norm with epsilon 1e-3, average-pool branches that do not count the padding, and a max pool in the last block.

The blocks are functions that call a `Wiring` for each convolution, pool and concatenation. The wiring decides what to
do with them: record shapes (`Wiring`), or append ONNX nodes (`inception.OnnxWiring`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

from ..errors import ModelError

TAPS = (64, 192, 768, 1008, 2048)
LOGITS = 1008
IMAGE_SIZE = 299

PoolKind = Literal["average", "max"]


@dataclass(frozen=True)
class Value:
    """A tensor in the network: its name in the graph and its number of channels."""

    name: str
    channels: int


class Layer(NamedTuple):
    """One convolution of a branch, followed by batch norm and ReLU; with a stride it has no padding."""

    name: str
    channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padded: bool = True

    @property
    def padding(self) -> tuple[int, int]:
        """Rows and columns of zeros on each side."""
        if self.stride > 1 or not self.padded:
            return (0, 0)
        return (self.kernel[0] // 2, self.kernel[1] // 2)


class Wiring:
    """Receives the layers of the network; this class only records the shape of every convolution's weight."""

    def __init__(self) -> None:
        self.shapes: dict[str, tuple[int, int, int, int]] = {}

    def conv(self, x: Value, layer: Layer) -> Value:
        """Convolution, batch norm, ReLU."""
        self.shapes[layer.name] = (layer.channels, x.channels, *layer.kernel)
        return Value(layer.name, layer.channels)

    def pool(self, x: Value, name: str, kind: PoolKind, stride: int = 1) -> Value:
        """3x3 pool: padded at stride 1, not padded at stride 2."""
        return Value(name, x.channels)

    def concat(self, name: str, branches: Sequence[Value]) -> Value:
        """Concatenation along the channels."""
        return Value(name, sum(branch.channels for branch in branches))


def _branch(net: Wiring, x: Value, block: str, *layers: Layer) -> Value:
    for layer in layers:
        x = net.conv(x, layer._replace(name=f"{block}.{layer.name}"))
    return x


def _pool_branch(net: Wiring, x: Value, block: str, channels: int, kind: PoolKind = "average") -> Value:
    return _branch(net, net.pool(x, f"{block}.pool", kind), block, Layer("branch_pool", channels))


def _block_a(net: Wiring, x: Value, at: str, pool_channels: int) -> Value:
    return net.concat(at, [
        _branch(net, x, at, Layer("branch1x1", 64)),
        _branch(net, x, at, Layer("branch5x5_1", 48), Layer("branch5x5_2", 64, (5, 5))),
        _branch(net, x, at, Layer("branch3x3dbl_1", 64), Layer("branch3x3dbl_2", 96, (3, 3)),
                Layer("branch3x3dbl_3", 96, (3, 3))),
        _pool_branch(net, x, at, pool_channels),
    ])  # fmt: skip


def _block_b(net: Wiring, x: Value, at: str) -> Value:
    return net.concat(at, [
        _branch(net, x, at, Layer("branch3x3", 384, (3, 3), stride=2)),
        _branch(net, x, at, Layer("branch3x3dbl_1", 64), Layer("branch3x3dbl_2", 96, (3, 3)),
                Layer("branch3x3dbl_3", 96, (3, 3), stride=2)),
        net.pool(x, f"{at}.pool", "max", stride=2),
    ])  # fmt: skip


def _block_c(net: Wiring, x: Value, at: str, inner: int) -> Value:
    return net.concat(at, [
        _branch(net, x, at, Layer("branch1x1", 192)),
        _branch(net, x, at, Layer("branch7x7_1", inner), Layer("branch7x7_2", inner, (1, 7)),
                Layer("branch7x7_3", 192, (7, 1))),
        _branch(net, x, at, Layer("branch7x7dbl_1", inner), Layer("branch7x7dbl_2", inner, (7, 1)),
                Layer("branch7x7dbl_3", inner, (1, 7)), Layer("branch7x7dbl_4", inner, (7, 1)),
                Layer("branch7x7dbl_5", 192, (1, 7))),
        _pool_branch(net, x, at, 192),
    ])  # fmt: skip


def _block_d(net: Wiring, x: Value, at: str) -> Value:
    return net.concat(at, [
        _branch(net, x, at, Layer("branch3x3_1", 192), Layer("branch3x3_2", 320, (3, 3), stride=2)),
        _branch(net, x, at, Layer("branch7x7x3_1", 192), Layer("branch7x7x3_2", 192, (1, 7)),
                Layer("branch7x7x3_3", 192, (7, 1)), Layer("branch7x7x3_4", 192, (3, 3), stride=2)),
        net.pool(x, f"{at}.pool", "max", stride=2),
    ])  # fmt: skip


def _block_e(net: Wiring, x: Value, at: str, pool: PoolKind) -> Value:
    single = _branch(net, x, at, Layer("branch3x3_1", 384))
    double = _branch(net, x, at, Layer("branch3x3dbl_1", 448), Layer("branch3x3dbl_2", 384, (3, 3)))
    return net.concat(at, [
        _branch(net, x, at, Layer("branch1x1", 320)),
        _branch(net, single, at, Layer("branch3x3_2a", 384, (1, 3))),
        _branch(net, single, at, Layer("branch3x3_2b", 384, (3, 1))),
        _branch(net, double, at, Layer("branch3x3dbl_3a", 384, (1, 3))),
        _branch(net, double, at, Layer("branch3x3dbl_3b", 384, (3, 1))),
        _pool_branch(net, x, at, 192, pool),
    ])  # fmt: skip


def _to_64(net: Wiring, x: Value) -> Value:
    x = net.conv(x, Layer("Conv2d_1a_3x3", 32, (3, 3), stride=2))
    x = net.conv(x, Layer("Conv2d_2a_3x3", 32, (3, 3), padded=False))
    x = net.conv(x, Layer("Conv2d_2b_3x3", 64, (3, 3)))
    return net.pool(x, "MaxPool_1", "max", stride=2)


def _to_192(net: Wiring, x: Value) -> Value:
    x = net.conv(x, Layer("Conv2d_3b_1x1", 80))
    x = net.conv(x, Layer("Conv2d_4a_3x3", 192, (3, 3), padded=False))
    return net.pool(x, "MaxPool_2", "max", stride=2)


def _to_768(net: Wiring, x: Value) -> Value:
    for name, pool_channels in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
        x = _block_a(net, x, name, pool_channels)
    x = _block_b(net, x, "Mixed_6a")
    for name, inner in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
        x = _block_c(net, x, name, inner)
    return x


def _to_2048(net: Wiring, x: Value, last_pool: PoolKind) -> Value:
    x = _block_d(net, x, "Mixed_7a")
    x = _block_e(net, x, "Mixed_7b", "average")
    return _block_e(net, x, "Mixed_7c", last_pool)


def wire(net: Wiring, x: Value, depth: int = 2048, last_pool: PoolKind = "max") -> dict[int, Value]:
    """Wire the network from `x` up to a tap.

    Parameters
    ----------
    net : Wiring
        Called for every convolution, pool and concatenation, in the order of the data.
    x : Value
        The images, with 3 channels.
    depth : {64, 192, 768, 2048}
        The last tap, by its number of channels.
    last_pool : {"max", "average"}
        The pool in the pool branch of Mixed_7c: "max" in the FID network, "average" in Keras'.

    Returns
    -------
    dict of int to Value
        The tensor at each tap, by its number of channels, before it is averaged over space.
    """
    stages: dict[int, Callable[[Wiring, Value], Value]] = {
        64: _to_64,
        192: _to_192,
        768: _to_768,
        2048: partial(_to_2048, last_pool=last_pool),
    }
    taps: dict[int, Value] = {}
    for tap, stage in stages.items():
        if tap <= depth:
            x = taps[tap] = stage(net, x)
    return taps


def check_tap(dims: int, taps: Sequence[int] = TAPS, network: str = "inception-v3") -> None:
    """Raise `ModelError` if a network has no features with this number of dimensions; the message lists the others."""
    if dims not in taps:
        raise ModelError(f"{network} has no features of {dims} dimensions; it has {', '.join(map(str, taps))}")


def conv_shapes() -> dict[str, tuple[int, int, int, int]]:
    """Return name and weight shape (out, in, height, width) of every convolution, in the order of the data."""
    notes = Wiring()
    wire(notes, Value("images", 3))
    return notes.shapes


def expected_shapes() -> dict[str, tuple[int, ...]]:
    """Return name and shape of every float32 entry of the network's weights, in pytorch-fid's layout.

    Examples
    --------
    >>> shapes = expected_shapes()
    >>> len(shapes), shapes["Conv2d_1a_3x3.conv.weight"]
    (472, (32, 3, 3, 3))
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in conv_shapes().items():
        shapes[f"{name}.conv.weight"] = shape
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.bn.{part}"] = shape[:1]
    return {**shapes, "fc.weight": (LOGITS, 2048), "fc.bias": (LOGITS,)}
