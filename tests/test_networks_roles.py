"""Several outputs of one graph: each role against its own oracle, and against a graph with only this role."""

import hashlib

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import fastfid
from fastfid import networks
from fastfid.errors import InputError, ModelError
from fastfid.extraction.session import Session
from fastfid.messages import Messages
from fastfid.networks import inception, pruning
from fastfid.networks.half import to_half
from fastfid.networks.random import random_weights
from fastfid.networks.roles import ROLES, check_roles
from test_networks_inception import images

ALL = ("features", *ROLES)
# Of the graph that was built before there were roles: exported files are recognised by it.
FROZEN = "124ae95ee721e28be9fd4ebf73e05f4e058766e18d521c9e02bd5969bce4c63f"


@pytest.fixture(scope="module")
def weights():
    """Of the random network, with a bias that shows where it is added."""
    bias = np.random.RandomState(5).standard_normal(1008).astype(np.float32)
    return {**random_weights(), "fc.bias": bias}


def serialised(weights, dims, roles, **options):
    return inception.build(weights, dims, {}, roles=roles, **options).SerializeToString()


def run(data, batch=None):
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"images": images() if batch is None else batch}), strict=True))


@pytest.fixture(scope="module")
def every(weights):
    return run(serialised(weights, 2048, ALL))


class TestOracles:
    def test_shapes(self, every):
        dims = {"features": 2048, "logits": 1008, "logits_unbiased": 1008, "spatial": 2023}
        dims |= {f"features_{tap}": tap for tap in (64, 192, 768, 2048)}
        assert {role: rows.shape for role, rows in every.items()} == {role: (2, d) for role, d in dims.items()}
        assert {rows.dtype for rows in every.values()} == {np.dtype(np.float32)}

    def test_logits(self, every, weights):
        pooled = every["features_2048"].astype(np.float64)
        unbiased = pooled @ weights["fc.weight"].T.astype(np.float64)
        for role, expected in (("logits_unbiased", unbiased), ("logits", unbiased + weights["fc.bias"])):
            assert np.abs(every[role] - expected).max() <= 1e-5 * np.abs(expected).max()
        assert np.abs(every["logits"] - every["logits_unbiased"]).max() > 1  # the bias is at work

    def test_spatial(self, every, weights):
        """The first seven channels of the whole Mixed_6d, flattened as ADM does: y, x, channel."""
        model = onnx.load_model_from_string(serialised(weights, 768, ["features"]))
        model.graph.output.append(helper.make_tensor_value_info("Mixed_6d", TensorProto.FLOAT, None))
        whole = run(model.SerializeToString())["Mixed_6d"]
        assert whole.shape == (2, 768, 17, 17)
        expected = np.stack([whole[:, c, y, x] for y in range(17) for x in range(17) for c in range(7)], axis=1)
        np.testing.assert_array_equal(every["spatial"], expected)
        assert (expected > 0).any()
        assert (expected >= 0).all()  # after its ReLU

    @pytest.mark.parametrize("role", ALL)
    def test_the_same_bits_alone(self, every, weights, role):
        np.testing.assert_array_equal(run(serialised(weights, 2048, [role]))[role], every[role])

    @pytest.mark.parametrize("dims", [64, 192, 768, 1008, 2048])
    def test_features_are_the_tap_that_dims_names(self, every, weights, dims):
        twin = "logits" if dims == 1008 else f"features_{dims}"
        found = run(serialised(weights, dims, ["features", twin]))
        np.testing.assert_array_equal(found["features"], every[twin])
        np.testing.assert_array_equal(found["features"], found[twin])


class TestGraph:
    def test_features_alone_are_the_graph_as_it_always_was(self):
        assert hashlib.sha256(serialised(random_weights(), 64, ["features"])).hexdigest() == FROZEN
        assert hashlib.sha256(networks.load("inception-v3-random", dims=64).onnx).hexdigest() == FROZEN

    def test_only_what_is_needed(self, weights):
        def convolutions(dims, roles):
            model = inception.build(weights, dims, {}, roles=roles)
            onnx.checker.check_model(model, full_check=True)
            used = {name for node in model.graph.node for name in node.input}
            assert {weight.name for weight in model.graph.initializer} <= used
            return sum(node.op_type == "Conv" for node in model.graph.node)

        assert convolutions(2048, ["features_64"]) == 3
        assert convolutions(64, ["features", "features_192"]) == 5
        assert convolutions(2048, ["spatial"]) == 5 + 3 * 7 + 4 + 2 * 10 + 1
        assert convolutions(64, ["features", "logits"]) == 94
        assert convolutions(2048, ALL) == 94

    def test_what_several_need_is_there_once(self, weights):
        graph = inception.build(weights, 2048, {}, roles=ALL).graph
        count = {op: sum(node.op_type == op for node in graph.node) for op in ("GlobalAveragePool", "Identity", "Gemm")}
        assert count == {"GlobalAveragePool": 4, "Identity": 1, "Gemm": 2}
        names = [weight.name for weight in graph.initializer]
        assert len(names) == len(set(names))

    def test_shape_inference_agrees_with_what_is_declared(self, weights):
        model = inception.build(weights, 2048, {}, roles=ALL)
        declared = [output.type.tensor_type.shape.dim[1].dim_value for output in model.graph.output]
        for output in model.graph.output:
            output.type.tensor_type.ClearField("shape")
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
        assert [output.type.tensor_type.shape.dim[1].dim_value for output in inferred.graph.output] == declared

    def test_an_average_in_the_last_block_changes_what_comes_after_it(self, every, weights):
        roles = [role for role in ALL if "logits" not in role]
        found = run(serialised(weights, 2048, roles, last_pool="average"))
        same = {role for role in roles if (found[role] == every[role]).all()}
        assert same == {"features_64", "features_192", "features_768", "spatial"}

    def test_half_precision(self, every, weights):
        data = to_half(serialised(weights, 2048, ALL), "net")
        onnx.checker.check_model(onnx.load_model_from_string(data), full_check=True)
        found = run(data)
        assert found.keys() == every.keys()
        for role, rows in found.items():
            assert rows.dtype == np.float32
            assert 0 < np.abs(rows - every[role]).max() < 1e-2 * np.abs(every[role]).max(), role


class TestLoad:
    def test_by_name(self):
        network = networks.load("inception-v3-random", dims=192, roles=("spatial", "features", "features"))
        outputs = onnx.load_model_from_string(network.onnx).graph.output
        assert [output.name for output in outputs] == ["features", "spatial"]
        assert network.dims == 192

    def test_the_cache_tells_roles_apart(self, tmp_path, monkeypatch):
        monkeypatch.setenv("FASTFID_HOME", str(tmp_path))
        both = ("features_64", "features")
        first = [networks.load("inception-v3-random", dims=64, roles=roles) for roles in (("features",), both)]
        assert first[0].onnx != first[1].onnx
        monkeypatch.setattr("fastfid.networks.random.random_weights", lambda: pytest.fail("built again"))
        again = [networks.load("inception-v3-random", dims=64, roles=roles) for roles in (("features",), both[::-1])]
        assert again == first

    @pytest.mark.parametrize("roles", ["features", (), ("features", 3), 5, b"ab", [""], [["features"]]])
    def test_what_is_no_list_of_names(self, roles):
        with pytest.raises(InputError, match="roles must be one or more names, as in"):
            networks.load("inception-v3-random", roles=roles)

    def test_a_role_that_inception_has_not(self):
        with pytest.raises(
            ModelError, match=r"inception-v3 has no output 'probabilities'; it has features, features_64"
        ):
            networks.load("inception-v3-random", dims=64, roles=("probabilities",))

    def test_before_a_file_is_looked_for(self):
        with pytest.raises(ModelError, match="has no output 'more'"):
            networks.load("inception-v3", roles=("features", "more"))
        with pytest.raises(ModelError, match=r"Keras' weights has no output 'logits' \(these weights have no layer of"):
            networks.load("inception-v3-keras", mode="keras", roles=("features", "logits"))
        with pytest.raises(ModelError, match="has no output 'logits_unbiased'.*; it has .*features_2048, spatial$"):
            networks.load("inception-v3-keras", mode="keras", roles=("logits_unbiased",))

    def test_order_and_copies_do_not_matter(self):
        assert check_roles(["b", "a", "b"]) == ("a", "b")


def vi(name, *shape, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def foreign(nodes, outputs, weights=(), **options):
    """A serialised network of somebody else's, from `images` (N, 3, 8, 8)."""
    given = [numpy_helper.from_array(np.asarray(value), name) for name, value in dict(weights).items()]
    graph = helper.make_graph(nodes, "own", [vi("images", "N", 3, 8, 8)], outputs, given, **options)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    return model.SerializeToString()


def node(op, inputs, output, **attributes):
    return helper.make_node(op, inputs, [output], **attributes)


MEAN = node("ReduceMean", ["images"], "features", axes=[2, 3], keepdims=0)
HIGHEST = node("ReduceMax", ["images"], "highest", axes=[2, 3], keepdims=0)
FAILING = node("Reshape", ["highest", "seven"], "failing")  # when it runs, for no image has seven values
SEVEN = {"seven": np.array([-1, 7])}


class TestForeign:
    def load(self, path, data, roles):
        path.write_bytes(data)
        network = networks.load(path, roles=roles)
        return Session(
            network.onnx, network.name, device="cpu", precision="fp32", batch_size=2, messages=Messages(), roles=roles
        )

    def results(self, session):
        lane = session.borrow()
        lane.images[...] = np.random.RandomState(0).standard_normal((2, 3, 8, 8))
        return lane.images, session.run(lane)

    def test_outputs_are_taken_by_their_names(self, tmp_path):
        data = foreign([MEAN, HIGHEST], [vi("features", "N", 3), vi("highest", "N", "D")])
        session = self.load(tmp_path / "own.onnx", data, ("features", "highest"))
        assert session.roles == {"features": 3, "highest": 3}
        x, found = self.results(session)
        assert found.keys() == {"features", "highest"}
        np.testing.assert_allclose(found["features"], x.mean((2, 3)), atol=1e-6)
        np.testing.assert_array_equal(found["highest"], x.max((2, 3)))

    def test_what_is_not_asked_for_is_not_computed(self, tmp_path):
        outputs = [
            vi("failing", "N", 7),
            vi("highest", "N", 3),
            vi("text", "N", kind=TensorProto.STRING),
            vi("features", "N", 3),
        ]
        text = node("Cast", ["seven"], "text", to=TensorProto.STRING)
        data = foreign([HIGHEST, FAILING, text, MEAN], outputs, SEVEN)
        session = self.load(tmp_path / "own.onnx", data, ("features",))
        x, found = self.results(session)
        assert found.keys() == {"features"}
        np.testing.assert_allclose(found["features"], x.mean((2, 3)), atol=1e-6)
        session = self.load(tmp_path / "own.onnx", data, ("highest",))
        assert self.results(session)[1].keys() == {"highest"}
        with pytest.raises(ModelError, match="cannot run the model"):
            self.results(self.load(tmp_path / "own.onnx", data, ("failing", "features")))
        with pytest.raises(ModelError, match=r"output 'text' is tensor\(string\)"):
            self.load(tmp_path / "own.onnx", data, ("text", "features"))

    def test_one_that_is_not_there(self, tmp_path):
        data = foreign([MEAN, HIGHEST], [vi("features", "N", 3), vi("highest", "N", 3)])
        with pytest.raises(ModelError, match=r"own\.onnx has no output 'logits'; it has features, highest"):
            self.load(tmp_path / "own.onnx", data, ("features", "logits"))
        alone = foreign([MEAN], [vi("features", "N", 3)])
        with pytest.raises(ModelError, match=r"own\.onnx has no output 'logits'; it has features"):
            self.load(tmp_path / "own.onnx", alone, ("features", "logits"))

    def test_none_that_is_called_features(self, tmp_path):
        twice = node("Add", ["highest", "highest"], "twice")
        data = foreign([HIGHEST, twice], [vi("highest", "N", 3), vi("twice", "N", 3)])
        (tmp_path / "own.onnx").write_bytes(data)
        with pytest.raises(ModelError, match=r"own\.onnx has no output 'features'; it has highest, twice"):
            fastfid.Extractor(tmp_path / "own.onnx")

    def test_a_single_one_is_the_features_whatever_its_name(self, tmp_path):
        data = foreign([HIGHEST], [vi("highest", "N", 3)])
        session = self.load(tmp_path / "own.onnx", data, ("features",))
        x, found = self.results(session)
        np.testing.assert_array_equal(found["features"], x.max((2, 3)))
        x, found = self.results(self.load(tmp_path / "own.onnx", data, ("features", "highest")))
        np.testing.assert_array_equal(found["features"], found["highest"])

    def test_identity_is_the_files_whatever_is_asked_for(self, tmp_path):
        data = foreign([MEAN, HIGHEST], [vi("features", "N", 3), vi("highest", "N", 3)])
        (tmp_path / "own.onnx").write_bytes(data)
        loaded = [networks.load(tmp_path / "own.onnx", roles=roles) for roles in (("features",), ("highest",), None)]
        assert {network.sha256 for network in loaded} == {hashlib.sha256(data).hexdigest()}
        assert loaded[2].onnx == data
        copy = networks.export(tmp_path / "own.onnx", tmp_path / "copy.onnx", mode="clip")
        assert [output.name for output in onnx.load(copy).graph.output] == ["features", "highest"]
        assert networks.load(copy, mode="clip").sha256 == loaded[0].sha256


class TestPrune:
    def test_what_a_branch_takes_from_outside_stays(self):
        def branch(name):
            inner = [
                node("Add", [name, "one"], "sum"),
                node("If", ["yes"], "b", then_branch=leaf(), else_branch=leaf()),
            ]
            return helper.make_graph(inner, "branch", [], [vi("b", "N", 3)])

        def leaf():
            return helper.make_graph([node("Identity", ["deep"], "leaf")], "leaf", [], [vi("leaf", "N", 3)])

        nodes = [
            node("ReduceMean", ["images"], "mean", axes=[2, 3], keepdims=0),
            HIGHEST,
            node("Neg", ["mean"], "deep"),
            FAILING,
            node("If", ["yes"], "features", then_branch=branch("mean"), else_branch=branch("mean")),
        ]
        weights = {**SEVEN, "one": np.ones(3, np.float32), "yes": np.array(True), "unused": np.zeros(9, np.float32)}
        data = foreign(
            nodes, [vi("features", "N", 3), vi("failing", "N", 7)], weights, value_info=[vi("highest", "N", 3)]
        )
        kept = pruning.with_outputs(data, {"features"})
        graph = onnx.load_model_from_string(kept).graph
        assert [n.output[0] for n in graph.node] == ["mean", "deep", "features"]
        assert [weight.name for weight in graph.initializer] == ["one", "yes"]
        assert len(graph.value_info) == 0
        x = np.random.RandomState(0).standard_normal((2, 3, 8, 8)).astype(np.float32)
        np.testing.assert_allclose(run(kept, x)["features"], -x.mean((2, 3)), atol=1e-6)

    def test_inputs_and_outputs_that_are_left_out(self):
        """They have the empty name, which is no tensor."""
        nodes = [
            helper.make_node("Dropout", ["images"], ["unneeded", ""]),
            node("Clip", ["images", "", "one"], "clipped"),
            node("ReduceMean", ["clipped"], "features", axes=[2, 3], keepdims=0),
        ]
        data = foreign(nodes, [vi("features", "N", 3)], {"one": np.float32(1)})
        kept = pruning.with_outputs(data, {"features"})
        assert [n.op_type for n in onnx.load_model_from_string(kept).graph.node] == ["Clip", "ReduceMean"]

    def test_weights_listed_among_the_inputs_stay(self):
        """As exporters did up to IR version 3: without a value they would be inputs to be fed."""
        model = onnx.load_model_from_string(
            foreign([HIGHEST, FAILING, MEAN], [vi("features", "N", 3), vi("failing", "N", 7)], SEVEN)
        )
        model.graph.input.append(vi("seven", 2, kind=TensorProto.INT64))
        kept = pruning.with_outputs(model.SerializeToString(), {"features"})
        session = onnxruntime.InferenceSession(kept, providers=["CPUExecutionProvider"])
        assert [value.name for value in session.get_inputs()] == ["images"]
