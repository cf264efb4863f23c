"""Engines: all give the same bits, and errors in another process reach the caller."""

import functools
import os
import pickle
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import fastfid
from fastfid import Fit, InputError, Need, Statistics
from fastfid.cli.main import main
from fastfid.engines.base import How
from fastfid.engines.local import Local
from fastfid.engines.processes import Processes
from fastfid.errors import DeviceError, ImageError
from fastfid.extraction.recipe import Recipe
from fastfid.fit import fold
from fastfid.messages import Messages
from fastfid.metrics.intervals import Blocks
from fastfid.metrics.moments import MOMENTS
from fastfid.sources import open_source, pieces
from pictures import folder, pictures

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")

RECIPE = Recipe(model="inception-v3-random", dims=64, batch_size=8, device="cpu")
NEEDS = (MOMENTS, Need("features", Blocks))
N, PIECE = 75, 14  # six pieces, the last one smaller than the others, none a multiple of the batch


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return folder(tmp_path_factory.mktemp("images") / "set", pictures(N))


@pytest.fixture(scope="module")
def local():
    with Local() as engine:
        engine.open(RECIPE, Messages())
        yield engine


@pytest.fixture(scope="module", params=[1, 2, 3], ids=lambda count: f"{count} processes")
def processes(request):
    with Processes(["cpu"] * request.param) as engine:
        engine.open(RECIPE, Messages())
        yield engine


def fits_of(engine, source, **how):
    return list(engine.fit(NEEDS, pieces(open_source(source), size=PIECE), How(**how)))


def bits(fits):
    sent = [(piece, pickle.loads(pickle.dumps(fit))) for piece, fit in fits]
    whole = fold(sent, Fit.empty(NEEDS, {"features": 64}))
    statistics = whole[MOMENTS]
    states = pickle.dumps([whole[need].__getstate__() for need in NEEDS])
    return whole.n, statistics.mu.tobytes(), statistics.sigma.tobytes(), states


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_same_bits_from_one_process_and_several(local, processes, images, workers):
    fits = fits_of(processes, images, num_workers=workers)
    assert [piece.number for piece, _ in fits] == list(range(6))
    assert bits(fits) == bits(fits_of(local, images))


def test_states_that_went_through_a_file_fold_to_the_same_bits(local, images, tmp_path):
    fits = fits_of(local, images)
    for piece, fit in fits:
        (tmp_path / f"{piece.number}").write_bytes(pickle.dumps(fit))
    read = [(piece, pickle.loads((tmp_path / f"{piece.number}").read_bytes())) for piece, _ in fits]
    straight = fold(iter(fits), Fit.empty(NEEDS, {"features": 64}))
    whole = fold(iter(read), Fit.empty(NEEDS, {"features": 64}))
    assert whole[MOMENTS].sigma.tobytes() == straight[MOMENTS].sigma.tobytes()
    assert whole.seen == straight.seen


def test_a_piece_alone_has_the_bits_that_it_has_among_others(local, images):
    among = fits_of(local, images)
    source = open_source(images)
    for piece, fit in zip(pieces(source, size=PIECE), (fit for _, fit in among), strict=True):
        ((_, alone),) = local.fit(NEEDS, [piece], How())
        assert alone[MOMENTS].mu.tobytes() == fit[MOMENTS].mu.tobytes()
        assert alone[MOMENTS].rows.tobytes() == fit[MOMENTS].rows.tobytes()


def test_the_pieces_of_a_stream_of_unknown_length(local, images):
    stream = (image for image in pictures(N))
    assert bits(fits_of(local, stream)) == bits(fits_of(local, list(pictures(N))))


def test_progress_counts_the_images_of_all_processes(processes, images):
    seen = []
    fits_of(processes, images, progress=seen.append)
    assert seen[-1] == N
    assert seen == sorted(seen)


def test_an_error_in_a_process_is_the_error_of_the_run(images, tmp_path):
    folder(tmp_path / "bad", pictures(40))
    bad = sorted((tmp_path / "bad").iterdir())[17]
    bad.write_bytes(b"no image")
    with Processes(["cpu", "cpu"]) as engine:
        engine.open(RECIPE, Messages())
        with pytest.raises(ImageError, match=bad.name):
            fits_of(engine, tmp_path / "bad")
    with Processes(["cpu", "cpu"]) as engine:
        engine.open(RECIPE, Messages())
        whole = fold(fits_of(engine, tmp_path / "bad", on_error="skip"), Fit.empty(NEEDS, {"features": 64}))
        assert whole.n == 39
        assert len(whole.seen.rejected) == 1


def test_what_progress_raises_ends_the_run(processes, images):
    def stop(done):
        raise KeyError(done)

    with pytest.raises(KeyError):
        fits_of(processes, images, progress=stop)


def test_a_process_that_is_killed_is_named(images):
    with Processes(["cpu", "cpu"]) as engine:
        engine.open(RECIPE, Messages())
        os.kill(engine._workers[1]._process.pid, signal.SIGKILL)
        with pytest.raises(DeviceError, match=r"process for cpu ended with exit code -9"):
            fits_of(engine, images)


def test_a_generator_cannot_be_read_by_processes(processes):
    with pytest.raises(InputError, match="from start to end, by one process"):
        fits_of(processes, (image for image in pictures(20)))


def test_a_run_on_several_devices(images, tmp_path, monkeypatch):
    monkeypatch.setattr("fastfid.sides.pieces", functools.partial(pieces, size=PIECE))
    options = {"model": "inception-v3-random", "dims": 64, "batch_size": 8}
    other = folder(tmp_path / "other", pictures(40, seed=1))
    one, two = (fastfid.compare(images, other, device=device, **options) for device in ("cpu", "cpu,cpu"))
    assert one == two
    saved = fastfid.statistics(images, device="cpu,cpu", **options)
    assert saved.provenance.device == "cpu"
    assert fastfid.score(saved, other, engine="processes", device="cpu", **options) == one.fid


def test_an_engine_of_the_caller_is_used_and_stays_open(images):
    options = {"model": "inception-v3-random", "dims": 64, "batch_size": 8}
    with Processes(["cpu"]) as engine:
        first = fastfid.statistics(images, engine=engine, **options)
        (worker,) = engine._workers
        second = fastfid.statistics(images, engine=engine, **options)
        assert engine._workers == [worker]
    assert isinstance(first, Statistics)
    assert first.mu.tobytes() == second.mu.tobytes()


def test_local_has_one_device(images):
    with pytest.raises(InputError, match="engine='local' uses one device"):
        fastfid.score(images, images, device="cpu,cpu", engine="local", model="inception-v3-random")


def test_features_that_are_given():
    """Metrics without a network."""
    rows = np.random.RandomState(0).standard_normal((90, 6)).astype(np.float32)

    class Given(fastfid.Engine):
        def open(self, recipe, messages, **_):
            return fastfid.Facts({"features": 6})

        def fit(self, needs, pieces, how):
            for piece in pieces:
                yield piece, Fit.empty(needs, {"features": 6}).update({"features": rows[piece.indices]})

    result = fastfid.compare(pictures(90), pictures(60), engine=Given())
    assert result.fid == fastfid.frechet_distance_from_features(rows, rows[:60])
    assert (result.a.n, result.b.n) == (90, 60)
    assert result.provenance is None


OFF_THE_SHELF = ["--model", "inception-v3-random", "--dims", "64", "--batch-size", "8"]


def test_several_devices_on_the_command_line(images, capsys):
    one, two = [], []
    for devices, lines in (("cpu", one), ("cpu,cpu", two)):
        assert main([str(images), str(images), *OFF_THE_SHELF, "--device", devices]) == 0
        lines += capsys.readouterr().out.splitlines()
    assert one == two
    assert one[-1].startswith("FID:  ")


def group_exists(number):
    try:
        os.killpg(number, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_ends_all_processes(tmp_path):
    many = folder(tmp_path / "many", pictures(300, 64))
    command = [sys.executable, "-m", "fastfid", many, many, *OFF_THE_SHELF, "--device", "cpu,cpu", "--dims", "2048"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        while "few-images" not in process.stderr.readline():  # the run begins
            pass
        os.killpg(process.pid, signal.SIGINT)
        assert process.communicate(timeout=60)[1].endswith("interrupted\n")
        assert process.returncode == 130
    for _ in range(100):  # until Python's own tracker of resources has ended too
        if not group_exists(process.pid):
            break
        time.sleep(0.1)
    assert not group_exists(process.pid)


def test_a_script_without_its_guard_is_told(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import numpy, fastfid\n"
        "images = list(numpy.zeros((3, 8, 8, 3), numpy.uint8))\n"
        "fastfid.score(images, images, model='inception-v3-random', dims=64, device='cpu,cpu')\n"
    )
    result = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 1
    assert "must call fastfid below if __name__ == '__main__':" in result.stderr.splitlines()[-1]


class Top(fastfid.Accumulator):
    def __init__(self, dims, k):
        self.k, self.rows = k, np.empty((0, dims), np.float32)

    def update(self, rows):
        self.rows = np.sort(np.concatenate([self.rows, rows]), axis=0)[-self.k :]

    def merge(self, other):
        self.update(other.rows)


class Locked(fastfid.Accumulator):
    def __init__(self, dims):
        self.lock = threading.Lock()

    def update(self, rows):
        pass

    def merge(self, other):
        pass


class Stream(fastfid.Source):
    def __init__(self, images, **options):
        super().__init__("stream", **options)
        self.images = images

    def read(self, indices):
        for index, image in zip(indices, self.images, strict=False):
            yield fastfid.Item(f"{index}", functools.partial(np.array, image))


def test_a_need_with_parameters_in_other_processes(processes, local, images):
    need = Need("features", functools.partial(Top, k=3))
    found = [
        fold(engine.fit([need], pieces(open_source(images), size=PIECE), How()), Fit({}))[need].rows
        for engine in (local, processes)
    ]
    assert found[0].tobytes() == found[1].tobytes()


def test_what_cannot_be_sent_is_named(processes, images):
    cut = list(pieces(open_source(images), size=PIECE))
    for need, message in (
        (Need("features", Locked), "Locked of features cannot be sent to another process: cannot pickle"),
        (Need("features", lambda dims: Top(dims, 3)), "<lambda> of features cannot be sent to another process"),
    ):
        with pytest.raises(InputError, match=message):
            list(processes.fit([need], cut, How()))


def test_what_processes_cannot_read_is_told_before_anything_is_read(images):
    def never(done, total):
        raise AssertionError("an image was read")

    options = {"model": "inception-v3-random", "dims": 64, "device": "cpu,cpu", "progress": never}
    for other in ((image for image in pictures(9)), Stream(list(pictures(9)), size=None)):
        with pytest.raises(InputError, match="can only be read from start to end, by one process"):
            fastfid.score(images, other, **options)


def test_an_ordered_source_that_ends_early_is_told():
    with pytest.raises(InputError, match="read ends after 5 images"):
        fastfid.score(
            Stream(list(pictures(5)), size=7, ordered=True), pictures(9), model="inception-v3-random", dims=64
        )


def test_roles_that_an_extractor_lacks_are_told_by_fit_too():
    extractor = fastfid.Extractor("inception-v3-random", dims=64, roles=("logits",))
    with pytest.raises(InputError, match="the model gives logits, and features is needed"):
        extractor.fit(pictures(4))
