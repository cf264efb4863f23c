"""Sessions: half precision, layouts and sizes, running out of memory, page-locked buffers, the options for CUDA."""

import ctypes
import threading
import time
import warnings
import weakref

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import fastfid
from fastfid import networks
from fastfid.extraction import device as devices
from fastfid.extraction import lanes as lanes_module
from fastfid.extraction import runtime
from fastfid.extraction.accelerators import ACCELERATORS
from fastfid.extraction.session import Course, Session
from fastfid.messages import Messages
from fastfid.networks.half import to_half
from pictures import pictures


def network(nodes, weights=(), *, images=("N", 3, 8, 8), features=("N", 3)):
    """A serialised model with the input `images` and the output `features`."""
    given = [numpy_helper.from_array(np.asarray(array), name) for name, array in dict(weights).items()]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("images", images), ("features", features))
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], given)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10).SerializeToString()


def mean_of_channels(**shapes):
    axes = shapes.pop("axes", (2, 3))
    node = helper.make_node("ReduceMean", ["images"], ["features"], axes=list(axes), keepdims=0)
    return network([node], **shapes)


def two_outputs(**kinds):
    """`features`, the mean of each channel, and `more`, the largest values of each column."""
    model = onnx.load_model_from_string(mean_of_channels())
    model.graph.node.append(helper.make_node("ReduceMax", ["images"], ["highest"], axes=[1, 2], keepdims=0))
    kind = kinds.get("more", TensorProto.FLOAT)
    model.graph.node.append(helper.make_node("Cast", ["highest"], ["more"], to=kind))
    model.graph.output.append(helper.make_tensor_value_info("more", kind, ("N", "D")))
    return model.SerializeToString()


EXPECTED = {"features": lambda x: x.mean((2, 3)), "more": lambda x: x.max((1, 2))}


def open_session(model, *, batch_size=4, **options):
    settings = {"device": "cpu", "precision": "fp32", "messages": Messages(), **options}
    return Session(model, "net.onnx", batch_size=batch_size, **settings)


def run(session, images, course=None):
    lane = session.borrow()
    lane.images[...] = images
    results = session.run(lane, course)
    session.give_back(lane)
    return results["features"]


def noise(n, *shape):
    return np.random.RandomState(0).standard_normal((n, *shape)).astype(np.float32)


class TestInput:
    def test_an_open_size_is_filled_by_the_mode(self):
        model = mean_of_channels(images=("N", 3, "H", "W"))
        with pytest.raises(fastfid.ModelError, match=r"leaves the image size open.*size=224"):
            open_session(model)
        session = open_session(model, size=(6, 5))
        assert session.size == (6, 5)
        x = noise(4, 3, 6, 5)
        np.testing.assert_allclose(run(session, x), x.mean((2, 3)), atol=1e-6)

    def test_a_size_that_does_not_fit(self):
        with pytest.raises(fastfid.ModelError, match="size 9x8 does not fit"):
            open_session(mean_of_channels(), size=(9, 8))

    @pytest.mark.parametrize("shape", [("N", 8, 8, 3), ("N", "H", "W", "C")])
    def test_channels_last(self, shape):
        model = mean_of_channels(images=shape, axes=(1, 2))
        session = open_session(model, size=(8, 8), layout="NHWC")
        x = noise(4, 3, 8, 8)
        np.testing.assert_allclose(run(session, x), x.mean((2, 3)), atol=1e-6)

    def test_a_layout_that_does_not_fit(self):
        with pytest.raises(fastfid.ModelError, match="not in layout NHWC"):
            open_session(mean_of_channels(), layout="NHWC")


class TestLanes:
    def test_results_of_one_run_survive_the_next(self):
        session = open_session(mean_of_channels())
        first, second = session.borrow(), session.borrow()
        first.images[...], second.images[...] = 1, 2
        one, other = (session.run(lane)["features"] for lane in (first, second))
        first.images[...] = 3
        session.run(first)
        assert (one == 1).all()
        assert (other == 2).all()

    def test_lent_again(self):
        session = open_session(mean_of_channels())
        lent = {session.borrow(), session.borrow()}
        for lane in lent:
            session.give_back(lane)
        assert {session.borrow(), session.borrow()} == lent

    def test_no_more_are_kept_than_one_caller_needs(self):
        session = open_session(mean_of_channels())
        lent = [session.borrow() for _ in range(5)]
        for lane in lent:
            session.give_back(lane)
        assert len(session._lanes._idle) == 2

    def test_who_wants_one_too_many_waits(self):
        session = open_session(mean_of_channels())
        lent = [session.borrow() for _ in range(lanes_module.MOST_LANES)]
        got = []
        waiting = threading.Thread(target=lambda: got.append(session.borrow()))
        waiting.start()
        waiting.join(0.1)
        assert got == []
        session.give_back(lent[3])
        waiting.join(30)
        assert got == [lent[3]]

    @pytest.mark.parametrize("way", ["give_up", "wait"])
    def test_lanes_that_hang_do_not_stop_the_others(self, monkeypatch, way):
        monkeypatch.setattr(lanes_module, "_LONGEST_WAIT", 0.05 if way == "wait" else 600.0)
        session = open_session(mean_of_channels())
        lent = [session.borrow() for _ in range(lanes_module.MOST_LANES)]
        if way == "give_up":
            session.give_up(lent[0])
        lane = session.borrow()
        assert lane not in lent
        if way == "give_up":
            session.give_back(lent[0])  # a thread that ends after all
            assert lent[0] not in session._lanes._idle

    def test_for_few_images(self):
        session = open_session(mean_of_channels())
        assert [session.rows(n) for n in (None, 0, 1, 3, 4, 5)] == [4, 1, 1, 3, 4, 4]
        lane = session.borrow(3)
        x = noise(3, 3, 8, 8)
        lane.images[...] = x
        np.testing.assert_allclose(session.run(lane)["features"], x.mean((2, 3)), atol=1e-6)
        session.give_back(lane)
        assert len(session.borrow().images) == 4  # those of another size are let go
        assert session._lanes._idle == []

    def test_a_fixed_batch_is_always_full(self):
        session = open_session(mean_of_channels(images=(4, 3, 8, 8), features=(4, 3)))
        assert session.rows(1) == 4

    def test_more_than_memory(self):
        session = open_session(mean_of_channels(images=("N", 3, 99999, 99999)), batch_size=10**9)
        with pytest.raises(fastfid.DeviceError, match="out of memory: no buffer for 1000000000 images"):
            session.borrow()

    def test_what_is_bound_is_locked(self, monkeypatch):
        locked = []
        monkeypatch.setattr(devices, "pin", lambda array, device: locked.append(array))
        for model in (mean_of_channels(), mean_of_channels(images=("N", 8, 8, 3), axes=(1, 2))):
            session = open_session(model)
            session.device = "cuda:0"
            assert session.borrow().input() is locked.pop()

    def test_go_with_the_session(self):
        """By counting references alone: memory of a GPU cannot wait for the garbage collector."""
        session = open_session(mean_of_channels())
        run(session, 0)
        inner = weakref.ref(session._session)
        del session
        assert inner() is None


class TestSeveralOutputs:
    @pytest.mark.parametrize("roles", [("features", "more"), ("more", "features"), ("more",), ("features",)])
    @pytest.mark.parametrize("far", [False, True])
    def test_by_name(self, roles, far):
        session, x = open_session(two_outputs(), roles=roles), noise(4, 3, 8, 8)
        assert session.roles == {role: {"features": 3, "more": 8}[role] for role in roles}
        session._session = FarSession(session._session) if far else session._session
        session._lanes._idle.clear()  # a run has told the length of `more`
        lane = session.borrow()
        lane.images[...] = x
        results = session.run(lane)
        assert list(results) == list(roles)
        for role, rows in results.items():
            np.testing.assert_allclose(rows, EXPECTED[role](x), atol=1e-6)

    def test_results_of_one_run_survive_the_next(self):
        session = open_session(two_outputs(), roles=("features", "more"))
        lane = session.borrow()
        lane.images[...] = 1
        results = session.run(lane)
        lane.images[...] = 2
        session.run(lane)
        assert all((rows == 1).all() for rows in results.values())

    def test_of_another_type(self):
        session = open_session(two_outputs(more=TensorProto.DOUBLE), roles=("features", "more"))
        lane = session.borrow()
        lane.images[...] = x = noise(4, 3, 8, 8)
        more = session.run(lane)["more"]
        assert more.dtype == np.float32
        np.testing.assert_array_equal(more, EXPECTED["more"](x))
        with pytest.raises(fastfid.ModelError, match=r"net\.onnx: output 'more' is tensor\(int64\)"):
            open_session(two_outputs(more=TensorProto.INT64), roles=("features", "more"))

    def test_the_message_names_the_output(self):
        session = open_session(two_outputs(), roles=("features", "more"))
        session.roles = {**session.roles, "more": 7}
        with pytest.raises(fastfid.ModelError, match=r"output 'more' has shape \(4, 8\) for 4 images; .* \(N, 7\)"):
            run(session, 0)
        results = {"features": np.ones((2, 3), np.float32), "more": np.array([[1], [np.inf]], np.float32)}
        with pytest.raises(fastfid.ModelError, match="output 'more' has values that are infinite or NaN for b$"):
            session.check_finite(results, ["a", "b"])


class TestTurns:
    def test_one_run_at_a_time_on_a_cpu(self):
        session, inside, most = open_session(mean_of_channels()), [], []
        plain = session._session

        class Watched:
            def __getattr__(self, name):
                return getattr(plain, name)

            def run_with_iobinding(self, binding, options):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.01)
                plain.run_with_iobinding(binding, options)
                inside.pop()

        session._session = Watched()
        threads = [threading.Thread(target=run, args=(session, 0)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert most == [1] * 6

    def test_who_waits_can_be_stopped(self):
        session = open_session(mean_of_channels())
        session._turns.acquire()
        course = Course(session)
        course.stop()
        with pytest.raises(fastfid.ModelError, match="was stopped"):
            session.run(session.borrow(), course)


class CopyingBinding:
    """A binding as it is for a GPU: the input is copied when it is bound."""

    def __init__(self, session):
        self.session = session

    def bind_cpu_input(self, name, array):
        self.feeds = {name: array.copy()}

    def bind_output(self, name, device):
        assert device == "cpu"
        self.names = [*getattr(self, "names", []), name]

    def copy_outputs_to_cpu(self):
        return self.outputs


class FarSession:
    """An ONNX Runtime session whose bindings copy."""

    def __init__(self, session):
        self.session = session

    def __getattr__(self, name):
        return getattr(self.session, name)

    def io_binding(self):
        return CopyingBinding(self.session)

    def run_with_iobinding(self, binding, options):
        binding.outputs = self.session.run(binding.names, binding.feeds, options)


@pytest.mark.parametrize("shape", [("N", 3, 8, 8), ("N", 8, 8, 3)])
def test_every_run_sees_the_images_as_they_are_then(shape):
    session = open_session(mean_of_channels(images=shape, axes=(2, 3) if shape[1] == 3 else (1, 2)))
    session._session = FarSession(session._session)
    for seed in range(3):
        x = np.random.RandomState(seed).standard_normal((4, 3, 8, 8)).astype(np.float32)
        np.testing.assert_allclose(run(session, x), x.mean((2, 3)), atol=1e-6)


class Scarce:
    """An ONNX Runtime session on a device that holds only so many images."""

    def __init__(self, session, most, whole=4):
        self.session, self.most, self.whole, self.tried = session, most, whole, []

    def __getattr__(self, name):
        return getattr(self.session, name)

    def _check(self, n):
        self.tried.append(n)
        if n > self.most:
            raise RuntimeError("[E:onnxruntime] Failed to allocate memory for requested buffer of size 1048576")

    def run_with_iobinding(self, binding, options):
        self._check(self.whole)
        self.session.run_with_iobinding(binding, options)

    def run(self, names, feeds, options):
        self._check(len(feeds["images"]))
        return self.session.run(names, feeds, options)


class TestOutOfMemory:
    def scarce(self, most, **options):
        session = open_session(mean_of_channels(**options))
        session._session = Scarce(session._session, most)
        return session

    @pytest.mark.parametrize(("most", "chunk", "tried"), [(2, 2, [4, 2, 2]), (1, 1, [4, 2, 1, 1, 1, 1]), (4, 4, [4])])
    def test_halves_the_batch_and_goes_on(self, most, chunk, tried):
        session, x = self.scarce(most), noise(4, 3, 8, 8)
        course = Course(session)
        np.testing.assert_allclose(run(session, x, course), x.mean((2, 3)), atol=1e-6)
        assert (course.chunk, session._session.tried) == (chunk, tried)
        run(session, x, course)
        assert session._session.tried[len(tried) :] == [chunk] * (4 // chunk)  # not tried again in this stream

    @pytest.mark.parametrize(
        "error",
        [
            RuntimeError(
                "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Exception during initialization: std::bad_alloc"
            ),
            RuntimeError("std::bad_array_new_length"),
            RuntimeError("CUBLAS_STATUS_ALLOC_FAILED"),
            MemoryError("std::bad_alloc"),
            MemoryError(),
        ],
    )
    def test_however_it_is_said(self, error):
        session, x = open_session(mean_of_channels()), noise(4, 3, 8, 8)
        plain = session._session

        class Failing(FarSession):
            def io_binding(self):
                return plain.io_binding()

            def run_with_iobinding(self, binding, options):
                raise error

        session._session = Failing(plain)
        course = Course(session)
        np.testing.assert_allclose(run(session, x, course), x.mean((2, 3)), atol=1e-6)
        assert course.chunk == 2

    def test_an_odd_batch_is_padded(self):
        session = open_session(mean_of_channels(), batch_size=5)
        session._session, x = Scarce(session._session, 3, whole=5), noise(5, 3, 8, 8)
        np.testing.assert_allclose(run(session, x), x.mean((2, 3)), atol=1e-6)
        assert session._session.tried == [5, 3, 3]

    def test_one_image_too_many(self):
        with pytest.raises(fastfid.DeviceError, match="out of memory on cpu with batches of 1"):
            run(self.scarce(0), 0)

    def test_a_fixed_batch_cannot_be_halved(self):
        with pytest.raises(fastfid.DeviceError, match="batches of 4"):
            run(self.scarce(2, images=(4, 3, 8, 8), features=(4, 3)), 0)

    def test_other_failures_are_not_taken_for_it(self):
        session = open_session(mean_of_channels())
        session._session = Scarce(session._session, 9)
        session._session.run_with_iobinding = lambda *_: 1 / 0
        with pytest.raises(fastfid.ModelError, match="cannot run the model: division by zero"):
            run(session, 0)

    def test_it_is_told(self, monkeypatch):
        extractor = fastfid.Extractor("inception-v3-random", dims=64, batch_size=4)
        whole = extractor(pictures(70))
        monkeypatch.setattr(extractor.opened.session, "_session", Scarce(extractor.opened.session._session, 2))
        with pytest.warns(fastfid.FastFIDWarning, match=r"out of memory on cpu .* run 2 at a time"):
            features = extractor(pictures(70))
        np.testing.assert_allclose(features, whole, atol=1e-6 * whole.max())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", fastfid.FastFIDWarning)
            result = fastfid.compare(pictures(70), pictures(70, seed=1), model=extractor)
        assert any("2 at a time" in text for text in result.warnings)

    def test_one_shortage_is_not_for_ever(self):
        """Where memory suffices again, whole batches are run again, and nothing is said."""
        extractor = fastfid.Extractor("inception-v3-random", dims=64, batch_size=4)
        extractor.opened.session._session = scarce = Scarce(extractor.opened.session._session, 2)
        with pytest.warns(fastfid.FastFIDWarning, match="2 at a time"):
            extractor(pictures(8))
        scarce.most, scarce.tried = 4, []
        extractor(pictures(8))
        assert scarce.tried == [4, 4]

    @pytest.mark.parametrize("roles", [("features", "more"), ("more", "features"), ("more",)])
    @pytest.mark.parametrize(("most", "tried"), [(5, [5]), (3, [5, 3, 3]), (1, [5, 3, 2, 1, 1, 1, 1, 1])])
    def test_outputs_stay_apart(self, roles, most, tried):
        session, x = open_session(two_outputs(), batch_size=5, roles=roles), noise(5, 3, 8, 8)
        session._session = Scarce(session._session, most, whole=5)
        lane, course = session.borrow(), Course(session)
        lane.images[...] = x
        results = session.run(lane, course)
        assert (course.chunk, session._session.tried) == (tried[-1], tried)
        assert list(results) == list(roles)
        for role, rows in results.items():
            np.testing.assert_allclose(rows, EXPECTED[role](x), atol=1e-6)
            assert rows.dtype == np.float32

    def test_when_the_model_is_opened(self, monkeypatch):
        def too_little(*_, **__):
            raise MemoryError("std::bad_alloc")

        monkeypatch.setattr(runtime.load(), "InferenceSession", too_little)
        with pytest.raises(fastfid.DeviceError, match="out of memory when the model was opened"):
            open_session(mean_of_channels())


class TestHalf:
    @pytest.fixture
    def both(self):
        whole = networks.load("inception-v3-random", dims=192).onnx
        return onnx.load_model_from_string(whole), onnx.load_model_from_string(to_half(whole, "net"))

    def test_float16_inside_float32_at_both_ends(self, both):
        whole, half = both
        onnx.checker.check_model(half, full_check=True)
        assert [v.type.tensor_type.elem_type for v in (half.graph.input[0], half.graph.output[0])] == [
            TensorProto.FLOAT
        ] * 2
        assert {w.data_type for w in half.graph.initializer} == {TensorProto.FLOAT16}
        assert len(half.graph.initializer) == len(whole.graph.initializer)
        inferred = onnx.shape_inference.infer_shapes(half)
        types = {v.name: v.type.tensor_type.elem_type for v in inferred.graph.value_info}
        by_op = {n.op_type: types.get(n.output[0]) for n in half.graph.node if n.op_type != "Cast"}
        assert by_op["Conv"] == by_op["MaxPool"] == TensorProto.FLOAT16
        assert by_op["GlobalAveragePool"] == TensorProto.FLOAT
        assert sum(n.op_type == "Cast" for n in half.graph.node) == 2
        assert half.metadata_props == whole.metadata_props

    @pytest.mark.filterwarnings("ignore:precision fp16 on a CPU:fastfid.FastFIDWarning")
    def test_features_within_what_float16_can(self):
        images = pictures(4)
        whole = fastfid.Extractor("inception-v3-random", dims=192, batch_size=4)(images)
        half = fastfid.Extractor("inception-v3-random", dims=192, batch_size=4, precision="fp16")(images)
        assert half.dtype == np.float32
        assert 0 < np.abs(half - whole).max() < 2e-3 * whole.max()  # float16 rounds at 5e-4
        assert (half.astype(np.float16) != half).any()  # not rounded at the end

    def test_recorded_and_warned_of_on_a_cpu(self):
        with pytest.warns(fastfid.FastFIDWarning, match="only rounds the weights"):
            extractor = fastfid.Extractor("inception-v3-random", dims=64, batch_size=4, precision="fp16")
        assert extractor.provenance.precision == "fp16"

    def test_mixtures_of_types(self):
        """One weight used on both sides, an output in half precision, a tensor used by both."""
        nodes = [
            helper.make_node("ReduceMean", ["images"], ["mean"], axes=[2, 3], keepdims=0),
            helper.make_node("Softplus", ["w"], ["kept"]),
            helper.make_node("MatMul", ["mean", "w"], ["product"]),
            helper.make_node("Add", ["product", "w0"], ["sum"]),
            helper.make_node("Abs", ["sum"], ["whole"]),
            helper.make_node("MatMul", ["whole", "kept"], ["last"]),
            helper.make_node("Add", ["last", "sum"], ["features"]),
        ]
        weights = {"w": noise(3, 3), "w0": noise(3)}
        model = network(nodes, weights)
        half = onnx.load_model_from_string(to_half(model, "net"))
        onnx.checker.check_model(half, full_check=True)
        x = noise(4, 3, 8, 8)
        found, expected = (run(open_session(m), x) for m in (half.SerializeToString(), model))
        np.testing.assert_allclose(found, expected, atol=5e-3)
        assert found.dtype == np.float32

    def test_weights_listed_among_the_inputs(self):
        """As exporters did up to IR version 3."""
        nodes = [
            helper.make_node("ReduceMean", ["images"], ["m"], axes=[2, 3], keepdims=0),
            helper.make_node("MatMul", ["m", "w"], ["features"]),
        ]
        model = onnx.load_model_from_string(network(nodes, {"w": noise(3, 3)}))
        model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, (3, 3)))
        half = open_session(to_half(model.SerializeToString(), "net"))
        x = noise(4, 3, 8, 8)
        np.testing.assert_allclose(run(half, x), x.mean((2, 3)) @ noise(3, 3), atol=5e-3)

    @pytest.mark.parametrize(
        ("nodes", "weights", "text"),
        [
            ([helper.make_node("ReduceMean", ["images"], ["features"], axes=[2, 3], keepdims=0)], {}, "gains nothing"),
            (
                [
                    helper.make_node("ReduceMean", ["images"], ["m"], axes=[2, 3], keepdims=0),
                    helper.make_node("MatMul", ["m", "w"], ["features"]),
                ],
                {"w": np.full((3, 3), 1e5, np.float32)},
                "w has values beyond the range of float16",
            ),
        ],
    )
    def test_what_cannot_be_halved(self, nodes, weights, text):
        with pytest.raises(fastfid.ModelError, match=text):
            to_half(network(nodes, weights), "net")


class TestCuda:
    def test_settings(self):
        cuda = ACCELERATORS["cuda"]
        assert cuda.select(3) == {"device_id": "3"}
        assert [cuda.settings(0, p, None)["use_tf32"] for p in ("fp32", "tf32", "fp16")] == ["0", "1", "0"]
        assert cuda.settings(0, "fp32", None)["cudnn_conv_algo_search"] == "HEURISTIC"  # never by timing
        assert {name: one.runs_at_once for name, one in ACCELERATORS.items() if one.runs_at_once > 1} == {"cuda": 2}

    def test_the_pipeline_of_a_gpu_on_the_cpu(self, monkeypatch):
        """Two runs at a time and more lanes give the same features in the same order."""
        extractor = fastfid.Extractor("inception-v3-random", dims=64, batch_size=4)
        expected = extractor(pictures(30))
        monkeypatch.setattr(extractor.opened.session, "runs_at_once", 2)
        np.testing.assert_array_equal(extractor(pictures(30)), expected)

    def test_tf32_needs_a_gpu(self):
        with pytest.raises(fastfid.InputError, match="tf32"):
            open_session(mean_of_channels(), precision="tf32")


class Driver:
    """Stands in for the CUDA driver: notes what is called, and answers 0 but for one function."""

    def __init__(self, failing=None):
        self.calls, self.failing = [], failing

    def __getattr__(self, name):
        def call(*arguments):
            self.calls.append(name)
            return 1 if name == self.failing else 0

        return call


weakref_finalize = weakref.finalize


class TestPin:
    def test_locked_while_the_array_lives(self, monkeypatch):
        driver = Driver()
        monkeypatch.setattr(devices.ctypes, "CDLL", lambda name: driver)
        array = np.zeros(4, np.float32)
        assert devices.pin(array, "cuda:0")
        assert driver.calls[-3:] == ["cuCtxPushCurrent_v2", "cuMemHostRegister_v2", "cuCtxPopCurrent_v2"]
        assert "cuMemHostUnregister" not in driver.calls
        del array
        assert driver.calls[-3:] == ["cuCtxPushCurrent_v2", "cuMemHostUnregister", "cuCtxPopCurrent_v2"]

    def test_not_unlocked_when_python_ends(self, monkeypatch):
        """In a forked process the driver must not be asked."""
        monkeypatch.setattr(devices.ctypes, "CDLL", lambda name: Driver())
        kept = []
        monkeypatch.setattr(devices.weakref, "finalize", lambda *a: kept.append(weakref_finalize(*a)) or kept[-1])
        array = np.zeros(4, np.float32)
        assert devices.pin(array, "cuda:0")
        assert not kept[0].atexit

    @pytest.mark.parametrize("failing", ["cuInit", "cuDeviceGet", "cuDevicePrimaryCtxRetain", "cuMemHostRegister_v2"])
    def test_refused(self, monkeypatch, failing):
        driver = Driver(failing)
        monkeypatch.setattr(devices.ctypes, "CDLL", lambda name: driver)
        array = np.zeros(4, np.float32)
        assert not devices.pin(array, "cuda:0")
        del array
        assert "cuMemHostUnregister" not in driver.calls

    def test_without_a_driver(self, monkeypatch):
        def no_library(name):
            raise OSError(name)

        monkeypatch.setattr(ctypes, "CDLL", no_library)
        assert not devices.pin(np.zeros(4, np.float32), "cuda:0")


def test_a_broken_model_is_a_model_error():
    with pytest.raises(fastfid.ModelError, match="cannot open the model"):
        open_session(b"no model")


def test_terminated_from_outside():
    session = open_session(mean_of_channels())
    course = Course(session)
    course.stop()
    with pytest.raises(fastfid.ModelError, match="terminate"):
        session.run(session.borrow(), course)
