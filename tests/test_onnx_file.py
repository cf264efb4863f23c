"""ONNX files from outside: which are refused, and when the weights they name are believed."""

import dataclasses
import hashlib

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import SparseTensorProto, TensorProto, helper, numpy_helper

import fastfid
from fastfid import networks
from fastfid.errors import ModelError
from fastfid.networks import registry
from fastfid.networks.random import random_weights
from test_torch_file import checkpoint

OFFICIAL = registry.entry("inception-v3")
RANDOM = registry.entry("inception-v3-random")
info = helper.make_tensor_value_info
CLAIM = {"weights_sha256": OFFICIAL.sha256, "dims": "2048", "mode": "pytorch", "model": "inception-v3"}


@pytest.fixture(autouse=True)
def caches(monkeypatch, tmp_path):
    """No weights of this machine."""
    monkeypatch.setenv("FASTFID_HOME", str(tmp_path / "cache"))
    for variable in ("TORCH_HOME", "KERAS_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "nowhere"))


def network(nodes=(), initializers=(), functions=(), **graph):
    """(N, 3, 8, 8) -> (N, 3), and what else is given."""
    ends = [info("x", TensorProto.FLOAT, ["N", 3, 8, 8])], [info("y", TensorProto.FLOAT, ["N", 3])]
    usual = [helper.make_node("GlobalAveragePool", ["x"], ["p"]), helper.make_node("Flatten", ["p"], ["y"])]
    made = helper.make_graph([*usual, *nodes], "g", *ends, list(initializers), **graph)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    return helper.make_model(made, opset_imports=opsets, ir_version=8, functions=list(functions))


def stating(model, /, **facts):
    helper.set_model_props(model, {f"fastfid.{key}": value for key, value in facts.items()})
    return model


def save(path, model):
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return path


def external(name="b"):
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[3], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="w.bin")
    return tensor


def half_external():
    """The place alone, without the mark: not read today."""
    tensor = external()
    tensor.ClearField("data_location")
    return tensor


def sparse():
    return SparseTensorProto(values=external(), indices=numpy_helper.from_array(np.arange(3)), dims=[3])


def branch(node, initializers=()):
    inner = helper.make_graph([node], "then", [], [info("t", TensorProto.FLOAT, ["N", 3])], list(initializers))
    other = helper.make_graph([helper.make_node("Identity", ["p"], ["e"])], "else", [], [info("e", 1, ["N", 3])])
    return helper.make_node("If", ["c"], ["z"], then_branch=inner, else_branch=other)


def function(node):
    return helper.make_function("own", "F", ["a"], ["b"], [node], [helper.make_opsetid("", 17)])


def training():
    model = network()
    model.training_info.add().algorithm.initializer.append(external())
    return model


ADD = helper.make_node("Add", ["p", "b"], ["t"])
EXTERNAL = {
    "initializer": lambda: network(initializers=[external()]),
    "without the mark": lambda: network(initializers=[half_external()]),
    "sparse initializer": lambda: network(sparse_initializer=[sparse()]),
    "branch": lambda: network([branch(ADD, [external()])]),
    "branch of a branch": lambda: network([branch(branch(ADD, [external()]))]),
    "constant": lambda: network([helper.make_node("Constant", [], ["b"], value=external())]),
    "sparse constant": lambda: network([helper.make_node("Constant", [], ["b"], sparse_value=sparse())]),
    "list of tensors": lambda: network([helper.make_node("Own", [], ["b"], domain="own", tensors=[external()] * 2)]),
    "constant in a branch": lambda: network([branch(helper.make_node("Constant", [], ["t"], value=external()))]),
    "function": lambda: network(functions=[function(helper.make_node("Constant", [], ["b"], value=external()))]),
    "training": training,
}


@pytest.mark.parametrize("place", EXTERNAL)
def test_weights_in_other_files_are_refused_wherever_they_are(tmp_path, place):
    path = save(tmp_path / "a.onnx", EXTERNAL[place]())
    with pytest.raises(ModelError, match=r"a\.onnx keeps its weights in other files \(b\); save it as one file"):
        networks.load(path)


LOOP = helper.make_node("Loop", ["", "c"], ["z"], body=helper.make_graph([], "body", [], []))
SCAN = helper.make_node("Scan", ["p"], ["z"], body=helper.make_graph([], "body", [], []), num_scan_inputs=1)
CONTEXT = helper.make_node("EPContext", ["x"], ["z"], domain="com.microsoft", ep_cache_context="other.bin")


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (LOOP, "has a Loop, which may run for ever"),
        (SCAN, "has a Scan"),
        (CONTEXT, "EPContext, which reads another file"),
    ],
)
def test_nodes_that_need_not_end_or_read_other_files(tmp_path, node, said):
    for model in (network([node]), network([branch(node)]), network(functions=[function(node)])):
        with pytest.raises(ModelError, match=said):
            networks.load(save(tmp_path / "a.onnx", model))


def test_a_loop_of_ones_own_is_none(tmp_path):
    save(tmp_path / "a.onnx", network([helper.make_node("Loop", ["p"], ["z"], domain="own")]))
    assert networks.load(tmp_path / "a.onnx").dims is None


def test_a_file_that_onnx_runtime_takes_for_its_own_format(tmp_path):
    """It would read other things in these bytes than what was checked."""
    model = network()
    model.producer_name = "ORTM and so on"
    path = save(tmp_path / "a.onnx", model)
    assert path.read_bytes()[4:8] == b"ORTM"
    with pytest.raises(Exception, match="ORT model"):
        onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    with pytest.raises(ModelError, match="begins as ONNX Runtime's own format"):
        networks.load(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"keyz", b"\xff\xfeyz"),  # metadata
        (b"fastfid.mode", b"fastfid.mo\xff\xfe"),
        (b"value", b"val\xff\xfe"),
        (b"\x01x", b"\x01\xff"),  # the input
        (b"\x01y", b"\x01\xff"),  # the output
        (b"axis_n", b"axis_\xff"),  # a dimension
        (b"weight", b"weigh\xff"),  # an initializer
    ],
)
def test_names_that_are_no_text(tmp_path, old, new):
    model = network(initializers=[numpy_helper.from_array(np.zeros(1, np.float32), "weight")])
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "axis_n"
    helper.set_model_props(model, {"keyz": "value", "fastfid.mode": "pytorch"})
    data = model.SerializeToString()
    assert old in data
    with pytest.raises(ModelError, match=r"a\.onnx is not an ONNX model: .*(?i:utf-8)"):
        networks.load(save(tmp_path / "a.onnx", data.replace(old, new)))


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"dims": "9" * 5000}, "fastfid.dims has more than 1000 characters"),
        ({"model": "x" * 10**6}, "fastfid.model has more than"),
        ({"k" * 2000: ""}, "fastfid.kkkkkkkkkkkkkkkkkkkk has more than"),
        ({"dims": "abc"}, "gives abc features, and 2048 were asked for"),
        ({"dims": " 2048"}, "gives  2048 features"),
        ({"mode": "pytroch"}, r"metadata fastfid\.mode cannot be read"),
    ],
)
def test_metadata_that_makes_no_sense(tmp_path, facts, said):
    with pytest.raises(ModelError, match=said) as caught:
        networks.load(save(tmp_path / "a.onnx", stating(network(), **facts)))
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("data", [b"\x0b\x0c", b"\x08\x0a" * 100_001, b"\x08" + b"\xff" * 20, b"\x7a\xff\xff\xff\x7f"])
def test_fields_that_no_model_has(tmp_path, data):
    with pytest.raises(ModelError, match="is not an ONNX model"):
        networks.load(save(tmp_path / "a.onnx", data))


def test_a_claim_alone_makes_nothing_comparable(tmp_path):
    path = save(tmp_path / "a.onnx", stating(network(), **CLAIM))
    loaded = networks.load(path)
    plain = network().SerializeToString()
    assert (loaded.name, loaded.sha256, loaded.comparable) == ("a.onnx", hashlib.sha256(plain).hexdigest(), False)
    assert loaded.mode == "pytorch"
    assert f"SHA-256 {OFFICIAL.sha256}, which cannot be checked here" in loaded.note


def test_a_claim_that_is_not_believed_is_told_of(tmp_path):
    path = save(tmp_path / "a.onnx", stating(network(), **{**CLAIM, "dims": "3"}))
    images = np.random.RandomState(0).randint(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    with pytest.warns(fastfid.FastFIDWarning):
        result = fastfid.compare(images, images[:3], model=path, dims=3)
    assert any("which cannot be checked here" in note for note in result.notes)
    assert any("not comparable with published FIDs" in note for note in result.notes)


def test_statistics_of_a_forged_file_do_not_fit(tmp_path):
    """A network that says it is another is another."""
    claim = {"weights_sha256": RANDOM.sha256, "dims": "64", "mode": "pytorch", "model": RANDOM.name}
    forged = networks.load(save(tmp_path / "a.onnx", stating(network(), **claim)), dims=64)
    assert forged.sha256 != RANDOM.sha256
    exported = networks.export(RANDOM.name, tmp_path / "b.onnx", dims=64)
    model = onnx.load(exported)
    weight = model.graph.initializer[0]
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1.5), weight.name))
    assert networks.load(exported, dims=64).sha256 == RANDOM.sha256
    assert networks.load(save(exported, model), dims=64).sha256 != RANDOM.sha256
    model.graph.node[1].op_type = "Sigmoid"
    assert networks.load(save(exported, model), dims=64).sha256 != RANDOM.sha256


def test_an_export_of_the_built_in_network_can_be_checked_anywhere(tmp_path, monkeypatch):
    exported = networks.export(RANDOM.name, tmp_path / "a.onnx", dims=64)
    monkeypatch.setenv("FASTFID_HOME", str(tmp_path / "empty"))
    loaded = networks.load(exported, dims=64)
    assert (loaded.name, loaded.sha256, loaded.note) == (RANDOM.name, RANDOM.sha256, None)


@pytest.fixture
def official(tmp_path, monkeypatch):
    """Stand-ins for the official weights, exported, in a cache that has both weights and graph."""
    home = tmp_path / "home"
    home.mkdir()
    data = checkpoint(random_weights())
    entry = dataclasses.replace(
        OFFICIAL, sha256=hashlib.sha256(data).hexdigest(), size=len(data), url="http://0.invalid"
    )
    (home / entry.file_names[0]).write_bytes(data)
    monkeypatch.setitem(registry.REGISTRY, entry.name, entry)
    monkeypatch.setattr(registry, "OFFICIAL_SHA256", entry.sha256)
    monkeypatch.setenv("FASTFID_HOME", str(home))
    return home, entry, networks.export(entry.name, tmp_path / "a.onnx", dims=64)


def test_an_official_export_is_believed_by_graph_or_weights(official):
    home, entry, exported = official
    (graph,) = (home / "graphs").iterdir()
    weights = home / entry.file_names[0]
    for missing in (weights, graph):  # each alone suffices
        kept = missing.read_bytes()
        missing.unlink()
        loaded = networks.load(exported, dims=64)
        assert (loaded.name, loaded.sha256, loaded.comparable) == (entry.name, entry.sha256, True)
        assert loaded.note is None
        missing.write_bytes(kept)
    graph.unlink()
    weights.write_bytes(weights.read_bytes()[:-1])  # damaged weights prove nothing
    loaded = networks.load(exported, dims=64)
    assert (loaded.name, loaded.comparable) == ("a.onnx", False)
    assert loaded.note is not None
    weights.unlink()
    assert networks.load(exported, dims=64) == loaded  # and nothing is downloaded


def test_a_name_of_the_registry_is_not_lent(official, tmp_path):
    _, entry, _ = official
    model = onnx.load(networks.export(RANDOM.name, tmp_path / "b.onnx", dims=64))
    facts = {"weights_sha256": RANDOM.sha256, "dims": "64", "mode": "pytorch", "model": entry.name}
    assert networks.load(save(tmp_path / "c.onnx", stating(model, **facts)), dims=64).name == "c.onnx"
    assert (
        networks.load(save(tmp_path / "d.onnx", stating(model, **{**facts, "model": "a\x1b[2J"})), dims=64).name
        == "d.onnx"
    )


def test_what_export_writes_into_a_foreign_file_leaves_its_identity(tmp_path):
    model = network()
    helper.set_model_props(model, {"author": "somebody"})
    tail = onnx.ModelProto(producer_name="last")  # fields in another order than a library writes them
    own = save(tmp_path / "own.onnx", model.SerializeToString() + tail.SerializeToString())
    identity = hashlib.sha256(own.read_bytes()).hexdigest()
    first = networks.export(own, tmp_path / "first.onnx", mode="clip")
    second = networks.export(first, tmp_path / "second.onnx", mode="clip")
    for path in (own, first, second):
        loaded = networks.load(path)
        assert (loaded.name, loaded.sha256, loaded.note) == ("own.onnx", identity, None)
    keys = [prop.key for prop in onnx.load(second).metadata_props]
    assert sorted(keys) == ["author", "fastfid.mode", "fastfid.model", "fastfid.weights_sha256"]
    onnx.checker.check_model(onnx.load(second))
    assert networks.load(second).mode == "clip"
