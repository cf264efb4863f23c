"""A small network of a user's own, which opens and runs at once, for tests of what is around a network."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE, DIMS = 8, 6


def stand_in(path, *, seed=0, mode="size=8 resize=bilinear"):
    """Write a network (N, 3, 8, 8) -> (N, 6): linear, then a sigmoid."""
    weights = np.random.RandomState(seed).randn(3 * SIZE * SIZE, DIMS).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["sums"]),
        helper.make_node("Sigmoid", ["sums"], ["features"]),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("images", ("N", 3, SIZE, SIZE)), ("features", ("N", DIMS)))
    ]
    graph = helper.make_graph(nodes, "own", ends[:1], ends[1:], [numpy_helper.from_array(weights, "weights")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    if mode:
        helper.set_model_props(model, {"fastfid.mode": mode})
    onnx.save(model, path)
    return path
