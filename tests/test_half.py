"""Half precision leaves a model's own functions in float32, even if one has the name of an operator."""

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from fastfid.networks.half import to_half


def test_a_function_of_the_model_stays_in_float32():
    one = numpy_helper.from_array(np.ones(1, np.float32))
    inside = [helper.make_node("Constant", [], ["one"], value=one), helper.make_node("Add", ["a", "one"], ["b"])]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    function = helper.make_function("own", "Conv", ["a"], ["b"], inside, opsets[:1])
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Conv", ["m"], ["y"], domain="own"),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 4]) for name in "xy"]
    weight = numpy_helper.from_array(np.eye(4, dtype=np.float32), "w")
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [weight])
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=[function])
    half = to_half(model.SerializeToString(), "net")
    session = onnxruntime.InferenceSession(half, providers=["CPUExecutionProvider"])
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], x + 1)
