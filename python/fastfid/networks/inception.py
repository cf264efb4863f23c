"""Builds the FID Inception-v3 as an ONNX graph with one output for each role.

Numerics: float32 weights and batch norm -> folded in float64, rounded once to float32 -> float32 convolutions in the
runtime. On the same input the features differ from pytorch-fid's by at most 1e-5 of the largest feature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import ModelError
from .architecture import IMAGE_SIZE, LOGITS, Layer, PoolKind, Value, Wiring, check_tap, wire
from .pruning import prune
from .roles import SPATIAL_CHANNELS, Source, source_of, width

if TYPE_CHECKING:
    import onnx

BATCH_NORM_EPSILON = 1e-3
OPSET = 17
IR_VERSION = 10
_SPATIAL = "Mixed_6d.branch1x1"  # called mixed_6/conv in ADM's graph

Array = npt.NDArray[Any]


class OnnxWiring(Wiring):
    """Collects ONNX nodes and weights; a subclass defines how a convolution is written."""

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
        """Append a 3x3 pool, padded at stride 1 and not at stride 2; an average does not count the padding."""
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
        """Append a concatenation along the channels."""
        self.node("Concat", [branch.name for branch in branches], name, axis=1)
        return super().concat(name, branches)

    def convolve(self, x: Value, layer: Layer, weights: Sequence[str], output: str) -> str:
        """Append the convolution alone."""
        return self.node("Conv", [x.name, *weights], output, kernel_shape=list(layer.kernel),
                         strides=[layer.stride] * 2, pads=list(layer.padding * 2))  # fmt: skip


class FoldedWiring(OnnxWiring):
    """Writes each convolution with its batch norm folded into weight and bias."""

    def __init__(self, weights: Mapping[str, Array]) -> None:
        super().__init__()
        self.weights = weights

    def conv(self, x: Value, layer: Layer) -> Value:
        """Append a convolution with bias, and a ReLU."""
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
        Name of the convolution.

    Returns
    -------
    weight : ndarray, (out, in, height, width), float32
    bias : ndarray, (out,), float32

    Raises
    ------
    ModelError
        If a value or a result is not finite (a negative variance, a NaN in the file).
    """
    gamma, beta, mean, var = (
        _finite(weights, f"{name}.bn.{part}").astype(np.float64)
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    with np.errstate(all="ignore"):  # the check below raises
        scale = gamma / np.sqrt(var + BATCH_NORM_EPSILON)
        kernel = _finite(weights, f"{name}.conv.weight")
        weight = np.multiply(kernel, scale[:, None, None, None], dtype=np.float64).astype(np.float32, order="C")
        bias = (beta - scale * mean).astype(np.float32)
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise ModelError(f"weights: {name} is not finite with its batch norm: a negative variance, or too large values")
    return weight, bias


def _finite(weights: Mapping[str, Array], name: str) -> Array:
    # A check of the result would not suffice, because an infinite variance makes weights of zero.
    if not np.isfinite(weights[name]).all():
        raise ModelError(f"weights: {name} has values that are not finite")
    return weights[name]


def build(
    weights: Mapping[str, Array],
    dims: int,
    metadata: Mapping[str, str],
    *,
    roles: Sequence[str] = ("features",),
    last_pool: PoolKind = "max",
) -> onnx.ModelProto:
    """Build the network as an ONNX model with only the nodes that its outputs need.

    Parameters
    ----------
    weights : mapping of str to ndarray
        All entries of `expected_shapes`, float32. Those of `fc` are needed only for logits.
    dims : int
        The tap for "features", one of `TAPS`; 1008 selects the logits, with bias.
    metadata : mapping of str to str
        Written into the model unchanged.
    roles : sequence of str
        "features" or names in `roles.ROLES`, each once.
    last_pool : {"max", "average"}
        The pool in the pool branch of Mixed_7c.

    Returns
    -------
    onnx.ModelProto
        Input `images`, float32 (N, 3, 299, 299), already scaled. For each role an output (N, d), float32, of the same
        name.

    Raises
    ------
    ModelError
        If there is no such tap or role, or a weight is not finite.
    """
    check_tap(dims)
    sources = {role: source_of(role, dims) for role in roles}
    net = FoldedWiring(weights)
    taps = wire(net, Value("images", 3), max(map(_depth, sources.values())), last_pool)
    _Heads(net, taps).add(sources)
    return assemble(net, {role: ("N", width(source)) for role, source in sources.items()}, metadata)


def _depth(source: Source) -> int:
    """Return the last tap that must be wired for an output."""
    if source == "spatial":
        return 768
    return source if isinstance(source, int) and source != LOGITS else 2048


class _Heads:
    """Adds the outputs to a wired network; nodes that several outputs need are added once."""

    def __init__(self, net: FoldedWiring, taps: Mapping[int, Value]) -> None:
        self.net, self.taps = net, taps
        self.made: dict[Source, str] = {}

    def add(self, sources: Mapping[str, Source]) -> None:
        """Add an output for each role; the taps come first, because the logits are computed from the last one."""
        self._add_weights(set(sources.values()))
        for role, source in sorted(sources.items(), key=lambda pair: pair[1] not in self.taps):
            if source in self.made:
                self.net.node("Identity", [self.made[source]], role)
            elif source in self.taps:
                self._average(int(source), role)
            elif source == "spatial":
                self._spatial(role)
            else:
                flat = self.made.get(2048) or self._average(2048, "flat")
                bias = ["fc.bias"] if source == LOGITS else []
                self.net.node("Gemm", [flat, "fc.weight", *bias], role, transB=1)
            self.made.setdefault(source, role)

    def _add_weights(self, sources: set[Source]) -> None:
        parts = ["weight"] if sources & {LOGITS, "logits_unbiased"} else []
        parts += ["bias"] if LOGITS in sources else []
        for part in parts:
            self.net.constant(f"fc.{part}", np.ascontiguousarray(_finite(self.net.weights, f"fc.{part}")))

    def _average(self, tap: int, output: str) -> str:
        """Average a tap over space: (N, C, H, W) -> (N, C)."""
        name = "pooled" if tap == max(self.taps) else f"pooled_{tap}"
        pooled = self.net.node("GlobalAveragePool", [self.taps[tap].name], name)
        self.made[tap] = self.net.node("Flatten", [pooled], output, axis=1)
        return output

    def _spatial(self, output: str) -> None:
        """Add ADM's spatial features: the first channels, flattened in the order height, width, channel."""
        ends = {"start": 0, "end": SPATIAL_CHANNELS, "axis": 1}
        names = [self.net.constant(f"spatial.{end}", np.array([value])) for end, value in ends.items()]
        first = self.net.node("Slice", [_SPATIAL, *names], "spatial.channels")
        turned = self.net.node("Transpose", [first], "spatial.NHWC", perm=[0, 2, 3, 1])
        self.net.node("Flatten", [turned], output, axis=1)


def assemble(
    net: OnnxWiring, outputs: Mapping[str, Sequence[str | int]], metadata: Mapping[str, str]
) -> onnx.ModelProto:
    """Make a model from the nodes of a wiring, and check it; `outputs` gives names and shapes, all float32."""
    import onnx
    from onnx import TensorProto, helper

    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, IMAGE_SIZE, IMAGE_SIZE])
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, shape in outputs.items()]
    graph = helper.make_graph(net.nodes, "inception-v3", [images], infos, net.initializers)
    prune(graph)
    # Both versions are explicit, because by default onnx writes its newest, which ONNX Runtime may not read yet.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="fastfid")
    model.ir_version = min(IR_VERSION, model.ir_version)
    helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model)
    return model
