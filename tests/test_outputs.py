"""Outputs of a user's own network: one finite row of floats for each image; anything else is an error."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import fastfid
from fastfid.extraction.session import Course
from pictures import folder, pictures
from test_session import Scarce, noise, open_session, run

node = helper.make_node


def write(path, nodes, *, out=("N", 3), kind=TensorProto.FLOAT, weights=(), images=("N", 3, 8, 8)):
    """A network from `images` to `features`."""
    given = [numpy_helper.from_array(np.asarray(value), name) for name, value in dict(weights).items()]
    ends = [
        helper.make_tensor_value_info("images", TensorProto.FLOAT, images),
        helper.make_tensor_value_info("features", kind, out),
    ]
    graph = helper.make_graph(nodes, "own", ends[:1], ends[1:], given)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)
    return path


def mean(name):
    return node("ReduceMean", ["images"], [name], axes=[2, 3], keepdims=0)


def row_per_pixel(path, **shapes):
    nodes = [node("Transpose", ["images"], ["t"], perm=[0, 2, 3, 1]), node("Reshape", ["t", "shape"], ["features"])]
    return write(path, nodes, weights={"shape": np.array([-1, 3])}, **shapes)


def one_row(path, **shapes):
    nodes = [mean("m"), node("ReduceMean", ["m"], ["features"], axes=[0], keepdims=1)]
    return write(path, nodes, **shapes)


def quotient(path):
    """Features that are NaN for images that are zero all over."""
    return write(path, [mean("m"), node("Div", ["m", "m"], ["features"])])


def root(path):
    """Features that are NaN for dark images."""
    return write(path, [mean("m"), node("Sqrt", ["m"], ["features"])])


class TestRows:
    @pytest.mark.parametrize("out", [("M", 3), ("M", "D"), ("N", 3), (512, 3), None])
    @pytest.mark.parametrize("model", [row_per_pixel, one_row])
    def test_another_number_than_images(self, tmp_path, model, out):
        path = model(tmp_path / "own.onnx", out=out)
        with pytest.raises(
            fastfid.ModelError, match=r"own\.onnx: output 'features' has shape .* for \d+ images; .*one row"
        ):
            fastfid.Extractor(path, batch_size=4)(pictures(8, 8))
        with pytest.raises(fastfid.ModelError, match="output 'features' has shape"):
            fastfid.score(pictures(8, 8), pictures(8, 8, seed=1), model=path)

    def test_another_length_than_declared(self, tmp_path):
        path = write(tmp_path / "own.onnx", [mean("features")], out=("N", "D"))
        assert fastfid.Extractor(path).dims == 3
        path = write(tmp_path / "own.onnx", [node("Flatten", ["images"], ["features"])], images=("N", 3, "H", "W"))
        with pytest.raises(fastfid.ModelError, match=r"has shape \(2, 192\) for 2 images; an extractor gives \(N, 3\)"):
            fastfid.Extractor(path, mode="size=8 resize=bicubic")(pictures(2, 8))

    @pytest.mark.parametrize("shape", [[-1], [-1, 3, 1], [1, -1, 3]])
    def test_another_rank(self, tmp_path, shape):
        nodes = [mean("m"), node("Reshape", ["m", "shape"], ["features"])]
        path = write(tmp_path / "own.onnx", nodes, weights={"shape": np.array(shape)}, out=None)
        with pytest.raises(fastfid.ModelError, match="output 'features' has shape"):
            fastfid.Extractor(path)

    def test_no_column(self, tmp_path):
        nodes = [mean("m"), node("Gather", ["m", "none"], ["features"], axis=1)]
        path = write(tmp_path / "own.onnx", nodes, weights={"none": np.zeros(0, np.int64)}, out=("N", "D"))
        with pytest.raises(fastfid.ModelError, match=r"has shape \(16, 0\)"):
            fastfid.Extractor(path)

    @pytest.mark.parametrize("model", [row_per_pixel, one_row])
    def test_in_parts(self, tmp_path, model):
        """Where memory does not suffice for the batch."""
        session = open_session(model(tmp_path / "own.onnx", out=("M", 3)).read_bytes())
        session._session = Scarce(session._session, 2)
        with pytest.raises(fastfid.ModelError, match=r"has shape .* for 2 images"):
            run(session, noise(4, 3, 8, 8), Course(session))


class TestType:
    @pytest.mark.parametrize(
        ("kind", "shown"),
        [
            (TensorProto.STRING, "string"),
            (TensorProto.INT64, "int64"),
            (TensorProto.UINT8, "uint8"),
            (TensorProto.BOOL, "bool"),
            (TensorProto.BFLOAT16, "bfloat16"),
        ],
    )
    def test_refused_before_any_run(self, tmp_path, kind, shown):
        path = write(tmp_path / "own.onnx", [mean("m"), node("Cast", ["m"], ["features"], to=kind)], kind=kind)
        with pytest.raises(fastfid.ModelError, match=rf"own\.onnx: output 'features' is tensor\({shown}\); .*float32"):
            fastfid.Extractor(path)

    def test_a_sequence_is_refused(self, tmp_path):
        path = write(tmp_path / "own.onnx", [mean("m"), node("SequenceConstruct", ["m"], ["features"])])
        model = onnx.load(path)
        model.graph.output[0].CopyFrom(helper.make_tensor_sequence_value_info("features", TensorProto.FLOAT, ("N", 3)))
        onnx.save(model, path)
        with pytest.raises(fastfid.ModelError, match=r"output 'features' is seq\(tensor\(float\)\)"):
            fastfid.Extractor(path)

    @pytest.mark.parametrize(("kind", "off"), [(TensorProto.DOUBLE, 0), (TensorProto.FLOAT16, 1e-3)])
    def test_other_floats_become_float32(self, tmp_path, kind, off):
        whole = fastfid.Extractor(write(tmp_path / "own.onnx", [mean("features")]))(pictures(5, 8))
        path = write(tmp_path / "own.onnx", [mean("m"), node("Cast", ["m"], ["features"], to=kind)], kind=kind)
        features = fastfid.Extractor(path, batch_size=2)(pictures(5, 8))
        assert features.dtype == np.float32
        np.testing.assert_allclose(features, whole, atol=off)

    def test_more_than_float32_holds(self, tmp_path):
        nodes = [mean("m"), node("Cast", ["m"], ["d"], to=TensorProto.DOUBLE), node("Mul", ["d", "huge"], ["features"])]
        path = write(tmp_path / "own.onnx", nodes, weights={"huge": np.float64(1e300)}, kind=TensorProto.DOUBLE)
        with pytest.raises(fastfid.ModelError, match="infinite or NaN"):
            fastfid.Extractor(path)(pictures(2, 8))


class TestFinite:
    def images(self, *dark):
        """Nine bright images, but for those."""
        images = pictures(9, 8, low=200)
        images[list(dark)] = 0
        return images

    def test_the_images_are_named(self, tmp_path):
        extractor = fastfid.Extractor(root(tmp_path / "own.onnx"), batch_size=4)
        assert np.isfinite(extractor(self.images())).all()
        where = "own.onnx: output 'features' has values that are infinite or NaN for image 6 of the array$"
        with pytest.raises(fastfid.ModelError, match=where):
            extractor(self.images(6))
        with pytest.raises(fastfid.ModelError, match="for image 4 .*, image 5 .*, image 6 of the array and 1 more"):
            extractor(self.images(4, 5, 6, 7))

    def test_with_on_error_skip_too(self, tmp_path):
        """It is the network that fails, not an image."""
        extractor = fastfid.Extractor(root(tmp_path / "own.onnx"), batch_size=4)
        with pytest.raises(fastfid.ModelError, match="image 8 of the array"):
            extractor(self.images(8), on_error="skip")

    @pytest.mark.parametrize("n", [5, 9])
    def test_rows_that_only_fill_the_batch_do_not_count(self, tmp_path, n):
        extractor = fastfid.Extractor(quotient(tmp_path / "own.onnx"), batch_size=4)
        np.testing.assert_array_equal(extractor(pictures(n, 8)), 1)

    def test_nor_do_they_in_a_fixed_batch(self, tmp_path):
        nodes = [mean("m"), node("Div", ["m", "m"], ["features"])]
        path = write(tmp_path / "own.onnx", nodes, images=(4, 3, 8, 8), out=(4, 3))
        np.testing.assert_array_equal(fastfid.Extractor(path)(pictures(2, 8)), 1)

    def test_nor_do_images_left_out(self, tmp_path):
        path = folder(tmp_path / "set", pictures(4, 8))
        (path / "002.png").write_bytes(b"no image")
        extractor = fastfid.Extractor(quotient(tmp_path / "own.onnx"), batch_size=4)
        with pytest.warns(fastfid.FastFIDWarning, match=r"1 image left out: .*002\.png"):
            np.testing.assert_array_equal(extractor(path, on_error="skip"), np.ones((3, 3)))

    def test_nor_what_fills_the_last_part(self, tmp_path):
        session = open_session(quotient(tmp_path / "own.onnx").read_bytes(), batch_size=5)
        session._session = Scarce(session._session, 3, whole=5)
        np.testing.assert_array_equal(run(session, noise(5, 3, 8, 8)), 1)
