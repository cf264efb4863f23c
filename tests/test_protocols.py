"""Every protocol through Python and the command line, with small networks in place of the published ones."""

import json
import runpy
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import fastfid
from fastfid.cli.main import main
from fastfid.images.modes import resolve
from fastfid.metrics.fid import FID
from fastfid.metrics.inception_score import InceptionScore
from fastfid.metrics.prdc import PRDC
from fastfid.metrics.sfid import SFID
from fastfid.options import Options, given
from fastfid.protocols import PROTOCOLS
from fastfid.sources import open_source
from fastfid.sources.pieces import choose
from pictures import folder, pictures
from stand_in import small_inception

OWN = [name for name, protocol in PROTOCOLS.items() if protocol.network and not protocol.reference]
every_network = pytest.mark.parametrize("name", OWN)
pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")


def mode_of(name):
    return str(PROTOCOLS[name].settings["mode"])


def weights(size, dims):
    """One number for each channel and each quarter of the image, to `dims` features."""
    return np.random.RandomState(size).standard_normal((12, dims)).astype(np.float32)


def write_network(path, size, dims, **metadata):
    """(N, 3, size, size) -> (N, dims): means over the quarters, times a matrix."""
    ends = [
        helper.make_tensor_value_info("images", TensorProto.FLOAT, ("N", 3, size, size)),
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ("N", dims)),
    ]
    half = [size // 2, size // 2]
    nodes = [
        helper.make_node("AveragePool", ["images"], ["quarters"], kernel_shape=half, strides=half),
        helper.make_node("Flatten", ["quarters"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["features"]),
    ]
    matrix = numpy_helper.from_array(weights(size, dims), "weights")
    graph = helper.make_graph(nodes, "own", ends[:1], ends[1:], [matrix])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    helper.set_model_props(model, {f"fastfid.{key}": value for key, value in metadata.items()})
    onnx.save(model, path)
    return path


def network_of(folder, name):
    size, _ = resolve(mode_of(name)).size
    return write_network(folder / f"{name}.onnx", size, PROTOCOLS[name].network.dims, mode=mode_of(name))


def features_by_hand(images, name):
    size, _ = resolve(mode_of(name)).size
    rows = []
    for image in images:
        out = np.empty((3, size, size), np.float32)
        resolve(mode_of(name)).kernel(image, out)
        rows.append(out.reshape(3, 2, size // 2, 2, size // 2).astype(float).mean((2, 4)).ravel())
    return np.array(rows) @ weights(size, PROTOCOLS[name].network.dims).astype(float)


def cmmd_by_hand(x, y):
    x, y = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (x, y))

    def mean_kernel(p, q):
        return np.exp(-((p[:, None] - q) ** 2).sum(-1) / 200).mean()

    return 1000 * (mean_kernel(x, x) + mean_kernel(y, y) - 2 * mean_kernel(x, y))


@pytest.fixture
def sets(tmp_path):
    a, b = pictures(5), pictures(6, seed=1)
    folder(tmp_path / "generated", a)
    folder(tmp_path / "real", b)
    return tmp_path / "generated", tmp_path / "real", a, b


@every_network
def test_equals_the_metric_of_the_features(name, sets, tmp_path, capsys):
    generated, real, *images = sets
    rows = [features_by_hand(each, name) for each in images]
    expected = cmmd_by_hand(*rows) if name == "cmmd" else fastfid.frechet_distance_from_features(*rows)
    path = network_of(tmp_path, name)
    result = fastfid.compare(generated, real, model=path, protocol=name)
    (score,) = result.scores.values()
    assert not any("published FIDs" in note for note in result.notes)  # it has another network, by its protocol
    # The features are float32, wrong by 2^-24 of the largest in each of the network's sums of few terms.
    assert score.value == pytest.approx(expected, rel=1e-4)
    assert result.provenance.mode == resolve(mode_of(name)).name
    assert main([str(generated), str(real), "--model", str(path), "--protocol", name, "--quiet"]) == 0
    printed, citation = capsys.readouterr().out.splitlines()
    label, value = printed.split(": ")
    assert label == {"cmmd": "CMMD", "clip-fid": "CLIP-FID"}.get(name, "FD-DINOv2")
    assert float(value) == score.value
    for fact in (name, PROTOCOLS[name].tool, f"fastfid {fastfid.__version__}", "n 5 and 6", result.provenance.mode):
        assert fact in citation
    assert f"{path.name} (SHA-256 {result.provenance.sha256[:12]})" in citation
    assert main([str(generated), str(real), "--model", str(path), "--protocol", name, "--quiet", "--json"]) == 0
    as_json = json.loads(capsys.readouterr().out)
    assert (as_json["protocol"], as_json["citation"]) == (name, citation)


def test_the_three_of_dinov2_are_three_numbers(sets, tmp_path):
    path = write_network(tmp_path / "silent.onnx", 224, 1024)
    found = {fastfid.compare(*sets[:2], model=path, protocol=name).fid for name in OWN if name.startswith("fd-dinov2")}
    assert len(found) == 3


@pytest.fixture
def network():
    with small_inception():
        yield


@pytest.mark.usefixtures("network")
def test_adm_is_its_metrics(sets, capsys):
    generated, real, *_ = sets
    metrics = [InceptionScore("adm"), FID(), SFID(), PRDC("adm")]
    options = {"model": "inception-v3-random", "batch_size": 6}
    expected = fastfid.compare(generated, real, metrics=metrics, mode="tensorflow", **options).scores
    assert fastfid.compare(generated, real, protocol="adm", **options).scores == expected
    command = [str(generated), str(real), "--model", "inception-v3-random", "--protocol", "adm", "--batch-size", "6"]
    assert main([*command, "--quiet"]) == 0
    *lines, citation = capsys.readouterr().out.splitlines()
    found = dict(line.split(": ") for line in lines)
    parts = expected["prdc"].parts
    assert {label: float(value) for label, value in found.items()} == {
        "Inception Score": expected["is"].value,
        "FID": expected["fid"].value,
        "sFID": expected["sfid"].value,
        "Precision": parts["precision"],
        "Recall": parts["recall"],
    }
    assert "guided-diffusion" in citation


def test_the_export_script_has_the_same_table():
    script = runpy.run_path(str(Path(__file__).parents[1] / "models" / "export_torch.py"))
    kinds = script["PROTOCOLS"]
    assert list(kinds) == OWN
    for name, kind in kinds.items():
        network = PROTOCOLS[name].network
        assert (kind.command, kind.dims) == (network.export, network.dims)
        assert resolve(kind.mode).name == resolve(mode_of(name)).name
        assert (kind.size, kind.size) == resolve(kind.mode).size
        assert script["parser"]().parse_args([kind.command, "--protocol", name, "x.onnx"]).protocol == name


# What a protocol fixes.


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("option", [{"mode": "clean"}, {"metrics": ["kid"]}, {"mode": "pytorch"}])
def test_what_it_fixes_cannot_be_given(name, option):
    (key,) = option
    if option[key] == PROTOCOLS[name].settings.get(key):
        Options.of({"protocol": name, **option})
        return
    with pytest.raises(fastfid.InputError, match=f"protocol {name} fixes {key}; leave {key}=.* out"):
        Options.of({"protocol": name, **option})


def test_the_modes_flag_beside_a_protocol(sets, capsys):
    command = [*map(str, sets[:2]), "--protocol", "fd-dinov2-edm2", "--model", "x.onnx", "--mode", "dinov2"]
    assert main(command) == 2
    assert "protocol fd-dinov2-edm2 fixes mode; leave --mode dinov2 out" in capsys.readouterr().err


def test_the_mode_of_adm_is_given_and_that_of_a_network_may_be_its_files():
    assert given(Options.of({"protocol": "adm", "mode": Options.mode}).mode)
    assert not given(Options.of({"protocol": "cmmd", "mode": Options.mode}).mode)


# The network is checked before an image is read.


@pytest.fixture
def unreadable(tmp_path):
    """Two sets whose images cannot be decoded: any other error came before."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(3):
            (tmp_path / name / f"{i}.png").write_bytes(b"no image")
    return tmp_path / "a", tmp_path / "b"


def test_the_sets_are_unreadable(unreadable, tmp_path):
    with pytest.raises(fastfid.ImageError):
        fastfid.compare(*unreadable, model=network_of(tmp_path, "clip-fid"), protocol="clip-fid")


@every_network
@pytest.mark.parametrize("model", ["inception-v3", "inception-v3-random"])
def test_the_inception_network_is_refused(name, model, unreadable):
    with pytest.raises(
        fastfid.ModelError, match=f"does not use {model}: it needs .*export_torch.py .*--protocol {name}"
    ):
        fastfid.compare(*unreadable, model=model, protocol=name)


@every_network
def test_other_dims_are_refused(name, unreadable, tmp_path):
    size, _ = resolve(mode_of(name)).size
    path = write_network(tmp_path / "small.onnx", size, 384)
    dims = PROTOCOLS[name].network.dims
    with pytest.raises(fastfid.ModelError, match=rf"{name} has features of {dims} dims; small.onnx has 384: it needs"):
        fastfid.compare(*unreadable, model=path, protocol=name)


@every_network
def test_another_size_is_refused(name, unreadable, tmp_path):
    path = write_network(tmp_path / "large.onnx", 448, PROTOCOLS[name].network.dims)
    with pytest.raises(fastfid.ModelError, match=rf"size \d+x\d+ does not fit \(protocol {name}: it .* given as model"):
        fastfid.compare(*unreadable, model=path, protocol=name)


@every_network
@pytest.mark.parametrize("mode", ["size=224 resize=box", "dinov2", "size=336 resize=bicubic", "clean"])
def test_another_preprocessing_is_refused(name, mode, unreadable, tmp_path):
    size, _ = resolve(mode).size or (224, 224)
    path = write_network(tmp_path / "other.onnx", size, PROTOCOLS[name].network.dims, mode=mode)
    with pytest.raises(fastfid.ModelError, match=rf"protocol {name}.*export_torch\.py"):
        fastfid.compare(*unreadable, model=path, protocol=name)


def test_an_open_extractor_is_checked_as_well(unreadable, tmp_path):
    path = write_network(tmp_path / "silent.onnx", 224, 1024)
    with pytest.raises(fastfid.ModelError, match="fixes mode size=224 resize=torch-bicubic .* silent.onnx states"):
        fastfid.compare(*unreadable, model=fastfid.Extractor(path, mode="dinov2"), protocol="fd-dinov2-edm2")
    with pytest.raises(fastfid.ImageError):
        fastfid.compare(*unreadable, model=fastfid.Extractor(path, mode="dinov2-edm2"), protocol="fd-dinov2-edm2")


def test_adm_needs_pool3(unreadable):
    with pytest.raises(fastfid.InputError, match="protocol adm fixes dims; leave dims=64 out"):
        fastfid.compare(*unreadable, model="inception-v3-random", dims=64, protocol="adm")


@pytest.mark.filterwarnings("ignore:.*made differently")
def test_statistics_of_another_preprocessing_are_refused(sets, tmp_path):
    path = write_network(tmp_path / "silent.onnx", 224, 1024)
    saved = [fastfid.statistics(images, model=path, mode="dinov2-dgm-eval") for images in sets[2:]]
    with pytest.raises(fastfid.StatisticsMismatch, match="made with mode size=224 resize=bicubic .*fixes mode size"):
        fastfid.compare(*saved, protocol="fd-dinov2-edm2")
    forced = fastfid.compare(*saved, protocol="fd-dinov2-edm2", force=True)
    right = fastfid.compare(*saved, protocol="fd-dinov2-dgm-eval")
    assert forced.fid == right.fid
    assert any("compared because of force" in text for text in forced.warnings)


def test_features_need_no_network(tmp_path):
    rows = [np.random.RandomState(seed).standard_normal((9, 768)) for seed in (0, 1)]
    result = fastfid.compare(*rows, features=True, protocol="cmmd")
    assert result.scores["cmmd"].value == pytest.approx(cmmd_by_hand(*rows), rel=1e-6)
    with pytest.raises(fastfid.ModelError, match="has features of 768 dims; this has 64"):
        fastfid.compare(rows[0][:, :64], rows[1][:, :64], features=True, protocol="cmmd")


# The number of images.


@pytest.mark.parametrize(
    ("name", "generated", "real"),
    [
        ("fd-dinov2-dgm-eval", 50_000, 50_000),
        ("fd-dinov2-edm2", 50_000, None),
        ("fd-dinov2-torch-fidelity", None, None),
        ("cmmd", 30_000, 30_000),
        ("clip-fid", 50_000, None),
    ],
)
def test_another_number_of_images_is_told_of(name, generated, real, sets, tmp_path):
    result = fastfid.compare(*sets[:2], model=network_of(tmp_path, name), protocol=name)
    told = [text for text in result.warnings if text.startswith("protocol-n: ")]
    assert len(told) == (generated is not None) + (real is not None)
    for text, (side, n, wanted, kind) in zip(
        told, [(sets[0], 5, generated, "generated"), (sets[1], 6, real, "real")], strict=False
    ):
        assert text.startswith(f"protocol-n: {side}: {n} images; protocol {name} takes {wanted:,} {kind} images")


def test_the_right_number_is_not_told_of(monkeypatch, sets, tmp_path, capsys):
    name = "fd-dinov2-dgm-eval"
    monkeypatch.setitem(PROTOCOLS, name, replace(PROTOCOLS[name], n=(5, 3)))
    path = network_of(tmp_path, name)
    result = fastfid.compare(*sets[:2], model=path, protocol=name)
    (told,) = (text for text in result.warnings if text.startswith("protocol-n"))
    assert "6 images; protocol fd-dinov2-dgm-eval takes 3 real images, chosen as by limit=3 and seed=13579" in told
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        codes = [flag for code in ("few-images", "protocol-n") for flag in ("--silence", code)]
        assert main([*map(str, sets[:2]), "--model", str(path), "--protocol", name, "--quiet", *codes]) == 0


def test_an_image_that_is_left_out_is_told_of(monkeypatch, sets, tmp_path):
    name = "clip-fid"
    monkeypatch.setitem(PROTOCOLS, name, replace(PROTOCOLS[name], n=(5, None)))
    (sets[0] / "bad.png").write_bytes(b"no image")
    result = fastfid.compare(*sets[:2], model=network_of(tmp_path, name), protocol=name, on_error="skip")
    assert not any(text.startswith("protocol-n: ") and " 5 images" in text for text in result.warnings)
    monkeypatch.setitem(PROTOCOLS, name, replace(PROTOCOLS[name], n=(6, None)))
    result = fastfid.compare(*sets[:2], model=network_of(tmp_path, name), protocol=name, on_error="skip")
    assert any(text.startswith("protocol-n: ") and " 5 images; " in text for text in result.warnings)


@pytest.mark.parametrize(("name", "seed"), [("fd-dinov2-dgm-eval", 13579), ("fd-dinov2-edm2", 0)])
def test_limit_and_seed_choose_the_tools_subset(name, seed):
    assert PROTOCOLS[name].seed == seed
    chosen = choose(open_source(np.zeros((100, 1, 1, 3), np.uint8)), 40, seed)
    if name == "fd-dinov2-dgm-eval":  # dataloaders.py, subsample_dataset
        theirs = np.random.RandomState(seed).choice(100, 40, replace=False)
    else:  # EDM2's training/dataset.py, Dataset
        theirs = np.arange(100)
        np.random.RandomState(seed % (1 << 31)).shuffle(theirs)
    assert chosen.tolist() == sorted(theirs[:40])
