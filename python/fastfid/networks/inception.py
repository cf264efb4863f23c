"""The FID Inception-v3 as an ONNX graph.

The network is the TensorFlow graph of 2015-12-05, not torchvision's: 1008 logits, convolutions without bias, batch norm
with epsilon 1e-3, average-pool branches that leave the padding out of the count, and a max pool in the last block.

The wiring is written once, as functions that ask a `Wiring` for convolutions, pools and concatenations. What these
are is up to the wiring: notes of shapes (`Wiring`), ONNX nodes with folded batch norm (`FoldedWiring`), or whatever a
subclass of `OnnxWiring` makes of a convolution.

Numerics: float32 weights and batch norm -> folded in float64, rounded once to float32 -> float32 convolutions in the
runtime. Against pytorch-fid on the same input: within 1e-5 of the largest feature.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import ModelError

if TYPE_CHECKING:
    import onnx

TAPS = (64, 192, 768, 1008, 2048)
BATCH_NORM_EPSILON = 1e-3
LOGITS = 1008
IMAGE_SIZE = 299
OPSET = 17
IR_VERSION = 10

Array = npt.NDArray[Any]
PoolKind = Literal["average", "max"]


@dataclass(frozen=True)
class Value:
    """A tensor on the way through the network: its name in the graph and how many channels it has."""

    name: str
    channels: int


class Layer(NamedTuple):
    """One convolution of a branch, followed by batch norm and ReLU; strided ones take no padding."""

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
    """What the blocks are wired with; this one only notes the shape of every convolution's weight."""

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


def wire(net: Wiring, x: Value, dims: int = 2048, last_pool: PoolKind = "max") -> Value:
    """Lead `x` through the network up to the tap that has `dims` features (1008 needs the same blocks as 2048).

    Parameters
    ----------
    net : Wiring
        Is asked for every convolution, pool and concatenation, in the order of the data.
    x : Value
        The images, with 3 channels.
    dims : int
        One of `TAPS`.
    last_pool : {"max", "average"}
        The pool branch of Mixed_7c: "max" in the FID network, "average" in Keras'.

    Returns
    -------
    Value
        The tapped tensor, before it is averaged over space.

    Raises
    ------
    ModelError
        Where the network has no such tap.
    """
    check_tap(dims)
    stages: dict[int, Callable[[Wiring, Value], Value]] = {64: _to_64, 192: _to_192, 768: _to_768}
    for tap, stage in stages.items():
        x = stage(net, x)
        if tap == dims:
            return x
    return _to_2048(net, x, last_pool)


def check_tap(dims: int, taps: Sequence[int] = TAPS, network: str = "inception-v3") -> None:
    """Raise `ModelError` where a network has no features of so many dimensions, with those it has."""
    if dims not in taps:
        raise ModelError(f"{network} has no features of {dims} dimensions; it has {', '.join(map(str, taps))}")


def conv_shapes() -> dict[str, tuple[int, int, int, int]]:
    """Name and weight shape (out, in, height, width) of every convolution, in the order of the data."""
    notes = Wiring()
    wire(notes, Value("images", 3))
    return notes.shapes


def expected_shapes() -> dict[str, tuple[int, ...]]:
    """Name and shape of every float32 entry of the network's weights, in pytorch-fid's layout.

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


class OnnxWiring(Wiring):
    """Collects ONNX nodes and weights; a subclass says what becomes of a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def node(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Append a node with one output, named like it, and return the output's name."""
        from onnx import helper

        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, array: Array) -> str:
        """Append a weight and return its name."""
        from onnx import numpy_helper

        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def pool(self, x: Value, name: str, kind: PoolKind, stride: int = 1) -> Value:
        """3x3 pool: padded at stride 1, not padded at stride 2; an average leaves the padding out of its count."""
        attributes: dict[str, Any] = {
            "kernel_shape": [3, 3],
            "strides": [stride] * 2,
            "pads": [1 if stride == 1 else 0] * 4,
        }
        if kind == "average":
            attributes["count_include_pad"] = 0
        self.node("AveragePool" if kind == "average" else "MaxPool", [x.name], name, **attributes)
        return Value(name, x.channels)

    def concat(self, name: str, branches: Sequence[Value]) -> Value:
        """Concatenation along the channels."""
        self.node("Concat", [branch.name for branch in branches], name, axis=1)
        return super().concat(name, branches)

    def convolve(self, x: Value, layer: Layer, weights: Sequence[str], output: str) -> str:
        """Append the bare convolution."""
        return self.node("Conv", [x.name, *weights], output, kernel_shape=list(layer.kernel),
                         strides=[layer.stride] * 2, pads=list(layer.padding * 2))  # fmt: skip


class FoldedWiring(OnnxWiring):
    """Every convolution with its batch norm folded into weight and bias."""

    def __init__(self, weights: Mapping[str, Array]) -> None:
        super().__init__()
        self.weights = weights

    def conv(self, x: Value, layer: Layer) -> Value:
        """Convolution with bias, ReLU."""
        weight, bias = fold(self.weights, layer.name)
        names = [self.constant(f"{layer.name}.weight", weight), self.constant(f"{layer.name}.bias", bias)]
        self.node("Relu", [self.convolve(x, layer, names, f"{layer.name}.conv")], layer.name)
        return Value(layer.name, layer.channels)


def fold(weights: Mapping[str, Array], name: str) -> tuple[Array, Array]:
    """Fold the batch norm of one convolution into it.

    With s = gamma / sqrt(var + 1e-3): weight' = s * weight, bias' = beta - s * mean, in float64, rounded to float32.

    Parameters
    ----------
    weights : mapping
        Has `<name>.conv.weight` (out, in, height, width) and `<name>.bn.*` (out,), float32.
    name : str
        The convolution.

    Returns
    -------
    weight : ndarray, (out, in, height, width), float32
    bias : ndarray, (out,), float32

    Raises
    ------
    ModelError
        Where a value or a result is not finite (a negative variance, a NaN in the file).
    """
    gamma, beta, mean, var = (
        _finite(weights, f"{name}.bn.{part}").astype(np.float64)
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    with np.errstate(all="ignore"):  # the check below says it in words
        scale = gamma / np.sqrt(var + BATCH_NORM_EPSILON)
        kernel = _finite(weights, f"{name}.conv.weight")
        weight = np.multiply(kernel, scale[:, None, None, None], dtype=np.float64).astype(np.float32, order="C")
        bias = (beta - scale * mean).astype(np.float32)
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise ModelError(f"weights: {name} is not finite with its batch norm: a negative variance, or too large values")
    return weight, bias


def _finite(weights: Mapping[str, Array], name: str) -> Array:
    # The result alone does not tell: an infinite variance makes weights of zero.
    if not np.isfinite(weights[name]).all():
        raise ModelError(f"weights: {name} has values that are not finite")
    return weights[name]


def build(
    weights: Mapping[str, Array], dims: int, metadata: Mapping[str, str], *, last_pool: PoolKind = "max"
) -> onnx.ModelProto:
    """Build the network as an ONNX model with only the nodes that the tap needs.

    Parameters
    ----------
    weights : mapping of str to ndarray
        All entries of `expected_shapes`, float32; those of `fc` only where `dims` is 1008.
    dims : int
        One of `TAPS`; 1008 is the logits, bias included.
    metadata : mapping of str to str
        Written into the model as it is.
    last_pool : {"max", "average"}
        The pool branch of Mixed_7c.

    Returns
    -------
    onnx.ModelProto
        Input `images`, float32 (N, 3, 299, 299), already scaled; output `features`, float32 (N, dims).

    Raises
    ------
    ModelError
        Where there is no such tap, or a weight is not finite.
    """
    net = FoldedWiring(weights)
    tap = wire(net, Value("images", 3), dims, last_pool)
    pooled = net.node("GlobalAveragePool", [tap.name], "pooled")
    if dims != LOGITS:
        net.node("Flatten", [pooled], "features", axis=1)
    else:
        parts = {part: np.ascontiguousarray(_finite(weights, f"fc.{part}")) for part in ("weight", "bias")}
        fc = [net.constant(f"fc.{part}", array) for part, array in parts.items()]
        flat = net.node("Flatten", [pooled], "flat", axis=1)
        net.node("Gemm", [flat, *fc], "features", transB=1)
    return assemble(net, {"features": ("N", dims)}, metadata)


def assemble(
    net: OnnxWiring, outputs: Mapping[str, Sequence[str | int]], metadata: Mapping[str, str]
) -> onnx.ModelProto:
    """Make a checked model of what a wiring has collected; `outputs` gives names and shapes, all float32."""
    import onnx
    from onnx import TensorProto, helper

    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, IMAGE_SIZE, IMAGE_SIZE])
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, shape in outputs.items()]
    graph = helper.make_graph(net.nodes, "inception-v3", [images], infos, net.initializers)
    # Both versions are explicit: onnx writes its newest by default, which is newer than ONNX Runtime reads.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="fastfid")
    model.ir_version = min(IR_VERSION, model.ir_version)
    helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model)
    return model
