"""A user's own network, with its preprocessing from code, from the command line or from the file's metadata.

The networks here have the input and output shapes of DINOv2 ViT-L/14 and CLIP ViT-B/32 and return single values of
their input, at the places for which `golden/preprocess.npz` has the values of torchvision's and open_clip's transforms.
"""

import json
import runpy
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import fastfid
from fastfid import networks
from fastfid.cli.main import main
from fastfid.images.preprocess import PRESETS

GOLDEN = Path(__file__).parent / "golden"
RECIPE = runpy.run_path(str(GOLDEN / "make_preprocess_golden.py"))
WIDTHS = {"dinov2": 1024, "clip": 512}
SPEC = "size=224 resize=bicubic shortest=256 mean=0.485,0.456,0.406 std=0.229,0.224,0.225"

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")


def shapes(name):
    return RECIPE["SHAPES"][: WIDTHS[name] // RECIPE["SAMPLES"]]


def places(name):
    """Flat indices into (3, 224, 224), as many as the network has features: the samples of each shape in turn."""
    known = np.concatenate([RECIPE["positions"](*shape, 3 * 224 * 224) for shape in shapes(name)])
    return np.concatenate([known, np.zeros(WIDTHS[name] - len(known), np.int64)])


def write_network(path, name, *, layout="NCHW", size=(224, 224), **metadata):
    """(N, 3, 224, 224) -> (N, d): single values of the input."""
    shape = ("N", 3, *size) if layout == "NCHW" else ("N", *size, 3)
    turned = [helper.make_node("Transpose", ["images"], ["planes"], perm=[0, 3, 1, 2])] if layout == "NHWC" else []
    nodes = [
        *turned,
        helper.make_node("Flatten", ["planes" if turned else "images"], ["flat"]),
        helper.make_node("Gather", ["flat", "places"], ["features"], axis=1),
    ]
    ends = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, s)
        for n, s in (("images", shape), ("features", ("N", WIDTHS[name])))
    ]
    indices = numpy_helper.from_array(places(name), "places")
    graph = helper.make_graph(nodes, "own", ends[:1], ends[1:], [indices])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    helper.set_model_props(model, {f"fastfid.{key}": value for key, value in metadata.items()})
    onnx.save(model, path)
    return path


def expected(name):
    """What the tool's own transform gives at the samples of each shape, a row an image."""
    with np.load(GOLDEN / "preprocess.npz") as golden:
        return golden[name][: len(shapes(name))]


def samples(features):
    """Of the features of the images of all shapes, those that belong to each image's own samples."""
    count = RECIPE["SAMPLES"]
    return np.stack([row[i * count : (i + 1) * count] for i, row in enumerate(features)])


def images(name):
    return [RECIPE["image"](*shape) for shape in shapes(name)]


def save_images(folder, name, start=0):
    folder.mkdir()
    for i, image in enumerate(images(name)[start:]):
        Image.fromarray(image).save(folder / f"{i}.png")
    return folder


@pytest.mark.parametrize("name", WIDTHS)
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_by_code(tmp_path, name, layout):
    path = write_network(tmp_path / "own.onnx", name, layout=layout)
    for mode in (name, PRESETS[name], fastfid.Preprocessing.parse(name)):
        extractor = fastfid.Extractor(path, mode=mode, batch_size=2)
        np.testing.assert_array_equal(samples(extractor(images(name))), expected(name))
        assert extractor.provenance.mode == str(fastfid.Preprocessing.parse(name))


@pytest.mark.parametrize("name", WIDTHS)
def test_by_metadata(tmp_path, name):
    path = write_network(tmp_path / "own.onnx", name, mode=PRESETS[name])
    extractor = fastfid.Extractor(path, batch_size=2)
    np.testing.assert_array_equal(samples(extractor(images(name))), expected(name))
    sets = save_images(tmp_path / "a", name), save_images(tmp_path / "b", name, 1)
    result = fastfid.compare(*sets, model=path)
    assert any("own.onnx states its own preprocessing, which is applied: size=224" in note for note in result.notes)
    with pytest.raises(fastfid.ModelError, match="exported for mode size=224"):
        fastfid.Extractor(path, mode="clean")


def test_a_default_that_is_given_is_a_value(tmp_path, capsys):
    path = write_network(tmp_path / "own.onnx", "clip", mode="clip")
    assert fastfid.Extractor(path).mode == str(fastfid.Preprocessing.parse("clip"))
    with pytest.raises(fastfid.ModelError, match="exported for mode clip, and mode pytorch was asked for"):
        fastfid.Extractor(path, mode="pytorch")
    with pytest.raises(fastfid.ModelError, match="2048 were asked for"):
        fastfid.Extractor(path, dims=2048)
    sets = str(save_images(tmp_path / "a", "clip")), str(save_images(tmp_path / "b", "clip", 1))
    assert main([*sets, "--model", str(path), "--quiet"]) == 0
    for option in (["--mode", "pytorch"], ["--dims", "2048"]):
        assert main([*sets, "--model", str(path), *option]) == 1
        assert "asked for" in capsys.readouterr().err
    with pytest.raises(fastfid.ModelError, match="exported for mode clip"):
        networks.export(path, tmp_path / "copy.onnx", mode="pytorch")
    assert networks.load(networks.export(path, tmp_path / "copy.onnx")).mode == "clip"


def test_on_the_command_line(tmp_path, capsys):
    path = write_network(tmp_path / "own.onnx", "dinov2")
    a, b = save_images(tmp_path / "a", "dinov2"), save_images(tmp_path / "b", "dinov2", 2)
    assert main([str(a), str(b), "--model", str(path), "--mode", SPEC, "--json", "--quiet"]) == 0
    result = json.loads(capsys.readouterr().out)
    extractor = fastfid.Extractor(path, mode="dinov2")
    both = (extractor(images("dinov2")), extractor(images("dinov2")[2:]))
    assert result["fid"] == pytest.approx(fastfid.frechet_distance_from_features(*both), rel=1e-9)
    assert result["provenance"]["mode"] == str(fastfid.Preprocessing.parse("dinov2"))
    for mode in ("dinov3", "size=224", "size=224 resize=cubic"):
        with pytest.raises(SystemExit) as caught:
            main([str(a), str(b), "--model", str(path), "--mode", mode])
        assert caught.value.code == 2
    assert "resize must be one of" in capsys.readouterr().err


def test_a_mode_is_written_into_a_copy(tmp_path, capsys):
    path = write_network(tmp_path / "own.onnx", "clip")
    assert main(["models", "export", str(path), str(tmp_path / "copy.onnx"), "--mode", "clip"]) == 0
    before, after = networks.load(path), networks.load(tmp_path / "copy.onnx")
    assert (after.sha256, after.name, after.mode) == (before.sha256, "own.onnx", "clip")
    extractor = fastfid.Extractor(tmp_path / "copy.onnx", batch_size=2)
    np.testing.assert_array_equal(samples(extractor(images("clip"))), expected("clip"))


def test_statistics_fit_where_the_preprocessing_is_the_same(tmp_path):
    stated = write_network(tmp_path / "stated.onnx", "clip", mode=f"{PRESETS['clip']} layout=NCHW", weights_sha256="1")
    silent = write_network(tmp_path / "silent.onnx", "clip", weights_sha256="1")
    one = fastfid.statistics(images("clip"), model=stated)
    same = fastfid.statistics(images("clip")[1:], model=silent, mode="clip")
    other = fastfid.statistics(images("clip")[1:], model=silent, mode=PRESETS["clip"].replace("bicubic", "bilinear"))
    assert np.isfinite(fastfid.score(one, same))
    with pytest.raises(fastfid.StatisticsMismatch, match=r"mode size=224 resize=bicubic .* size=224 resize=bilinear"):
        fastfid.score(one, other)


def test_an_extractor_with_a_mode_of_its_own_fits_every_way_to_say_it(tmp_path):
    extractor = fastfid.Extractor(write_network(tmp_path / "own.onnx", "clip"), mode="clip")
    for mode in ("clip", PRESETS["clip"], fastfid.Preprocessing.parse("clip")):
        assert fastfid.statistics(images("clip"), model=extractor, mode=mode).n == len(images("clip"))
    with pytest.raises(fastfid.InputError, match="mode="):
        fastfid.statistics(images("clip"), model=extractor, mode="dinov2")


def test_what_does_not_fit(tmp_path):
    path = write_network(tmp_path / "own.onnx", "clip")
    with pytest.raises(fastfid.ModelError, match="size 256x256 does not fit"):
        fastfid.Extractor(path, mode="size=256 resize=bicubic")
    with pytest.raises(fastfid.ModelError, match="not in layout NHWC"):
        fastfid.Extractor(path, mode=f"{PRESETS['clip']} layout=NHWC")
    with pytest.raises(fastfid.ModelError, match=r"metadata fastfid\.mode cannot be read: .*'corner'"):
        fastfid.Extractor(write_network(tmp_path / "bad.onnx", "clip", mode="size=224 corner=224"))
    with pytest.raises(fastfid.ModelError, match="size 224x224 does not fit"):
        fastfid.Extractor("inception-v3-random", dims=64, mode="clip")


def test_a_layout_that_the_file_does_not_state_is_the_users(tmp_path):
    path = write_network(tmp_path / "own.onnx", "clip", layout="NHWC", mode="clip")
    model = onnx.load(path)
    for axis, name in enumerate("NHWC"):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name
    onnx.save(model, path)
    extractor = fastfid.Extractor(path, mode=f"{PRESETS['clip']} layout=NHWC", batch_size=2)
    np.testing.assert_array_equal(samples(extractor(images("clip"))), expected("clip"))
    stated = write_network(tmp_path / "stated.onnx", "clip", mode=f"{PRESETS['clip']} layout=NCHW")
    with pytest.raises(fastfid.ModelError, match="says its layout is NCHW, not NHWC"):
        fastfid.Extractor(stated, mode=f"{PRESETS['clip']} layout=NHWC")


def test_an_export_that_nothing_could_use(tmp_path):
    for mode in ("clip", "size=299 resize=bicubic layout=NHWC"):
        with pytest.raises(fastfid.InputError, match="takes NCHW images of 299x299"):
            networks.export("inception-v3-random", tmp_path / "out.onnx", dims=64, mode=mode)
    with pytest.raises(fastfid.InputError, match=r"must end in \.onnx"):
        networks.export("inception-v3-random", tmp_path / "out.bin", dims=64)
    path = write_network(tmp_path / "own.onnx", "clip", dims="2048")
    with pytest.raises(fastfid.ModelError, match="says that it gives 2048 dims, and gives 512"):
        fastfid.Extractor(path, mode="clip")


def test_an_open_image_size_comes_from_the_mode(tmp_path):
    path = write_network(tmp_path / "own.onnx", "clip", size=("H", "W"))
    extractor = fastfid.Extractor(path, mode="clip", batch_size=2)
    np.testing.assert_array_equal(samples(extractor(images("clip"))), expected("clip"))


def test_a_silent_file_is_told_of(tmp_path):
    path = write_network(tmp_path / "own.onnx", "clip")
    result = fastfid.compare(images("clip"), images("clip")[1:], model=path)
    assert any("does not state its preprocessing: mode pytorch is applied" in note for note in result.notes)


def test_an_image_that_the_preprocessing_cannot_take_is_named(tmp_path):
    path = write_network(tmp_path / "own.onnx", "clip")
    folder = save_images(tmp_path / "set", "clip")
    Image.new("RGB", (4000, 1)).save(folder / "thin.png")
    with pytest.raises(fastfid.ImageError, match=r"thin\.png"):
        fastfid.statistics(folder, model=path, mode="clip")
    assert fastfid.statistics(folder, model=path, mode="clip", on_error="skip").n == len(images("clip"))
