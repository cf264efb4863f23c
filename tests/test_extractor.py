"""The stream from images to features: batching, order, workers, faults, foreign ONNX models, devices."""

import copy
import multiprocessing
import pickle
import threading
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import fastfid
from fastfid.extraction import device as devices
from fastfid.extraction.accelerators import ACCELERATORS
from fastfid.extractor import Tally
from fastfid.messages import Messages
from fastfid.sources import open_source
from pictures import folder, pictures


@pytest.fixture(scope="module")
def extractor():
    return fastfid.Extractor("inception-v3-random", dims=64, batch_size=4)


def write_onnx(path, *, shape=("N", 3, 8, 8), out=("N", 3), inputs=1, dtype=TensorProto.FLOAT, axes=(2, 3)):
    """A network that averages over space: three features, the mean of each channel."""
    mean = helper.make_node("ReduceMean", ["images"], ["features"], axes=list(axes), keepdims=0)
    values = [helper.make_tensor_value_info(n, dtype, shape) for n in ("images", "more")[:inputs]]
    output = helper.make_tensor_value_info("features", dtype, out)
    graph = helper.make_graph([mean], "mean", values, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, path)
    return path


def test_features_do_not_depend_on_how_many_images_came_last(extractor):
    images = pictures(9)
    whole = extractor(images)
    assert whole.shape == (9, 64)
    assert whole.dtype == np.float32
    for n in (4, 5, 8):
        np.testing.assert_array_equal(extractor(images[:n]), whole[:n])
    for n in (1, 3):  # less than a batch is run as it is
        np.testing.assert_allclose(extractor(images[:n]), whole[:n], atol=1e-6 * whole.max())


def test_features_agree_across_batch_sizes(extractor):
    images = pictures(7)
    other = fastfid.Extractor("inception-v3-random", dims=64, batch_size=3)
    whole = extractor(images)
    np.testing.assert_allclose(other(images), whole, atol=1e-6 * np.abs(whole).max())


@pytest.mark.parametrize("workers", [0, 1, 2, 5])
def test_order_and_bits_do_not_depend_on_the_workers(extractor, workers):
    images = pictures(11)
    batches = extractor.stream(open_source(images), num_workers=workers)
    np.testing.assert_array_equal(np.concatenate(list(batches)), extractor(images))


def test_a_large_set_streams_in_batches(extractor):
    drawn = []

    def generate():
        for image in pictures(20):
            drawn.append(1)
            yield image

    stream = extractor.stream(open_source(generate()))
    assert next(stream).shape == (4, 64)
    assert len(drawn) <= 8  # two batches in flight, no more
    stream.close()


def test_leaves_no_thread_behind(extractor):
    before = threading.active_count()
    stream = extractor.stream(open_source(pictures(20)))
    next(stream)
    stream.close()
    assert threading.active_count() == before


def test_an_exception_of_the_callers_iterator_comes_through_unchanged(extractor):
    class Custom(Exception):
        pass

    def generate():
        yield from pictures(5)
        raise Custom("mine")

    before = threading.active_count()
    with pytest.raises(Custom, match="^mine$"):
        extractor(generate())
    assert threading.active_count() == before


def test_an_interrupt_breaks_off_a_run_and_leaves_no_thread(extractor, monkeypatch):
    """Real signals are sent by bench/faults.py."""
    running, plain = threading.Event(), extractor.opened.session.run

    def first_then_endless(lane, course):
        if not running.is_set():
            running.set()
            return plain(lane, course)
        while not course.stopped:
            time.sleep(0.001)
        raise fastfid.ModelError("terminated")

    def interrupt(done):
        raise KeyboardInterrupt

    monkeypatch.setattr(extractor.opened.session, "run", first_then_endless)
    with pytest.raises(KeyboardInterrupt):
        # One worker decodes in order. With several, a later batch may reach the network first.
        list(extractor.stream(open_source(pictures(12)), num_workers=1, progress=interrupt))
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("fastfid")] == []


def test_scores_are_the_same_bits_from_run_to_run_and_for_all_workers(extractor):
    a, b = pictures(70), pictures(75, seed=1)
    scores = {fastfid.score(a, b, model=extractor, num_workers=n) for n in (None, 1, 1, 2, 7)}
    again = fastfid.Extractor("inception-v3-random", dims=64, batch_size=4)
    scores.add(fastfid.score(a, b, model=again))
    assert len(scores) == 1


def test_corrupt_files_raise_or_are_skipped_and_listed(extractor, tmp_path):
    images = pictures(10)
    path = folder(tmp_path / "set", images)
    for i in (0, 4, 9):
        (path / f"{i:03}.png").write_bytes(b"not an image")
    with pytest.raises(fastfid.ImageError, match=r"000\.png"):
        extractor(path)
    tally = Tally()
    features = np.concatenate(list(extractor.stream(open_source(path), on_error="skip", tally=tally)))
    np.testing.assert_array_equal(features, extractor(images)[[1, 2, 3, 5, 6, 7, 8]])
    assert [f"{i:03}.png" in text for i, text in zip((0, 4, 9), tally.rejected, strict=True)] == [True] * 3
    with pytest.warns(fastfid.FastFIDWarning, match=r"set: 3 images left out: .*000\.png.*004\.png.*009\.png"):
        np.testing.assert_array_equal(extractor(path, on_error="skip"), features)


def test_nothing_but_corrupt_files(extractor, tmp_path):
    path = folder(tmp_path / "set", pictures(2))
    for file in path.iterdir():
        file.write_bytes(b"not an image")
    with pytest.warns(fastfid.FastFIDWarning, match="2 images left out"):
        assert extractor(path, on_error="skip").shape == (0, 64)


def test_mixed_sizes(extractor):
    one, other = pictures(1, 32)[0], pictures(1, 64, seed=1)[0]
    both = extractor([one, other])
    np.testing.assert_array_equal(both[:1], extractor([one]))
    np.testing.assert_array_equal(both[1:], extractor([other]))


@pytest.mark.parametrize("options", [{"on_error": "ignore"}, {"num_workers": -1}])
def test_bad_options(extractor, options):
    with pytest.raises(fastfid.InputError):
        list(extractor.stream(open_source(pictures(2)), **options))


@pytest.mark.parametrize("options", [{"on_error": "ignore"}, {"progress": "yes"}])
def test_bad_options_of_a_call(extractor, options):
    with pytest.raises(fastfid.InputError):
        extractor(pictures(2), **options)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"mode": "torch"}, fastfid.InputError, "pytorch, tensorflow"),
        ({"dims": 100}, fastfid.ModelError, "64.*192.*768.*2048"),
        ({"batch_size": 0}, fastfid.InputError, "batch_size"),
        ({"precision": "fp8"}, fastfid.InputError, "fp32, tf32"),
        ({"precision": "tf32", "device": "cpu"}, fastfid.InputError, "is for cuda, tensorrt"),
        ({"device": "gpu"}, fastfid.InputError, "auto, cpu, cuda or"),
        ({"device": "cpu:1"}, fastfid.InputError, "auto, cpu, cuda or"),
        ({"model": "no-such-model"}, fastfid.ModelError, "inception-v3-random"),
    ],
)
def test_refused_settings(options, error, text):
    with pytest.raises(error, match=text):
        fastfid.Extractor(**{"model": "inception-v3-random", "dims": 64, **options})


class TestPickle:
    """What travels is a recipe: the network is opened where it arrives."""

    def test_copies(self, extractor):
        expected = extractor(pictures(5))
        for other in (copy.copy(extractor), copy.deepcopy(extractor), pickle.loads(pickle.dumps(extractor))):
            assert other.opened.session is not extractor.opened.session
            assert (other.provenance, other.comparable) == (extractor.provenance, extractor.comparable)
            np.testing.assert_array_equal(other(pictures(5)), expected)
        assert len(pickle.dumps(extractor)) < 1000

    def test_to_another_process(self, extractor):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            features = pool.submit(extractor, pictures(5)).result()
        np.testing.assert_array_equal(features, extractor(pictures(5)))

    def test_a_file_is_found_from_another_folder(self, tmp_path, monkeypatch):
        write_onnx(tmp_path / "mean.onnx")
        monkeypatch.chdir(tmp_path)
        mode = fastfid.Preprocessing(8, resize="bicubic")
        sent = pickle.dumps(fastfid.Extractor("mean.onnx", mode=mode, batch_size=2))
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        arrived = pickle.loads(sent)
        assert (arrived.mode, arrived.batch_size, arrived.dims) == (str(mode), 2, 3)

    def test_another_model_at_the_same_place_is_refused(self, tmp_path):
        path = write_onnx(tmp_path / "mean.onnx")
        sent = pickle.dumps(fastfid.Extractor(path))
        write_onnx(path, shape=("N", 3, 16, 16))
        with pytest.raises(fastfid.ModelError, match=r"mean\.onnx is not the model that was pickled.*SHA-256"):
            pickle.loads(sent)
        path.unlink()
        with pytest.raises(fastfid.ModelError, match=r"mean\.onnx is neither a file"):
            pickle.loads(sent)


@pytest.mark.parametrize("shape", [("N", 3, 8, 8), (5, 3, 8, 8)])
def test_any_onnx_channels_first(tmp_path, shape):
    path = write_onnx(tmp_path / "mean.onnx", shape=shape)
    extractor = fastfid.Extractor(path)
    assert (extractor.dims, extractor.batch_size) == (3, 5 if shape[0] == 5 else 16)
    images = np.zeros((6, 8, 8, 3), np.uint8)
    images[...] = [0, 51, 255]
    np.testing.assert_allclose(extractor(images), [[-1, -0.6, 1]] * 6, atol=1e-6)


def test_any_onnx_channels_last_with_open_output(tmp_path):
    path = write_onnx(tmp_path / "mean.onnx", shape=("N", 8, 16, 3), out=("N", "D"), axes=(1, 2))
    extractor = fastfid.Extractor(path, batch_size=2, mode="tensorflow")
    assert extractor.dims == 3
    images = np.zeros((3, 20, 10, 3), np.uint8)
    images[...] = [0, 64, 128]
    np.testing.assert_allclose(extractor(images), [[-1, -0.5, 0]] * 3, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"shape": ("N", 3, "H", "W")}, "size open"),
        ({"shape": ("N", 1, 8, 8)}, "RGB"),
        ({"dtype": TensorProto.DOUBLE}, "float32"),
        ({"inputs": 2}, "one image input"),
        ({"out": ("N", 3, 8), "axes": (2,)}, r"\(N, d\)"),
    ],
)
def test_onnx_that_is_no_extractor(tmp_path, options, text):
    with pytest.raises(fastfid.ModelError, match=text):
        fastfid.Extractor(write_onnx(tmp_path / "bad.onnx", **options))


def test_onnx_dims_and_batch_that_do_not_fit(tmp_path):
    path = write_onnx(tmp_path / "mean.onnx", shape=(5, 3, 8, 8))
    with pytest.raises(fastfid.ModelError, match="gives 3 dims, 64"):
        fastfid.Extractor(path, dims=64)
    with pytest.raises(fastfid.InputError, match="exactly 5"):
        fastfid.Extractor(path, batch_size=4)


def test_onnx_weights_as_initialisers_are_found(tmp_path):
    """A foreign model may list its weights among the inputs, as old exporters did."""
    weight = numpy_helper.from_array(np.eye(3, dtype=np.float32), "weight")
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "weight"], ["features"]),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ("N", 3, 4, 4))
    listed = helper.make_tensor_value_info("weight", TensorProto.FLOAT, (3, 3))
    out = helper.make_tensor_value_info("features", TensorProto.FLOAT, ("N", 3))
    graph = helper.make_graph(nodes, "g", [images, listed], [out], [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), tmp_path / "m.onnx")
    assert fastfid.Extractor(tmp_path / "m.onnx")(pictures(2)).shape == (2, 3)


CUDA, CPU = ACCELERATORS["cuda"], ACCELERATORS["cpu"].provider


class TestDevice:
    @pytest.mark.parametrize(
        ("text", "parsed"),
        [
            ("auto", ("auto", 0)),
            ("cpu", ("cpu", 0)),
            ("cpu:0", ("cpu", 0)),
            ("cuda", ("cuda", 0)),
            ("cuda:12", ("cuda", 12)),
        ],
    )
    def test_names(self, text, parsed):
        assert devices.parse(text) == parsed
        assert devices.choose("cpu:0", [], Messages()) == "cpu"

    @pytest.mark.parametrize(
        "text", ["cpu:1", "cpu:", "auto:0", "cuda:", "cuda:-1", "cuda:²", "cuda:" + "1" * 5000, "", None]
    )
    def test_what_is_no_device(self, text):
        with pytest.raises(fastfid.InputError, match="auto, cpu, cuda or cuda:N, or one of tensorrt, "):
            devices.parse(text)

    def test_no_gpu_is_silent_on_auto_and_an_error_by_name(self, monkeypatch):
        monkeypatch.setattr(devices, "visible_gpus", lambda: 0)
        report = Messages()
        assert devices.choose("auto", [CUDA.provider], report) == "cpu"
        assert report.warnings == []
        with pytest.raises(fastfid.DeviceError, match="0 CUDA devices"):
            devices.choose("cuda", [CUDA.provider], report)

    def test_a_gpu_is_used(self, monkeypatch):
        monkeypatch.setattr(devices, "visible_gpus", lambda: 2)
        assert devices.choose("auto", [CUDA.provider, CPU], Messages()) == "cuda:0"
        assert devices.choose("cuda:1", [CUDA.provider, CPU], Messages()) == "cuda:1"
        assert devices.choose("cpu", [CUDA.provider, CPU], Messages()) == "cpu"
        with pytest.raises(fastfid.DeviceError, match="cuda:2"):
            devices.choose("cuda:2", [CUDA.provider, CPU], Messages())

    def test_a_gpu_that_this_runtime_cannot_use(self, monkeypatch):
        monkeypatch.setattr(devices, "visible_gpus", lambda: 1)
        monkeypatch.setattr(devices, "both_runtimes", lambda: None)
        report = Messages()
        with pytest.warns(fastfid.FastFIDWarning, match="without CUDA"):
            assert devices.choose("auto", [CPU], report) == "cpu"
        with pytest.raises(fastfid.DeviceError, match=r"fastfid\[cuda\]"):
            devices.choose("cuda", [CPU], report)

    def test_silent_fall_back_of_the_runtime_is_noticed(self, monkeypatch):
        """Where CUDA or cuDNN do not load, ONNX Runtime opens a CPU session and raises nothing."""
        import onnxruntime

        def fall_back(model, options, providers, plain=onnxruntime.InferenceSession, **rest):
            assert (
                providers[0] == (CUDA.provider, {**CUDA.select(0), **CUDA.settings(0, "fp32", None)})
                or len(providers) == 1
            )
            return plain(model, options, providers=providers[-1:], **rest)

        monkeypatch.setattr(devices, "choose", lambda *_: "cuda:0")
        monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None, raising=False)
        monkeypatch.setattr(onnxruntime, "InferenceSession", fall_back)
        with pytest.raises(
            fastfid.DeviceError, match="could not start CUDAExecutionProvider for cuda:0: it needs CUDA and cuDNN"
        ):
            fastfid.Extractor("inception-v3-random", dims=64, device="cuda")
        with pytest.warns(fastfid.FastFIDWarning, match="running on the CPU"):
            extractor = fastfid.Extractor("inception-v3-random", dims=64, device="auto")
        assert extractor.provenance.device == "cpu"

    def test_both_runtimes_installed(self, monkeypatch):
        monkeypatch.setattr(devices, "distribution", lambda name: name)
        assert "pip uninstall onnxruntime onnxruntime-gpu" in (devices.both_runtimes() or "")
        with pytest.warns(fastfid.FastFIDWarning, match="hides the devices"):
            fastfid.Extractor("inception-v3-random", dims=64)

    def test_visible_gpus_without_a_driver(self, monkeypatch):
        def no_library(name):
            raise OSError(name)

        monkeypatch.setattr(devices.ctypes, "CDLL", no_library)
        assert devices.visible_gpus() == 0

    @pytest.mark.parametrize(("init", "count", "gpus"), [(0, 2, 2), (100, 2, 0), (0, 0, 0)])
    def test_visible_gpus_asks_the_driver(self, monkeypatch, init, count, gpus):
        class Driver:
            def cuInit(self, flags):  # noqa: N802 - the driver's name
                return init

            def cuDeviceGetCount(self, pointer):  # noqa: N802
                pointer._obj.value = count
                return 0

        monkeypatch.setattr(devices.ctypes, "CDLL", lambda name: Driver())
        assert devices.visible_gpus() == gpus


@pytest.mark.filterwarnings("ignore:few-images:fastfid.FastFIDWarning")
class TestFit:
    def test_is_what_statistics_gives_with_its_provenance(self, extractor, tmp_path):
        path = folder(tmp_path / "set", pictures(9))
        found, expected = extractor.fit(path), fastfid.statistics(path, model=extractor)
        assert found.sigma.tobytes() == expected.sigma.tobytes()
        assert found.provenance == expected.provenance == extractor.provenance
        few = extractor.fit(path, limit=5, seed=3)
        assert few.mu.tobytes() == fastfid.statistics(path, model=extractor, limit=5, seed=3).mu.tobytes()

    def test_options_are_checked_before_the_source_is_opened(self, extractor):
        with pytest.raises(fastfid.InputError, match="on_error must be raise or skip"):
            extractor.fit("nowhere", on_error="ignore")

    def test_statistics_are_given_back(self, extractor):
        saved = fastfid.Statistics(64).update(np.eye(2, 64))
        assert extractor.fit(saved) is saved
