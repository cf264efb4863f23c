"""Files that make HDF5 loop forever or crash are read in another process, which can be ended."""

import collections
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
from fuzz import CASES, SEED, mutants

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
SHAPES = {"first": (2, 3, 3, 3), "second": (2, 2, 1, 1)}


def small_files():
    def write(fill):
        with h5py.File("in memory", "w", driver="core", backing_store=False) as file:
            fill(file)
            file.flush()
            return file.id.get_file_image()

    rng = np.random.RandomState(0)

    def layers():
        for number, (out, into, height, width) in enumerate(SHAPES.values()):
            yield f"conv2d_{number}", [rng.rand(height, width, into, out).astype(np.float32)]
            yield f"batch_normalization_{number}", [rng.rand(out).astype(np.float32) for _ in range(3)]

    def legacy(group, text=np.bytes_):
        group.attrs["layer_names"] = np.array([name for name, _ in layers()]).astype(text)
        for name, weights in layers():
            layer = group.create_group(name)
            layer.attrs["weight_names"] = np.array([f"w{i}" for i in range(len(weights))]).astype(text)
            for i, weight in enumerate(weights):
                layer.create_dataset(f"w{i}", data=weight, chunks=True, compression="gzip" if i else None)

    def keras3(file):
        for name, weights in layers():
            for i, weight in enumerate(weights):
                file.create_dataset(f"layers/{name}/vars/{i}", data=weight)

    whole = [legacy, lambda file: legacy(file, h5py.string_dtype()), keras3]
    return [write(fill) for fill in (*whole, lambda file: legacy(file.create_group("model_weights")))]


def work(start):
    """Read all cases from one on in this process, each for a second of its time at most, and print what comes of it."""
    keras_file.layer_order = lambda: list(SHAPES)
    keras_file.conv_shapes = lambda: SHAPES
    for number, (case, data) in enumerate(mutants("Keras' .h5", small_files())):
        if number < start:
            continue
        signal.setitimer(signal.ITIMER_PROF, 1)
        try:
            weights = keras_file._parse(data)
        except ModelError as error:
            said = "refused" if len(str(error)) < 1000 else f"long message in {case}"
        except BaseException as error:
            said = f"{error!r} in {case}"
        else:
            shapes = {weights[f"{name}.conv.weight"].shape for name in SHAPES}
            said = "read" if shapes == set(SHAPES.values()) else f"{shapes} in {case}"
        print(said, flush=True)


@posix
def test_damaged_files_are_read_or_refused(monkeypatch):
    """What loops or crashes in the library, which is rare, does so in the child alone."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "FASTFID_TEST_SEED": str(SEED)}
    said, ended = [], []
    while len(said) < CASES:
        command = [sys.executable, "-c", f"import test_networks_isolated as t; t.work({len(said)})"]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=False)
        said += done.stdout.decode().splitlines()
        if len(said) < CASES:
            assert done.returncode < 0, f"case {len(said)} of FASTFID_TEST_SEED={SEED}"
            ended.append(len(said))
            said.append("ended")
    counts = collections.Counter(said)
    assert counts.keys() <= {"read", "refused", "ended"}
    assert counts["read"] > 0
    monkeypatch.setattr(isolated, "SECONDS", 1)
    cases = list(mutants("Keras' .h5", small_files()))
    for number in ended[:3]:
        with pytest.raises(ModelError):
            keras_file.read_keras(cases[number][1])
