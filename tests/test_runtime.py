"""ONNX Runtime is imported in one place, without its telemetry, and prints nothing on stdout or stderr."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper
from onnxruntime.capi import _pybind_state as bindings

import fastfid
from fastfid.extraction import device as devices
from fastfid.extraction import runtime
from processes import run
from test_session import mean_of_channels, noise, open_session

SCORE = """
import numpy as np, fastfid
extractor = fastfid.Extractor("inception-v3-random", dims=64, batch_size=2)
print(extractor(np.full((2, 8, 8, 3), 200, np.uint8)).shape)
"""
STRACE = shutil.which("strace")


def traces() -> bool:
    return STRACE is not None and subprocess.run([STRACE, "true"], capture_output=True, check=False).returncode == 0


def imports(path):
    """Names of the modules that a file imports when it runs, not when types are checked."""
    tree = ast.parse(path.read_text())
    tree.body = [node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node))]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module


def test_there_is_one_door():
    files = Path(fastfid.__file__).parent.rglob("*.py")
    found = [path.name for path in files if any(name.partition(".")[0] == "onnxruntime" for name in imports(path))]
    assert found == ["runtime.py"]


def test_an_import_that_fails_is_an_error_of_ours(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(fastfid.DeviceError, match="ONNX Runtime cannot be loaded.*onnxruntime"):
        fastfid.Extractor("inception-v3-random", dims=64)


class TestTelemetry:
    def test_nothing_is_written_at_home(self, tmp_path):
        done = run(SCORE, HOME=str(tmp_path), XDG_CACHE_HOME=None, ORT_DISABLE_TELEMETRY=None)
        assert (done.returncode, done.stdout, done.stderr) == (0, "(2, 64)\n", "")
        assert list(tmp_path.rglob("*")) == []

    def test_without_a_home(self):
        done = run(SCORE, HOME=None, XDG_CACHE_HOME=None, ORT_DISABLE_TELEMETRY=None)
        assert (done.returncode, done.stdout, done.stderr) == (0, "(2, 64)\n", "")

    @pytest.mark.skipif(not traces(), reason="no strace here")
    def test_nobody_is_called(self, tmp_path):
        trace = tmp_path / "trace"
        prefix = (STRACE, "-f", "-qq", "-e", "trace=network", "-e", "signal=none", "-o", str(trace))
        code = SCORE + "import time; time.sleep(12)"  # it waits for 9 before it sends
        done = run(code, prefix=prefix, HOME=str(tmp_path), ORT_DISABLE_TELEMETRY=None)
        assert (done.returncode, done.stdout) == (0, "(2, 64)\n")
        assert trace.read_text() == ""

    @pytest.mark.parametrize("value", ["0", "1"])
    def test_what_the_user_sets_stays(self, monkeypatch, value):
        monkeypatch.setenv("ORT_DISABLE_TELEMETRY", value)
        runtime.load()
        assert os.environ["ORT_DISABLE_TELEMETRY"] == value


class TestSilence:
    def test_a_run_that_fails(self, capfd):
        """ONNX Runtime logs its errors to stderr past Python, and raises them besides."""
        nodes = [
            helper.make_node("ReduceMean", ["images"], ["m"], axes=[2, 3], keepdims=0),
            helper.make_node("Reshape", ["m", "shape"], ["features"]),
        ]
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in (("images", ("N", 3, 8, 8)), ("features", ("N", 7)))
        ]
        shape = helper.make_tensor("shape", TensorProto.INT64, [2], [-1, 7])
        graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [shape])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
        session = open_session(model.SerializeToString())
        with pytest.raises(fastfid.ModelError, match="cannot run the model"):
            session.run(session.borrow())
        assert capfd.readouterr() == ("", "")

    def test_a_model_that_cannot_be_opened(self, capfd):
        model = onnx.load_model_from_string(mean_of_channels())
        model.graph.node[0].op_type = "NoSuchOperator"
        for data in (b"no model", model.SerializeToString()):
            with pytest.raises(fastfid.ModelError, match="cannot open the model"):
                open_session(data)
        assert capfd.readouterr() == ("", "")

    def test_a_provider_that_fails_in_a_run(self, monkeypatch, capfd):
        """ONNX Runtime's own fallback prints on stdout, and changes the device behind our back."""

        class Failing(bindings.InferenceSession):
            def run(self, *_):
                raise bindings.EPFail("the provider failed")

        monkeypatch.setattr(bindings, "InferenceSession", Failing)
        session = open_session(mean_of_channels())
        with pytest.raises(bindings.EPFail):
            session._session.run(None, {"images": noise(1, 3, 8, 8)})
        assert capfd.readouterr() == ("", "")

    def test_a_provider_that_cannot_be_opened(self, monkeypatch, capfd):
        class Broken(bindings.InferenceSession):
            def initialize_session(self, providers, *rest):
                if len(providers) > 1:
                    raise RuntimeError("CUDA failure 100: no CUDA-capable device is detected")
                super().initialize_session(providers, *rest)

        monkeypatch.setattr(bindings, "InferenceSession", Broken)
        monkeypatch.setattr(devices, "choose", lambda *_: "cuda:0")
        monkeypatch.setattr(runtime.load(), "preload_dlls", lambda: None, raising=False)
        said = "cuda:0 cannot be used: .*no CUDA-capable device is detected; running on the CPU"
        with pytest.warns(fastfid.FastFIDWarning, match=said):
            assert open_session(mean_of_channels(), device="auto").device == "cpu"
        with pytest.raises(fastfid.DeviceError, match="no CUDA-capable"):
            open_session(mean_of_channels(), device="cuda")
        assert capfd.readouterr() == ("", "")
