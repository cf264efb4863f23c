"""Keras' weights: every layout that Keras writes, its features (golden), and errors for bad files."""

import dataclasses
import hashlib
import re
import runpy
import sys
from pathlib import Path

import h5py
import numpy as np
import onnx
import pytest

import fastfid
from fastfid import networks
from fastfid.errors import ModelError
from fastfid.networks import architecture, registry
from fastfid.networks import keras_file as keras

GOLDEN = Path(__file__).parent / "golden"
RECIPE = runpy.run_path(str(GOLDEN / "make_keras_golden.py"))
NAME = "inception-v3-keras"

with np.load(GOLDEN / "keras_features.npz") as _data:
    FEATURES = dict(_data)
LAYERS = [str(name) for name in FEATURES["layer_names"]]
KERNELS = {str(n): tuple(map(int, s)) for n, s in zip(FEATURES["kernel_names"], FEATURES["kernel_shapes"], strict=True)}
PARTS = ("beta", "moving_mean", "moving_variance")


def drawn(name):
    """Names and values of one layer's weights, as the golden features were made with."""
    if name in KERNELS:
        return {"kernel": RECIPE["kernel"](name, KERNELS[name])}
    if name.startswith("batch_normalization"):
        channels = KERNELS[name.replace("batch_normalization", "conv2d")][-1]
        return dict(zip(PARTS, RECIPE["norm"](name, channels), strict=True))
    return {}


def empty(name):
    """The same shapes without values: HDF5 stores nothing for them, so that the file is small."""
    if name in KERNELS:
        return {"kernel": KERNELS[name]}
    if name.startswith("batch_normalization"):
        return dict.fromkeys(PARTS, KERNELS[name.replace("batch_normalization", "conv2d")][-1:])
    return {}


def parse(data, name="x.h5"):
    """Read in this process: the tests of damage that ends are many."""
    return keras.read_keras(data, name=name, trusted=True)


def put(group, name, value):
    if isinstance(value, tuple):
        group.create_dataset(name, value, "<f4")
    else:
        group.create_dataset(name, data=value)


def legacy(group, weights, names=LAYERS, called=lambda name: name, ending=":0", text=np.bytes_):
    """The layout of `save_weights` in Keras 1 and 2, and of the published file."""
    group.attrs["layer_names"] = np.array([called(name).encode() for name in names]).astype(text)
    for name in sorted(names):
        layer = group.create_group(called(name))
        parts = {f"{called(name)}/{part}{ending}": value for part, value in weights(name).items()}
        layer.attrs["weight_names"] = np.array([part.encode() for part in parts])
        for part, value in parts.items():
            put(layer, part, value)


def whole_model(file, weights, names=LAYERS):
    """The layout of `model.save("x.h5")` in Keras 3."""
    file.attrs["model_config"] = "{}"
    legacy(file.create_group("model_weights"), weights, names, ending="")


def keras3(file, weights, names=LAYERS):
    """The layout of `save_weights("x.weights.h5")` in Keras 3, where a layer's number is its place among its class."""
    file.create_group("vars")
    used = {}
    for name in names:
        kind = "dense" if name == "predictions" else name.rstrip("0123456789").rstrip("_")
        number = used[kind] = used.get(kind, -1) + 1
        group = file.create_group(f"layers/{kind}_{number}" if number else f"layers/{kind}").create_group("vars")
        group.attrs["name"] = name
        for i, value in enumerate(weights(name).values()):
            put(group, str(i), value)


def written(layout, weights=empty, edit=None, **options):
    """Bytes of a file in a layout; `edit` may change it before it is closed."""
    with h5py.File("in memory", "w", driver="core", backing_store=False) as file:
        layout(file, weights, **options)
        if edit is not None:
            edit(file)
        file.flush()
        return file.id.get_file_image()


def replace(path, make):
    """Return an edit that puts something else at a path."""

    def edit(file):
        del file[path]
        make(file, path)

    return edit


@pytest.fixture(scope="module")
def data():
    return written(legacy, drawn)


@pytest.fixture(scope="module")
def weights_file(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("keras") / registry.entry(NAME).file_names[0]
    path.write_bytes(data)
    yield path
    path.unlink()  # 88 MB


@pytest.fixture(autouse=True)
def caches(monkeypatch, tmp_path):
    """No cache of this machine; graphs of 88 MB are not kept, for the cache is no folder."""
    (tmp_path / "nowhere").touch()
    for variable in ("FASTFID_HOME", "KERAS_HOME", "TORCH_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "nowhere"))


@pytest.mark.parametrize("dims", [64, 192, 768, 2048])
def test_features_equal_keras(weights_file, dims, record_property):
    extractor = fastfid.Extractor(weights_file, mode="keras", dims=dims, batch_size=1)
    expected = FEATURES[str(dims)]
    found = extractor(RECIPE["images"]())
    assert found.shape == expected.shape
    worst = np.abs(found - expected).max() / np.abs(expected).max()
    record_property("worst", float(worst))
    assert worst <= 1e-5


def renumbered(name):
    """As in a process that has made this model once before: the numbers go on."""
    found = re.fullmatch(r"(conv2d|batch_normalization|activation)(_\d+)?", name)
    return f"{found[1]}_{int((found[2] or '_0')[1:]) + 94}" if found else name


@pytest.mark.parametrize(
    "other",
    [
        lambda: written(legacy, drawn, called=renumbered),
        lambda: written(legacy, drawn, called=lambda name: f"mine_{LAYERS.index(name)}", text=h5py.string_dtype()),
        lambda: written(whole_model, drawn),
        lambda: written(keras3, drawn),
        lambda: written(legacy, lambda name: {part: value.astype(">f8") for part, value in drawn(name).items()}),
    ],
    ids=["renumbered", "renamed", "whole model", "Keras 3", "float64, big-endian"],
)
def test_every_layout_holds_the_same(data, other):
    expected, found = parse(data), keras.read_keras(other())
    assert expected.keys() == found.keys() == {n for n in architecture.expected_shapes() if not n.startswith("fc.")}
    for name, value in found.items():
        assert value.dtype == np.float32
        assert value.dtype.isnative
        assert value.flags.c_contiguous
        np.testing.assert_array_equal(value, expected[name], strict=True)


@pytest.mark.parametrize("layout", [legacy, whole_model, keras3])
def test_the_classifier_is_left_out(layout):
    top = {"kernel": (2048, 1000), "bias": (1000,)}
    found = parse(
        written(layout, lambda name: top if name == "predictions" else empty(name), names=[*LAYERS, "predictions"])
    )
    assert len(found) == 94 * 5


@pytest.mark.parametrize("layout", [legacy, keras3])
def test_gamma_is_read_where_there_is_one(layout):
    gamma = np.arange(32, dtype=np.float32)
    first = LAYERS.index("batch_normalization")
    assert LAYERS[first - 1] == "conv2d"

    def weights(name):
        return {"gamma": gamma, **empty(name)} if name == "batch_normalization" else empty(name)

    found = parse(written(layout, weights))
    np.testing.assert_array_equal(found["Conv2d_1a_3x3.bn.weight"], gamma)
    np.testing.assert_array_equal(found["Conv2d_2a_3x3.bn.weight"], np.ones(32))


def unnamed(file):
    file.attrs["layer_names"] = [name for name in file.attrs["layer_names"] if name != b"conv2d_7"]


def doubled(file):
    file.attrs["layer_names"] = np.append(file.attrs["layer_names"], b"conv2d_7")


def one_weight_more(file):
    file["conv2d_7"].attrs["weight_names"] = [b"conv2d_7/kernel:0"] * 2


def virtual(file, path):
    layout = h5py.VirtualLayout((80,), "<f4")
    layout[:] = h5py.VirtualSource("elsewhere.h5", "x", (80,))
    file.create_virtual_dataset(path, layout)


def nested(file):
    """Inception-v3 as a layer of another model."""
    file.move("layers", "aside")
    file.create_group("layers/functional/vars")
    file.move("aside", "layers/functional/layers")


BETA = "batch_normalization_3/batch_normalization_3/beta:0"
KERNEL = "conv2d_7/conv2d_7/kernel:0"


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda f: f.attrs.__delitem__("layer_names"), "neither layer_names nor model_weights nor layers"),
        (unnamed, "93 convolutions and 94 batch norms instead of 94 of each"),
        (doubled, "95 convolutions and 94 batch norms"),
        (one_weight_more, r"layer conv2d_7 has 2 weights; .*If Inception-v3 is a layer of another model"),
        (lambda f: f.__delitem__("conv2d_7"), "/ has no conv2d_7"),
        (lambda f: f.__delitem__(KERNEL), r"/conv2d_7/conv2d_7 has no kernel:0"),
        (lambda f: f["conv2d_7"].attrs.__delitem__("weight_names"), "/conv2d_7 has no attribute weight_names"),
        (replace("conv2d_7", lambda f, p: f.create_dataset(p, (2,), "<f4")), "/conv2d_7 has no attribute weight_names"),
        (replace(KERNEL, lambda f, p: f.create_group(p)), "kernel:0 is not a dataset"),
        (
            replace(KERNEL, lambda f, p: f.create_dataset(p, (5, 5, 64, 48), "<f4")),
            r"layer conv2d_7: .* is float32 \(5, 5, 64, 48\) instead of float32 \(5, 5, 48, 64\)",
        ),
        (replace(KERNEL, lambda f, p: f.create_dataset(p, (10**6,) * 3, "<f4", chunks=(9, 9, 9))), "1000000, 1000000"),
        (replace(BETA, lambda f, p: f.create_dataset(p, (80,), "<i4")), r"beta:0 is int32 \(80,\)"),
        (replace(BETA, lambda f, p: f.create_dataset(p, (80,), "V2")), r"beta:0 is \|V2"),  # bfloat16, as Keras has it
        (replace(BETA, lambda f, p: f.create_dataset(p, (), "<f4")), r"beta:0 is float32 \(\)"),
        (replace(BETA, lambda f, p: f.create_dataset(p, data=h5py.Empty("<f4"))), "beta:0 is float32 None"),
        (replace(BETA, lambda f, p: f.__setitem__(p, h5py.SoftLink("/x"))), r"beta:0 .* is a link.*refused"),
        (replace(BETA, lambda f, p: f.__setitem__(p, h5py.ExternalLink("a.h5", "x"))), r"is a link.*refused"),
        (replace(BETA, virtual), "lies in another file: refused"),
        (
            replace(BETA, lambda f, p: f.create_dataset(p, (80,), "<f4", external=[("a.bin", 0, 320)])),
            "lies in another file: refused",
        ),
    ],
)
def test_what_is_wrong_is_said(edit, said):
    with pytest.raises(ModelError, match=rf"(?s)mine\.h5 cannot be read as weights of Keras' inception-v3: .*{said}"):
        parse(written(legacy, edit=edit), name="mine.h5")


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda f: f.__delitem__("layers/conv2d_93"), "93 convolutions and 94 batch norms"),
        (lambda f: f.__delitem__("layers/conv2d_93/vars"), "93 convolutions and 94 batch norms"),
        (nested, "0 convolutions.*If Inception-v3 is a layer"),
        (lambda f: f["layers/conv2d/vars"].move("0", "first"), "damaged"),
        (lambda f: put(f, "layers/dense_1/vars/0", (2048, 9)), "95 convolutions"),
        (replace("layers/conv2d", lambda f, p: f.__setitem__(p, h5py.SoftLink("/layers/conv2d_1"))), "link.*refused"),
    ],
)
def test_what_is_wrong_is_said_of_keras_3_too(edit, said):
    with pytest.raises(ModelError, match=said):
        parse(written(keras3, edit=edit))


@pytest.mark.parametrize("data", [b"", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + b"\xff" * 3000, b"PK\x03\x04" * 99])
def test_what_is_no_hdf5(data):
    with pytest.raises(ModelError, match="damaged, or not HDF5"):
        parse(data)


def test_truncated_files():
    whole = written(legacy)
    for length in [*range(0, len(whole), len(whole) // 40), len(whole) - 1]:
        with pytest.raises(ModelError, match="damaged, or not HDF5"):
            parse(whole[:length])


def test_values_that_are_not_finite_are_refused(tmp_path):
    def edit(file):
        file[BETA][7] = np.nan

    path = tmp_path / "nan.h5"
    path.write_bytes(written(legacy, edit=edit))
    with pytest.raises(ModelError, match=r"Conv2d_3b_1x1\.bn\.bias has values that are not finite"):
        networks.load(path, dims=192, mode="keras")


def test_float64_beyond_float32_is_refused(tmp_path):
    def weights(name):
        return {**empty(name), "moving_variance": np.full(32, 1e300)} if name == "batch_normalization" else empty(name)

    path = tmp_path / "large.h5"
    path.write_bytes(written(legacy, weights))
    with pytest.raises(ModelError, match=r"Conv2d_1a_3x3\.bn\.running_var has values that are not finite"):
        networks.load(path, dims=64, mode="keras")


def test_by_path(weights_file, data):
    network = networks.load(weights_file, dims=64, mode="keras")
    digest = hashlib.sha256(data).hexdigest()
    assert (network.name, network.sha256, network.dims) == (weights_file.name, digest, 64)
    assert (network.comparable, network.mode) == (False, "keras")


def test_by_name_from_keras_own_cache(weights_file, data, monkeypatch, tmp_path):
    """Only an MD5 was published; the identity is the SHA-256 of what was found."""
    entry = dataclasses.replace(registry.entry(NAME), size=len(data), md5=hashlib.md5(data).hexdigest())
    monkeypatch.setitem(registry.REGISTRY, NAME, entry)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("fastfid.networks.isolated.call", lambda *_: pytest.fail("the file is trusted by its hash"))
    (tmp_path / "models").symlink_to(weights_file.parent)
    assert networks.find(NAME) == networks.fetch(NAME) == tmp_path / "models" / weights_file.name
    network = networks.load(NAME, dims=64, mode="keras")
    assert (network.name, network.sha256) == (NAME, hashlib.sha256(data).hexdigest())
    assert network.comparable is False
    monkeypatch.setitem(registry.REGISTRY, NAME, registry.entry(NAME).__class__(**{**vars(entry), "md5": "0" * 32}))
    with pytest.raises(ModelError, match=rf"its MD5 is {entry.md5} .* instead of 0{{32}}.*Delete the file"):
        networks.load(NAME, dims=64)


def test_export_carries_the_identity(weights_file, data, tmp_path, monkeypatch):
    monkeypatch.setenv("FASTFID_HOME", str(tmp_path / "home"))  # its graph, which is small here, is what proves it
    out = networks.export(weights_file, tmp_path / "keras.onnx", dims=64, mode="keras")
    facts = {p.key: p.value for p in onnx.load(out).metadata_props}
    assert facts == {
        "fastfid.weights_sha256": hashlib.sha256(data).hexdigest(),
        "fastfid.dims": "64",
        "fastfid.mode": "keras",
        "fastfid.model": weights_file.name,
    }
    assert networks.load(out, dims=64, mode="keras").sha256 == facts["fastfid.weights_sha256"]


@pytest.mark.parametrize("dims", [1008, 100])
def test_dims_that_keras_does_not_have(tmp_path, dims):
    (tmp_path / "mine.H5").touch()
    for model in (NAME, tmp_path / "mine.H5"):  # neither downloaded nor read
        with pytest.raises(ModelError, match=rf"Keras' weights has no features of {dims} .*it has 64, 192, 768, 2048$"):
            networks.load(model, dims=dims)


def test_without_h5py(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "mine.hdf5").touch()
    for model in (NAME, tmp_path / "mine.hdf5"):  # neither downloaded nor read
        with pytest.raises(ModelError, match=r"h5py.*pip install 'fastfid\[keras\]'"):
            networks.load(model)


def test_a_keras_archive_says_the_way_out(tmp_path):
    (tmp_path / "mine.keras").write_bytes(b"PK\x03\x04")
    with pytest.raises(ModelError, match=r"mine\.keras is a whole Keras model: model\.save_weights"):
        networks.load(tmp_path / "mine.keras")
