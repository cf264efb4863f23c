"""`load` and `export`: names, weights, foreign and exported ONNX files, and errors."""

import dataclasses
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from google.protobuf.message import DecodeError

from fastfid import DeviceError, Extractor, networks
from fastfid.errors import InputError, ModelError
from fastfid.networks import registry
from fastfid.networks.random import random_weights
from test_torch_file import checkpoint, hwio

OFFICIAL = registry.entry("inception-v3")
RANDOM = registry.entry("inception-v3-random")


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory):
    """The random weights as torch would have written the published file: kernels as height, width, in, out."""
    path = tmp_path_factory.mktemp("weights") / "mine.pth"
    weights = random_weights()
    path.write_bytes(checkpoint({k: hwio(v) if v.ndim == 4 else v for k, v in weights.items()}))
    return path


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return networks.export(RANDOM.name, tmp_path_factory.mktemp("export") / "random.onnx", dims=64)


def features(data):
    x = np.random.RandomState(0).uniform(-1, 1, (1, 3, 299, 299)).astype(np.float32)
    return onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]).run(["features"], {"images": x})[0]


def metadata(data):
    return {p.key: p.value for p in onnx.load_model_from_string(data).metadata_props}


def foreign(path, **facts):
    """A tiny extractor that is not ours, with metadata or without."""
    info = onnx.helper.make_tensor_value_info
    x, y = info("x", 1, ["N", 3, 8, 8]), info("y", 1, ["N", 192])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Flatten", ["x"], ["y"])], "g", [x], [y])
    model = onnx.helper.make_model(graph)
    onnx.helper.set_model_props(model, {f"fastfid.{key}": value for key, value in facts.items()})
    path.write_bytes(model.SerializeToString())
    return path


def test_random_by_name():
    network = networks.load("inception-v3-random", dims=192)
    assert dataclasses.astuple(network)[:3] == (RANDOM.name, RANDOM.sha256, 192)
    assert network.comparable is False
    assert features(network.onnx).shape == (1, 192)
    with pytest.raises(dataclasses.FrozenInstanceError):
        network.dims = 64


def test_weights_by_path(weights_file):
    network = networks.load(weights_file, dims=64)
    assert (network.name, network.dims, network.comparable) == ("mine.pth", 64, False)
    assert network.sha256 == hashlib.sha256(weights_file.read_bytes()).hexdigest()
    np.testing.assert_array_equal(features(network.onnx), features(networks.load(RANDOM.name, dims=64).onnx))


def test_official_weights_from_the_cache(weights_file, monkeypatch):
    digest = hashlib.sha256(weights_file.read_bytes()).hexdigest()
    entry = dataclasses.replace(
        OFFICIAL,
        sha256=digest,
        size=weights_file.stat().st_size,
        file_names=(weights_file.name,),
        url="http://0.invalid",
    )
    monkeypatch.setitem(registry.REGISTRY, "inception-v3", entry)
    monkeypatch.setattr(registry, "OFFICIAL_SHA256", digest)
    monkeypatch.setenv("FASTFID_HOME", str(weights_file.parent))
    by_name, by_path = networks.load("inception-v3", dims=64), networks.load(str(weights_file), dims=64)
    assert (by_name.name, by_name.sha256, by_name.comparable) == ("inception-v3", digest, True)
    assert (by_path.sha256, by_path.comparable) == (digest, True)


def test_export_says_what_it_is(exported):
    data = exported.read_bytes()
    assert metadata(data) == {
        "fastfid.weights_sha256": RANDOM.sha256,
        "fastfid.dims": "64",
        "fastfid.mode": "pytorch",
        "fastfid.model": "inception-v3-random",
    }
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    assert [(i.name, i.type, i.shape) for i in session.get_inputs()] == [
        ("images", "tensor(float)", ["N", 3, 299, 299])
    ]
    assert [(o.name, o.type, o.shape) for o in session.get_outputs()] == [("features", "tensor(float)", ["N", 64])]


def test_an_exported_file_keeps_its_identity(exported):
    theirs, ours = networks.load(exported, dims=64), networks.load(RANDOM.name, dims=64)
    assert dataclasses.replace(theirs, onnx=b"") == dataclasses.replace(ours, onnx=b"")
    np.testing.assert_array_equal(features(theirs.onnx), features(ours.onnx))


def test_an_exported_file_is_for_its_mode_and_dims(exported):
    with pytest.raises(ModelError, match=r"exported for mode pytorch, and mode clean .*--mode 'clean'"):
        networks.load(exported, dims=64, mode="clean")
    with pytest.raises(ModelError, match=r"gives 64 features, and 2048 were asked for: pass dims 64"):
        networks.load(exported)


def test_foreign_onnx(tmp_path):
    path = foreign(tmp_path / "theirs.ONNX")
    data = path.read_bytes()
    expected = networks.Network(
        "theirs.ONNX", hashlib.sha256(data).hexdigest(), None, data, comparable=False, mode=None
    )
    assert networks.load(path, dims=2048, mode="clean") == expected


@pytest.mark.parametrize("data", [b"", b"garbage" * 100, b"\x08\x0a", b"\xff" * 50])
def test_onnx_that_is_not(tmp_path, data):
    (tmp_path / "bad.onnx").write_bytes(data)
    with pytest.raises(ModelError, match=r"bad\.onnx is not an ONNX model"):
        networks.load(tmp_path / "bad.onnx")


@pytest.mark.parametrize("model", ["inception-v4", "folder/absent.pth", "absent.onnx", "."])
def test_neither_name_nor_file(model):
    with pytest.raises(ModelError, match=r"neither a file nor .*inception-v3, .*, inception-v3-random"):
        networks.load(model)


def test_weights_of_another_network(tmp_path):
    (tmp_path / "resnet.pth").write_bytes(checkpoint({"layer1.weight": np.zeros(3, np.float32)}))
    with pytest.raises(ModelError, match=r"resnet\.pth does not have the layout.*missing.*unexpected: layer1\.weight"):
        networks.load(tmp_path / "resnet.pth")


def test_unknown_dims():
    with pytest.raises(ModelError, match="no features of 100 dimensions; it has 64, 192"):
        networks.load("inception-v3-random", dims=100)


def test_export_replaces_only_when_forced(tmp_path):
    out = tmp_path / "out.onnx"
    out.write_bytes(b"precious")
    with pytest.raises(InputError, match=r"out\.onnx exists already.*--force"):
        networks.export(RANDOM.name, out, dims=64)
    assert out.read_bytes() == b"precious"
    assert networks.export(RANDOM.name, out, dims=64, mode="tensorflow", force=True) == out
    assert metadata(out.read_bytes())["fastfid.mode"] == "tensorflow"
    assert [p.name for p in tmp_path.iterdir()] == ["out.onnx"]


def test_export_that_cannot_be(tmp_path, exported):
    for out in (tmp_path, tmp_path / "absent" / "out.onnx"):
        with pytest.raises(InputError, match="cannot be written|cannot write"):
            networks.export(RANDOM.name, out)
    with pytest.raises(ModelError, match="gives 64 features"):
        networks.export(exported, tmp_path / "out.onnx")
    with pytest.raises(InputError, match="pytroch"):
        networks.export(RANDOM.name, tmp_path / "out.onnx", mode="pytroch")
    with pytest.raises(ModelError, match="dimensions"):
        networks.export(RANDOM.name, tmp_path / "out.onnx", dims=3)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("use", [networks.load, lambda path: networks.export(path, "out.onnx")])
def test_paths_that_cannot_be(tmp_path, monkeypatch, use):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo.onnx")
    with Path("sparse.pth").open("wb") as file:
        file.truncate(1 << 40)
    for path, said in (
        ("~nouser9/x.pth", "home"),
        ("a" * 5000, "too long|neither"),
        ("a\0.pth", "null|neither"),
        ("fifo.onnx", "it is a FIFO"),
        ("/dev/zero", "it is a device"),
        ("sparse.pth", "at most 1,07"),
    ):
        with pytest.raises(ModelError, match=said):
            use(path)
    for model in (5, None, b"inception-v3-random"):
        with pytest.raises(ModelError, match="a model is a name or a path"):
            use(model)


def test_places_to_write_that_cannot_be():
    for path in ("~nouser9/x.onnx", "a" * 5000 + ".onnx", "a\0.onnx"):
        with pytest.raises(InputError, match="cannot be written|cannot write"):
            networks.export(RANDOM.name, path, dims=64)


def test_a_file_that_appears_during_an_export_is_kept(tmp_path, monkeypatch):
    out = tmp_path / "out.onnx"

    def late(*arguments, **named):
        out.write_bytes(b"of another process")
        return networks.loading.load(*arguments, **named)

    monkeypatch.setattr("fastfid.networks.exporting.load", late)
    with pytest.raises(InputError, match=r"out\.onnx exists already.*--force"):
        networks.export(RANDOM.name, out, dims=64)
    assert out.read_bytes() == b"of another process"
    assert [p.name for p in tmp_path.iterdir()] == ["out.onnx"]


def test_importing_the_package_does_not_import_onnx():
    code = "import sys, fastfid.networks; sys.exit('onnx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_graph_for_which_there_is_no_memory(monkeypatch, tmp_path):
    def without_memory(*_, **__):
        raise DecodeError("Arena alloc failed")

    monkeypatch.setenv("FASTFID_HOME", str(tmp_path))
    monkeypatch.setattr("fastfid.networks.loading.inception.build", without_memory)
    with pytest.raises(DeviceError, match="out of memory when its graph was built: Arena alloc failed"):
        Extractor("inception-v3-random", dims=64)
