"""Accelerators: the table, the plugins, and what is checked and recorded of them; stand-ins for their providers."""

import dataclasses
import json
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

import fastfid
from fastfid.engines.choose import check_brought
from fastfid.extraction import device as device_module
from fastfid.extraction import plugins, runtime
from fastfid.extraction.accelerators import ACCELERATORS, kind_of, rows
from fastfid.extraction.device import both_runtimes, choose, named, parse
from fastfid.extraction.settings import check_settings
from fastfid.extraction.signature import batch_symbol
from fastfid.messages import Messages
from fastfid.options import Options
from fastfid.provenance import Provenance, differences, merged
from fastfid.threads import num_threads
from test_session import mean_of_channels, network, noise, open_session, run

CPU = "CPUExecutionProvider"
NUMBERED = [name for name, one in ACCELERATORS.items() if one.numbered]
FAR = [name for name, one in ACCELERATORS.items() if name != "cpu" and not one.driver]


def part(provider, *ops):
    """What ONNX Runtime says of a part of the graph."""
    return SimpleNamespace(ep_name=provider, get_nodes=lambda: [SimpleNamespace(op_type=op) for op in ops])


def ep_device(provider, kind, **metadata):
    hardware = SimpleNamespace(type=SimpleNamespace(name=kind))
    return SimpleNamespace(ep_name=provider, ep_metadata=metadata, device=hardware)


class StandIn:
    """Stands in for an accelerator: ONNX Runtime runs the network on the CPU, and says what it is told to say.

    Attributes
    ----------
    opened : list of (options, providers)
        One for each session.
    """

    def __init__(self, monkeypatch):
        self.opened, self.given, self.parts, self.starts, self.raises = [], [], None, True, None
        plain, options, stand_in = onnxruntime.InferenceSession, onnxruntime.SessionOptions, self

        class Options(options):
            def add_provider_for_devices(self, devices, settings):
                stand_in.given.append((devices, settings))

        class Session:
            def __init__(self, model, options, providers, **rest):
                stand_in.opened.append((options, providers))
                self.inner = plain(model, options, providers=[CPU], **rest)
                self.far = providers != [CPU]
                if self.far and stand_in.raises:
                    raise RuntimeError(stand_in.raises)

            def __getattr__(self, name):
                return getattr(self.inner, name)

            def get_providers(self):
                return [stand_in.provider, CPU] if self.far and stand_in.starts else [CPU]

            def get_provider_graph_assignment_info(self):
                return stand_in.parts or [part(stand_in.provider, "ReduceMean")]

        self.monkeypatch = monkeypatch
        monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
        monkeypatch.setattr(onnxruntime, "SessionOptions", Options)

    def built_in(self, kind):
        """Let ONNX Runtime have the provider of a kind of device from the start."""
        self.provider = ACCELERATORS[kind].provider
        self.monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [self.provider, CPU])
        return self

    def plugged_in(self, kind, device="the device"):
        """Let the provider come with a plugin."""
        self.provider = ACCELERATORS[kind].provider
        self.monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
        self.monkeypatch.setattr(runtime, "plugin_device", lambda ort, name: device)
        self.monkeypatch.setattr(runtime, "version", lambda name: f"{name}'s version")
        return self


@pytest.fixture
def stand_in(monkeypatch):
    return StandIn(monkeypatch)


class TestNames:
    @pytest.mark.parametrize("kind", ACCELERATORS)
    def test_of_the_table(self, kind):
        assert parse(kind) == (kind, 0)
        numbered = kind in NUMBERED
        assert named(kind, 0) == (f"{kind}:0" if numbered else kind)
        assert kind_of(named(kind, 3)) is ACCELERATORS[kind]
        if numbered:
            assert parse(f"{kind}:12") == (kind, 12)
        else:
            with pytest.raises(fastfid.InputError, match="or one of tensorrt, .*webgpu; got"):
                parse(f"{kind}:1")

    def test_have_one_spelling(self, monkeypatch):
        assert [choose(name, [], Messages()) for name in ("openvino", "directml", "directml:1", "cpu:0")] == [
            *("openvino", "directml:0", "directml:1", "cpu")
        ]

    def test_any_of_them_fits_the_extractor(self):
        extractor = SimpleNamespace(device="directml:0")
        check_brought(extractor, Options.of({"device": "directml"}), several=False)
        for other in ("directml:1", "cpu", "cuda:all"):
            with pytest.raises(fastfid.InputError, match="does not fit the Extractor"):
                check_brought(extractor, Options.of({"device": other}), several=False)

    def test_tensorrt_counts_the_gpus_of_cuda(self, monkeypatch):
        monkeypatch.setattr("fastfid.extraction.device.visible_gpus", lambda: 1)
        assert choose("tensorrt", [ACCELERATORS["tensorrt"].provider], Messages()) == "tensorrt:0"
        with pytest.raises(fastfid.DeviceError, match="1 CUDA devices are visible"):
            choose("tensorrt:1", [ACCELERATORS["tensorrt"].provider], Messages())
        with pytest.raises(fastfid.DeviceError, match="without TensorrtExecutionProvider"):
            choose("tensorrt", [CPU], Messages())


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (["onnxruntime-gpu"], None),
        (["onnxruntime-openvino", "onnxruntime-gpu"], "pip uninstall onnxruntime-gpu onnxruntime-openvino, then pip"),
        (["onnxruntime", "onnxruntime-directml"], "onnxruntime and onnxruntime-directml are installed; they share one"),
    ],
)
def test_two_builds_of_onnx_runtime(monkeypatch, there, said):
    def distribution(name):
        if name not in there:
            raise PackageNotFoundError(name)
        return name

    monkeypatch.setattr(device_module, "distribution", distribution)
    found = both_runtimes()
    assert found is None if said is None else said in found


class TestPrecision:
    def test_fp32_is_asked_for_where_a_provider_has_another_default(self):
        settings = {name: one.settings(1, "fp32", None) for name, one in ACCELERATORS.items()}
        hint = {"INFERENCE_PRECISION_HINT": "f32"}
        assert json.loads(settings["openvino"]["load_config"]) == {"CPU": hint}
        assert json.loads(settings["openvino-gpu"]["load_config"]) == {"GPU": hint, "GPU.1": hint}
        assert settings["cuda"]["use_tf32"] == "0"
        assert settings["coreml"]["MLComputeUnits"] == "CPUAndGPU"
        assert {settings["tensorrt"]["trt_fp16_enable"], settings["migraphx"]["migraphx_fp16_enable"]} == {"0"}

    def test_fp16_is_asked_for_where_the_graph_does_not_suffice(self):
        assert ACCELERATORS["tensorrt"].settings(0, "fp16", None)["trt_fp16_enable"] == "1"
        assert '"f16"' in ACCELERATORS["openvino-gpu"].settings(0, "fp16", None)["load_config"]
        assert ACCELERATORS["coreml"].settings(0, "fp16", None)["MLComputeUnits"] == "ALL"

    @pytest.mark.parametrize(("device", "precision"), [("openvino", "fp16"), ("coreml", "tf32"), ("cpu:0", "tf32")])
    def test_that_a_device_does_not_keep_to(self, device, precision):
        with pytest.raises(
            fastfid.InputError, match=f"precision='{precision}' is not for {device[:3]}.*it is for cuda|cpu"
        ):
            check_settings(device, precision, None)

    def test_tensorrt_without_tf32_needs_the_environment(self, monkeypatch):
        for value in (None, "1"):
            monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
            if value:
                monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", value)
            with pytest.raises(fastfid.InputError, match="NVIDIA_TF32_OVERRIDE=0 before the program starts"):
                check_settings("tensorrt:1", "fp32", None)
        check_settings("tensorrt:1", "tf32", None)
        monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
        check_settings("tensorrt:1", "fp32", None)


class FakeRuntime:
    """ONNX Runtime as far as plugins are concerned; registering adds the devices."""

    __version__ = "1.31.1"

    def __init__(self, *found, raises=None):
        self.found, self.raises, self.registered = found, raises, []

    def register_execution_provider_library(self, name, path):
        if self.raises or name in dict(self.registered):
            raise RuntimeError(self.raises or "EP library is already registered")
        self.registered.append((name, path))

    def get_ep_devices(self):
        return [ep_device(CPU, "CPU"), *(self.found if self.registered else ())]


class TestPlugins:
    @pytest.fixture(autouse=True)
    def installed(self, monkeypatch):
        monkeypatch.setattr(plugins, "version", lambda name: "9.8.7")
        monkeypatch.setattr(
            plugins, "import_module", lambda name: SimpleNamespace(get_library_path=lambda: f"{name}.so")
        )

    def test_is_registered_once(self):
        provider = ACCELERATORS["openvino"].provider
        cpu, first, second = (ep_device(provider, kind) for kind in ("CPU", "GPU", "GPU"))
        ort = FakeRuntime(first, cpu, second)
        assert plugins.plugin_device(ort, "openvino") is cpu
        assert plugins.plugin_device(ort, "openvino-gpu:0") is first
        assert plugins.plugin_device(ort, "openvino-gpu:1") is second
        assert ort.registered == [("onnxruntime-ep-openvino", "onnxruntime_ep_openvino.so")]

    def test_of_any_hardware(self):
        device = ep_device(ACCELERATORS["webgpu"].provider, "CPU")  # what a software adapter is
        assert plugins.plugin_device(FakeRuntime(device), "webgpu") is device

    @pytest.mark.parametrize("kind", [name for name in FAR if ACCELERATORS[name].plugin])
    def test_that_is_not_installed(self, monkeypatch, kind):
        def missing(name):
            raise ImportError(name)

        monkeypatch.setattr(plugins, "import_module", missing)
        with pytest.raises(fastfid.DeviceError, match=f"built without: pip install {ACCELERATORS[kind].plugin}$"):
            plugins.plugin_device(FakeRuntime(), named(kind, 0))

    @pytest.mark.parametrize("kind", [name for name in FAR if not ACCELERATORS[name].plugin])
    def test_a_provider_without_one(self, kind):
        with pytest.raises(fastfid.DeviceError, match="built without: .*pip install onnxruntime"):
            plugins.plugin_device(FakeRuntime(), named(kind, 0))

    @pytest.mark.parametrize(("device", "finds"), [("openvino", 0), ("openvino-gpu:1", 1)])
    def test_that_finds_no_such_device(self, device, finds):
        ort = FakeRuntime(ep_device(ACCELERATORS["openvino"].provider, "GPU"))
        said = f"ep-openvino 9.8.7 finds {finds} such device.*it needs an Intel"
        for _ in range(2):
            with pytest.raises(fastfid.DeviceError, match=said):
                plugins.plugin_device(ort, device)

    def test_that_does_not_fit_onnx_runtime(self):
        with pytest.raises(fastfid.DeviceError, match=r"cannot be added to ONNX Runtime 1\.31\.1: too old"):
            plugins.plugin_device(FakeRuntime(raises="too old"), "webgpu")
        with pytest.raises(fastfid.DeviceError, match=r"plugins need ONNX Runtime 1\.24 or newer, this is 1\.20"):
            plugins.plugin_device(SimpleNamespace(__version__="1.20"), "webgpu")


class TestSession:
    @pytest.mark.parametrize("kind", FAR)
    def test_a_provider_that_onnx_runtime_has(self, stand_in, kind):
        stand_in.built_in(kind)
        device, accelerator = named(kind, 0), ACCELERATORS[kind]
        session, x = open_session(mean_of_channels(), device=device), noise(4, 3, 8, 8)
        ((options, providers),) = stand_in.opened
        settings = {**accelerator.select(0), **accelerator.settings(0, "fp32", num_threads())}
        assert providers == [(accelerator.provider, settings), CPU]
        assert options.use_deterministic_compute
        assert options.enable_mem_pattern is not accelerator.one_shape
        assert (session.device, session.runs_at_once) == (device, 1)
        np.testing.assert_allclose(run(session, x), x.mean((2, 3)), atol=1e-6)

    def test_a_plugin(self, stand_in):
        stand_in.plugged_in("openvino", "the CPU of Intel")
        session = open_session(mean_of_channels(), device="openvino")
        ((devices, settings),) = stand_in.given
        assert devices == ["the CPU of Intel"]
        assert runtime.versions("openvino")["onnxruntime-ep-openvino"]
        threads = json.loads(settings["load_config"])["CPU"]["INFERENCE_NUM_THREADS"]
        assert threads == str(num_threads())
        assert stand_in.opened[0][1] is None
        assert "THREADS" not in session.provider  # the record does not depend on them

    def test_a_plugin_is_one_when_it_was_registered_before(self, stand_in, monkeypatch):
        """From then on ONNX Runtime lists it among the available providers, but by its name leaves it out."""
        stand_in.plugged_in("webgpu")
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU, stand_in.provider])
        for known, given, named_one in (
            (ep_device(stand_in.provider, "GPU", library_path="webgpu.so"), 1, None),
            (
                ep_device(stand_in.provider, "GPU"),
                1,
                [(stand_in.provider, {"powerPreference": "high-performance"}), CPU],
            ),
        ):
            monkeypatch.setattr(onnxruntime, "get_ep_devices", lambda known=known: [ep_device(CPU, "CPU"), known])
            open_session(mean_of_channels(), device="webgpu")
            assert len(stand_in.given) == given
            assert stand_in.opened[-1][1] == named_one

    @pytest.mark.parametrize("kind", FAR)
    def test_one_that_compiles_for_one_shape_gets_full_batches(self, stand_in, kind):
        stand_in.built_in(kind)
        session = open_session(mean_of_channels(), device=kind, batch_size=4)
        fixed = ACCELERATORS[kind].one_shape
        assert session.rows(1) == (4 if fixed else 1)
        assert session._session.get_inputs()[0].shape[0] == (4 if fixed else "N")
        session = open_session(mean_of_channels(), device=kind, batch_size=None)
        assert session.batch_size == ACCELERATORS[kind].batch_size

    def test_a_provider_that_is_left_out_silently(self, stand_in):
        stand_in.built_in("directml").starts = False
        with pytest.raises(
            fastfid.DeviceError, match=r"could not start DmlExecutionProvider for directml:0: it needs a"
        ):
            open_session(mean_of_channels(), device="directml")

    def test_a_provider_that_fails(self, stand_in):
        stand_in.built_in("migraphx").raises = "no kernel image"
        with pytest.raises(fastfid.DeviceError, match=r"migraphx:0 cannot be used: .*no kernel image"):
            open_session(mean_of_channels(), device="migraphx")
        with pytest.raises(fastfid.ModelError, match="cannot open the model"):
            open_session(b"no model", device="migraphx")

    def test_nodes_that_are_left_to_the_cpu_are_told(self, stand_in):
        stand_in.built_in("openvino")
        messages = Messages()
        open_session(mean_of_channels(), device="openvino", messages=messages)
        assert messages.notes == []
        stand_in.parts = [part(stand_in.provider, "Conv", "Relu"), part(CPU, "Det"), part(CPU, "Cast", "Det")]
        open_session(mean_of_channels(), device="openvino", messages=messages)
        assert messages.notes == ["openvino leaves 3 of 5 nodes of net.onnx to the CPU: Cast, Det"]

    def test_a_provider_that_runs_nothing(self, stand_in):
        stand_in.built_in("openvino").parts = [part(CPU, "Det")]
        with pytest.raises(fastfid.DeviceError, match=r"OpenVINOExecutionProvider leaves all of net\.onnx to the CPU"):
            open_session(mean_of_channels(), device="openvino")

    def test_an_onnx_runtime_that_does_not_tell(self):
        assert runtime.left_to_the_cpu(SimpleNamespace()) == ([], 0)

    def test_on_the_cpu_nothing_is_recorded(self):
        assert open_session(mean_of_channels()).provider == ""

    def test_libraries_are_loaded_before(self, stand_in, monkeypatch):
        loaded = []
        monkeypatch.setattr(runtime, "import_module", loaded.append)
        monkeypatch.setattr("fastfid.extraction.device.visible_gpus", lambda: 1)
        monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: loaded.append("CUDA"), raising=False)
        stand_in.built_in("tensorrt")
        open_session(mean_of_channels(), device="tensorrt", precision="tf32")
        assert loaded == ["CUDA", "tensorrt_libs"]


class TestBatchSymbol:
    def test_found(self):
        assert batch_symbol(mean_of_channels()) == "N"
        assert batch_symbol(mean_of_channels(images=("many", 3, 8, 8))) == "many"

    def test_weights_among_the_inputs_are_passed_over(self):
        """As exporters listed them up to IR version 3."""
        model = onnx.load_model_from_string(network([], {"w": noise(3, 3)}))
        images = model.graph.input.pop()
        model.graph.input.extend([helper.make_tensor_value_info("w", TensorProto.FLOAT, (3, 3)), images])
        assert batch_symbol(model.SerializeToString()) == "N"

    def test_fixed_or_without_a_name(self):
        for first in (4, None):
            assert batch_symbol(mean_of_channels(images=(first, 3, 8, 8))) is None
        assert batch_symbol(network([helper.make_node("Relu", ["images"], ["features"])], images=())) is None


class TestRecord:
    def made(self, device, provider=""):
        return Provenance("net", "a" * 64, "pytorch", 8, device, "fp32", 16, {"onnxruntime": "1.31.1"}, provider)

    def test_of_a_run(self, stand_in, monkeypatch, tmp_path):
        path = tmp_path / "net.onnx"
        path.write_bytes(mean_of_channels())
        stand_in.plugged_in("openvino")
        made = fastfid.Extractor(path, device="openvino").provenance
        assert made.device == "openvino"
        assert made.provider == ('OpenVINOExecutionProvider (load_config={"CPU": {"INFERENCE_PRECISION_HINT": "f32"}})')
        assert made.versions["onnxruntime-ep-openvino"] == "onnxruntime-ep-openvino's version"
        stand_in.built_in("openvino")
        assert set(fastfid.Extractor(path, device="openvino").provenance.versions) == {
            "fastfid",
            "onnxruntime",
            "pillow",
        }

    def test_in_a_file(self):
        for made in (self.made("cpu"), self.made("openvino", "OpenVINOExecutionProvider")):
            assert ("provider" in json.loads(made.to_json())) is bool(made.provider)
            assert Provenance.from_json(made.to_json(), "f") == made

    def test_of_two_devices_merged(self):
        cpu, vino, gpu = self.made("cpu"), self.made("openvino", "OpenVINO (a=1)"), self.made("cuda:0", "CUDA (b=2)")
        assert merged(cpu, vino)[0].provider == merged(vino, cpu)[0].provider == "OpenVINO (a=1)"
        assert merged(merged(gpu, cpu)[0], vino)[0].provider == "CUDA (b=2) + OpenVINO (a=1)"
        assert merged(cpu, cpu)[0].provider == ""

    def test_two_devices_compare_with_a_warning(self):
        a, b = self.made("cpu"), self.made("openvino", "OpenVINO (a=1)")
        assert differences(a, b, ("a", "b")) == (["a and b were made differently: device cpu and openvino"], False)
        x, y = noise(40, 8).reshape(2, 20, 8)
        first, second = fastfid.Statistics(8, a).update(x), fastfid.Statistics(8, b).update(y)
        with pytest.warns(fastfid.FastFIDWarning, match="device cpu and openvino"):
            assert fastfid.compare(first, second).fid == fastfid.frechet_distance_from_features(x, y)

    def test_cannot_be_changed(self):
        with pytest.raises(dataclasses.FrozenInstanceError):
            ACCELERATORS["cpu"].provider = "other"


def test_the_table_of_the_page():
    page = (Path(__file__).parent.parent / "docs" / "devices.md").read_text()
    table = [f"| {' | '.join(row)} |" for row in rows()]
    assert "\n".join([table[0], "|" + "---|" * len(next(rows())), *table[1:]]) in page
