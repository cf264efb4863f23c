"""Files that make HDF5 loop forever or crash are read in another process, which can be ended."""

import io
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from fastfid.errors import ModelError
from fastfid.networks import isolated, keras_file

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals")


def looping():
    """One byte is wrong: the size of an object in the global heap, where a string of variable length lies."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs["layer_names"] = ["a"]
    data = bytearray(buffer.getvalue())
    data[data.find(b"GCOL") + 25] = 4
    return bytes(data)


def test_a_reader_that_never_ends(monkeypatch):
    monkeypatch.setattr(isolated, "SECONDS", 1.5)
    with pytest.raises(ModelError, match=r"x\.h5 cannot be read as weights of Keras.* not be read within 1\.5 seconds"):
        keras_file.read_keras(looping(), name="x.h5")


def crashing(data):
    os.kill(os.getpid(), signal.SIGSEGV)


def filling(data):
    return [np.ones(1 << 30)]


def orphaned(data):
    while True:
        pass


@posix
def test_what_becomes_of_the_process(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    with pytest.raises(ModelError, match="ended with status -11"):
        isolated.call(crashing, b"")
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(ModelError, match=r"x\.h5 .*no process can be started .*No such file"):
        keras_file.read_keras(looping(), name="x.h5")


@pytest.mark.skipif(sys.platform != "linux", reason="no bound of memory")
def test_memory_is_bounded(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    with pytest.raises(ModelError, match="ended with status 1"):
        isolated.call(filling, b"")


def test_nothing_is_imported_from_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / "h5py.py").write_text("raise SystemExit(0)")
    (tmp_path / "fastfid.py").write_text("raise SystemExit(0)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    with pytest.raises(ModelError, match="damaged, or not HDF5"):
        keras_file.read_keras(b"no HDF5")


def test_a_program_with_an_interpreter_inside_reads_it_itself(monkeypatch):
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(isolated, "call", lambda *_: pytest.fail("this would start the program again"))
    with pytest.raises(ModelError, match="damaged, or not HDF5"):
        keras_file.read_keras(b"no HDF5")


@posix
def test_ctrl_c_ends_it_at_once(tmp_path):
    (tmp_path / "x.h5").write_bytes(looping())
    code = """
        import sys, threading
        from pathlib import Path
        from fastfid.networks import keras_file
        print("there", flush=True)
        keras_file.read_keras(Path(sys.argv[1]).read_bytes())
    """
    command = [sys.executable, "-c", textwrap.dedent(code), tmp_path / "x.h5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout.readline() == b"there\n"
        time.sleep(1)  # the child has started
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert b"KeyboardInterrupt" in process.communicate(timeout=20)[1]
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)  # the child is gone too


@posix
def test_a_child_without_parent_ends(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    code = "import test_networks_isolated as t; t.isolated.call(t.orphaned, b'', seconds=1)"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, start_new_session=True)
    time.sleep(1.5)
    process.kill()
    process.wait()
    for _ in range(600):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("it runs on")


# A network of two layers in each of Keras' layouts, small enough to damage in every place.
