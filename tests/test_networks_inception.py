"""The graph builder, against pytorch-fid's features (golden) and against a NumPy twin of the first stage."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from fastfid.errors import ModelError
from fastfid.networks import architecture, inception
from fastfid.networks.random import random_weights

GOLDEN = Path(__file__).parent / "golden" / "models_features.npz"


@pytest.fixture(scope="module")
def weights():
    return random_weights()


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as data:
        return dict(data)


def images():
    """The images of golden/make_models_golden.py."""
    rng = np.random.RandomState(7)
    fine = rng.uniform(-1, 1, (3, 299, 299))
    coarse = rng.uniform(-1, 1, (3, 13, 13)).repeat(23, axis=1).repeat(23, axis=2)
    return np.stack([fine, coarse]).astype(np.float32)


def run(model, batch):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["features"], {"images": batch})[0]


def assert_close(found, expected):
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("dims", architecture.TAPS)
def test_features_equal_pytorch_fid(weights, golden, dims):
    assert_close(run(inception.build(weights, dims, {}), images()), golden[str(dims)])


def test_last_pool_average_is_keras_wiring(weights, golden):
    assert_close(run(inception.build(weights, 2048, {}, last_pool="average"), images()), golden["average"])
    # Otherwise the test above could not tell the two pools apart.
    assert np.abs(golden["average"] - golden["2048"]).max() > 0.01 * np.abs(golden["2048"]).max()


def twin_conv(x, weights, name, stride, pad):
    """Convolution, batch norm, ReLU, in float64 and with nothing folded. x is (c, h, w)."""
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    kernel = weights[f"{name}.conv.weight"].astype(np.float64)
    windows = sliding_window_view(x, kernel.shape[2:], axis=(1, 2))[:, ::stride, ::stride]
    y = np.tensordot(kernel, windows, axes=([1, 2, 3], [0, 3, 4]))
    gamma, beta, mean, var = (
        weights[f"{name}.bn.{p}"].astype(np.float64)[:, None, None]
        for p in ("weight", "bias", "running_mean", "running_var")
    )
    return np.maximum((y - mean) / np.sqrt(var + 1e-3) * gamma + beta, 0)


def test_first_stage_equals_numpy_twin_with_every_batch_norm_part_at_work(weights):
    rng = np.random.RandomState(3)
    weights = dict(weights)
    for name in ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3"):  # the random model's gamma is 1 and beta 0
        channels = len(weights[f"{name}.bn.bias"])
        weights[f"{name}.bn.weight"] = rng.uniform(0.5, 2, channels).astype(np.float32)
        weights[f"{name}.bn.bias"] = rng.uniform(-1, 1, channels).astype(np.float32)
    image = images()[1]
    x = twin_conv(image.astype(np.float64), weights, "Conv2d_1a_3x3", 2, 0)
    x = twin_conv(x, weights, "Conv2d_2a_3x3", 1, 0)
    x = twin_conv(x, weights, "Conv2d_2b_3x3", 1, 1)
    pooled = sliding_window_view(x, (3, 3), axis=(1, 2))[:, ::2, ::2].max((3, 4))
    assert pooled.shape == (64, 73, 73)
    assert_close(run(inception.build(weights, 64, {}), image[None])[0], pooled.mean((1, 2)))


@pytest.mark.parametrize("kind", ["average", "max"])
@pytest.mark.parametrize("stride", [1, 2])
def test_pools_equal_numpy_twin(kind, stride):
    net = inception.OnnxWiring()
    pooled = net.pool(architecture.Value("images", 3), "pooled", kind, stride)
    x = images()[:1] - 2  # negative everywhere: a zero from the padding would show in either pool
    model = inception.assemble(net, {pooled.name: ("N", 3, "H", "W")}, {})
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    pad = 1 if stride == 1 else 0
    padded = np.pad(x[0].astype(np.float64), ((0, 0), (pad, pad), (pad, pad)), constant_values=np.nan)
    windows = sliding_window_view(padded, (3, 3), axis=(1, 2))[:, ::stride, ::stride]
    expected = {"average": np.nanmean, "max": np.nanmax}[kind](windows, axis=(3, 4))
    found = session.run(None, {"images": x})[0][0]
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize(("dims", "convs"), [(64, 3), (192, 5), (768, 70), (2048, 94), (1008, 94)])
def test_contract_of_the_graph(weights, dims, convs):
    model = inception.build(weights, dims, {"fastfid.mode": "pytorch", "other": "x"})
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version <= 10
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)]
    assert {p.key: p.value for p in model.metadata_props} == {"fastfid.mode": "pytorch", "other": "x"}
    (given,), (made,) = model.graph.input, model.graph.output
    for info, name, shape in ((given, "images", ["N", 3, 299, 299]), (made, "features", ["N", dims])):
        assert info.name == name
        assert info.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
        assert [d.dim_param or d.dim_value for d in info.type.tensor_type.shape.dim] == shape
    assert sum(node.op_type == "Conv" for node in model.graph.node) == convs
    used = {name for node in model.graph.node for name in node.input}
    assert {w.name for w in model.graph.initializer} == used - {n.output[0] for n in model.graph.node} - {"images"}


def test_batch_size_does_not_matter_for_shapes(weights):
    model = inception.build(weights, 64, {})
    assert [run(model, images()[:n]).shape for n in (1, 2)] == [(1, 64), (2, 64)]


@pytest.mark.parametrize("dims", [0, 2047, 1000])
def test_unknown_dims(weights, dims):
    with pytest.raises(ModelError, match=rf"{dims} dimensions; it has 64, 192, 768, 1008, 2048"):
        inception.build(weights, dims, {})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("entry", ["conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"])
def test_weights_that_are_not_finite_are_refused(weights, entry, value):
    name = f"Conv2d_2a_3x3.{entry}"
    poisoned = weights[name].copy()
    poisoned.flat[-1] = value
    with pytest.raises(ModelError, match=rf"{name} has values that are not finite"):
        inception.build({**weights, name: poisoned}, 64, {})


@pytest.mark.parametrize("entry", ["fc.weight", "fc.bias"])
def test_logits_that_are_not_finite_are_refused(weights, entry):
    poisoned = weights[entry].copy()
    poisoned.flat[-1] = np.inf
    with pytest.raises(ModelError, match=rf"{entry} has values that are not finite"):
        inception.build({**weights, entry: poisoned}, 1008, {})
    inception.build({**weights, entry: poisoned}, 64, {})  # which does not use them


@pytest.mark.parametrize(("entry", "value"), [("bn.running_var", -1.0), ("bn.weight", 3e38)])
def test_batch_norms_that_cannot_be_folded(weights, entry, value):
    name = f"Conv2d_2a_3x3.{entry}"
    poisoned = weights[name].copy()
    poisoned.flat[-1] = value
    with pytest.raises(ModelError, match="Conv2d_2a_3x3 is not finite with its batch norm"):
        inception.build({**weights, name: poisoned, "Conv2d_2a_3x3.bn.running_mean": weights[name] * 0 + 9}, 64, {})


def test_expected_shapes():
    shapes = architecture.expected_shapes()
    assert len(shapes) == 94 * 5 + 2
    assert shapes["fc.weight"] == (1008, 2048)
    assert shapes["Mixed_6b.branch7x7_2.conv.weight"] == (128, 128, 1, 7)
    assert sum(shape[0] for name, shape in shapes.items() if name.endswith("running_mean")) == 17_216
