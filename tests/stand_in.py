"""A small network of a user's own, which opens and runs at once, for tests of what is around a network."""

from contextlib import contextmanager
from functools import cache
from unittest.mock import patch

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fastfid import networks
from fastfid.networks import Network
from fastfid.networks.registry import OFFICIAL_SHA256
from fastfid.networks.roles import source_of, width

SIZE, DIMS = 8, 6
_INCEPTION_SIZE, _POOL = 299, 37  # 299 pixels become 8 x 8 means


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


def official(dims=2048, mode="pytorch", roles=("features",), **_):
    """Return what `networks.load` returns of the official weights, with a small network in their place.

    It takes images of Inception's size, and has outputs for the same roles with the same dims.
    """
    onnx = _like_inception(int(dims), tuple(roles))
    return Network("inception-v3", OFFICIAL_SHA256, int(dims), onnx, comparable=True, mode=mode)


@contextmanager
def small_inception():
    """In this block a small network is in the place of Inception, with the same outputs.

    Tests whose subject is what becomes of features need no Inception, which takes most of their time.
    """
    plain = networks.load

    def load(model, **options):
        return plain(model, **options) if str(model).endswith(".onnx") else official(**options)

    with patch.object(networks, "load", load):
        yield


@cache
def _like_inception(dims, roles):
    nodes = [
        helper.make_node("AveragePool", ["images"], ["means"], kernel_shape=[_POOL] * 2, strides=[_POOL] * 2),
        helper.make_node("Flatten", ["means"], ["flat"]),
    ]
    inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, ("N", 3, _INCEPTION_SIZE, _INCEPTION_SIZE))]
    outputs, weights = [], []
    for role in roles:
        wide = width(source_of(role, dims))
        drawn = np.random.RandomState(wide).standard_normal((3 * SIZE * SIZE, wide)).astype(np.float32) / 4
        weights.append(numpy_helper.from_array(drawn, f"weights of {role}"))
        nodes.append(helper.make_node("MatMul", ["flat", f"weights of {role}"], [f"sums of {role}"]))
        nodes.append(helper.make_node("Sigmoid", [f"sums of {role}"], [role]))
        outputs.append(helper.make_tensor_value_info(role, TensorProto.FLOAT, ("N", wide)))
    graph = helper.make_graph(nodes, "like Inception", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    return model.SerializeToString()
