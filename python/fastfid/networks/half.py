"""Converts a network to half precision: float16 inside, float32 input and outputs.

Numerics: float32 images -> float16 weights and tensors from the first convolution or matrix product on, with sums in
float32 on GPUs -> float32 averages over space, normalisations and logits -> float32 features.
"""

from typing import TYPE_CHECKING

import numpy as np

from ..errors import ModelError

if TYPE_CHECKING:
    import onnx

# Operations that float16 makes faster, and operations that may follow them in float16. All others stay in float32.
_START = frozenset({"Conv", "MatMul"})
_FOLLOW = frozenset({"Relu", "Sigmoid", "Clip", "MaxPool", "AveragePool", "Concat", "Add", "Sub", "Mul"})


def to_half(onnx: bytes, name: str) -> bytes:
    """Convert an ONNX network to half precision.

    Parameters
    ----------
    onnx : bytes
        The serialised float32 network.
    name : str
        Name of the network in errors.

    Returns
    -------
    bytes

    Raises
    ------
    ModelError
        If fp16 would gain nothing, or a weight is too large for float16.
    """
    from onnx import load_model_from_string

    model = load_model_from_string(onnx)
    if any(attribute.HasField("g") or attribute.graphs for node in model.graph.node for attribute in node.attribute):
        raise ModelError(f"{name} has branches or loops: it cannot be run in fp16")
    halver = _Halver(model.graph, name)
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        halver.take(node)
    if not halver.half:
        raise ModelError(f"{name} has no convolution and no matrix product: fp16 gains nothing")
    halver.finish()
    return bytes(model.SerializeToString())


class _Halver:
    """Rebuilds a graph node by node, with casts between float16 and float32."""

    def __init__(self, graph: "onnx.GraphProto", name: str) -> None:
        self.graph, self.name = graph, name
        self.half: set[str] = set()  # the tensors that are float16
        self.casts: dict[str, str] = {}  # a tensor -> the same in the other type
        self.weights = {weight.name: weight for weight in graph.initializer}

    def take(self, node: "onnx.NodeProto") -> None:
        standard = node.domain in ("", "ai.onnx")  # a function of the model may also be called Conv
        follows = node.op_type in _FOLLOW and any(i in self.half for i in node.input)
        halved = standard and (node.op_type in _START or follows)
        for i, tensor in enumerate(node.input):
            if tensor and (tensor in self.half) != halved:
                node.input[i] = self._other(tensor)
        if halved:
            self.half.update(node.output)
        self.graph.node.append(node)

    def _other(self, tensor: str) -> str:
        """Return the name of the same tensor in the other type; the cast is added at its first use."""
        from onnx import TensorProto, helper

        if tensor not in self.casts:
            back = tensor in self.half
            twin = self.casts[tensor] = f"{tensor}/{'float32' if back else 'float16'}"
            if tensor in self.weights:
                self._halve_weight(tensor, twin)
            else:
                target = TensorProto.FLOAT if back else TensorProto.FLOAT16
                self.graph.node.append(helper.make_node("Cast", [tensor], [twin], name=twin, to=target))
        return self.casts[tensor]

    def _halve_weight(self, tensor: str, twin: str) -> None:
        from onnx import numpy_helper

        with np.errstate(over="ignore"):  # the check below raises
            values = numpy_helper.to_array(self.weights[tensor]).astype(np.float16)
        if not np.isfinite(values).all():
            raise ModelError(f"{self.name}: {tensor} has values beyond the range of float16 (65504)")
        self.graph.initializer.append(numpy_helper.from_array(values, twin))

    def finish(self) -> None:
        """Convert the outputs to float32, and remove weights that are no longer used."""
        from onnx import TensorProto, helper

        for output in self.graph.output:
            if output.name in self.half:
                inner = f"{output.name}/float16"
                for names in (names for node in self.graph.node for names in (node.input, node.output)):
                    names[:] = [inner if name == output.name else name for name in names]
                self.graph.node.append(helper.make_node("Cast", [inner], [output.name], to=TensorProto.FLOAT))
        del self.graph.value_info[:]  # their types no longer hold
        used = {tensor for node in self.graph.node for tensor in node.input}
        kept = [weight for weight in self.graph.initializer if weight.name in used]
        images = [value for value in self.graph.input if value.name not in self.weights]  # old exports list both
        for field, items in ((self.graph.initializer, kept), (self.graph.input, images)):
            del field[:]
            field.extend(items)
