"""Rows in memory and beyond: the same matrix wherever they are kept, and nothing is left behind."""

import copy
import gc
import os
import pickle
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfid import InputError
from fastfid.metrics import rows as module
from fastfid.metrics.rows import Rows


def parts(seed, sizes, dims=7):
    rng = np.random.RandomState(seed)
    return [rng.randn(size, dims).astype(np.float32) for size in sizes]


def of(given_parts, dims=7):
    kept = Rows(dims)
    for part in given_parts:
        kept.update(part)
    return kept


@pytest.fixture
def no_memory(monkeypatch):
    monkeypatch.setenv("FASTFID_ROWS_MEMORY", "0")


@pytest.mark.parametrize("mebibytes", ["0", "1024"])
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 5), max_size=6), st.lists(st.integers(0, 5), max_size=6))
def test_the_same_rows_wherever_they_are(mebibytes, seed, sizes, others):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTFID_ROWS_MEMORY", mebibytes)
        first, second = parts(seed, sizes), parts(seed ^ 1, others)
        kept, other = of(first), of(second)
        assert len(kept.merge(other)) == sum(sizes + others)
        expected = np.concatenate([np.empty((0, 7), np.float32), *first, *second])
        for same in (kept, pickle.loads(pickle.dumps(kept)), copy.deepcopy(kept)):
            assert np.array_equal(same.matrix, expected)
            assert same.matrix.dtype == np.float32
            assert np.array_equal(np.concatenate([np.empty((0, 7)), *same.blocks()]), expected)
        assert len(other) == sum(others)  # unchanged


def test_a_copy_and_the_original_go_their_own_ways(no_memory):
    (first, second, third) = parts(0, (3, 2, 4))
    kept = of([first])
    copied = copy.deepcopy(kept)
    kept.update(second)
    copied.update(third)
    assert np.array_equal(kept.matrix, np.concatenate([first, second]))
    assert np.array_equal(copied.matrix, np.concatenate([first, third]))


def test_the_budget_is_shared_and_given_back(monkeypatch):
    monkeypatch.setenv("FASTFID_ROWS_MEMORY", "1")
    gc.collect()
    used = module._memory._used
    big = np.zeros((1000, 200), np.float32)  # 800 kB: one fits into 1 MiB, two do not
    first, second = of([big], 200), of([big], 200)
    assert (first._kept.file is None, second._kept.file is None) == (used == 0, False)
    del first, second
    gc.collect()
    assert module._memory._used == used
    assert of([big], 200)._kept.file is None


def test_the_file_has_no_name(no_memory, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    kept = of(parts(0, (1000,)))
    assert kept._kept.file is not None
    assert kept.matrix.shape == (1000, 7)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_after_a_kill(tmp_path):
    program = (
        "import os, signal, numpy as np; from fastfid.metrics.rows import Rows\n"
        "kept = Rows(7).update(np.zeros((1000, 7), np.float32)); kept.matrix\n"
        "os.kill(os.getpid(), getattr(signal, 'SIGKILL', signal.SIGTERM))"
    )
    surroundings = {**os.environ, "TMPDIR": str(tmp_path), "FASTFID_ROWS_MEMORY": "0"}
    assert subprocess.run([sys.executable, "-c", program], env=surroundings, check=False).returncode != 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk(no_memory, monkeypatch):
    monkeypatch.setattr(module.tempfile, "TemporaryFile", lambda: Path("/dev/full").open("r+b"))  # noqa: SIM115
    with pytest.raises(InputError, match=r"cannot keep the feature rows in .*No space left.*TMPDIR.*FASTFID_ROWS_MEM"):
        of(parts(0, (1000,)))


@pytest.mark.parametrize("text", ["-1", "1.5", "much", "9" * 20])
def test_a_bad_budget(monkeypatch, text):
    monkeypatch.setenv("FASTFID_ROWS_MEMORY", text)
    with pytest.raises(InputError, match="FASTFID_ROWS_MEMORY must be a whole number of MiB"):
        of(parts(0, (1,)))


def test_a_matrix_is_not_copied():
    matrix = np.random.RandomState(0).randn(5, 3)
    kept = Rows.of(matrix)
    assert np.shares_memory(kept.matrix, matrix)
    assert (len(kept), kept.dims) == (5, 3)


def test_nobody_can_change_the_rows():
    kept = of(parts(0, (5,)))
    own = np.zeros((2, 7), np.float32)
    for matrix in (kept.matrix, copy.deepcopy(kept).matrix, Rows(7).merge(kept).matrix, Rows.of(own).matrix):
        with pytest.raises(ValueError, match="read-only"):
            matrix += 1
    own += 1  # the caller's own array is as it was


def test_rows_of_other_lengths_are_not_merged():
    with pytest.raises(InputError, match="rows of 7 dims cannot be merged with rows of 5"):
        of(parts(0, (2,))).merge(of(parts(0, (2,), 5), 5))


def test_two_threads_read_while_a_third_adds():
    kept, expected, wrong = Rows(64), np.arange(64, dtype=np.float32), []

    def read():
        for _ in range(50):
            matrix = kept.matrix
            if not np.array_equal(matrix, np.broadcast_to(expected, matrix.shape)):
                wrong.append(matrix)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(300):
        kept.update(np.broadcast_to(expected, (20, 64)))
    for thread in threads:
        thread.join()
    assert wrong == []
    assert kept.matrix.shape == (6000, 64)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_does_not_write_into_the_file_of_its_parent(no_memory):
    first, childs, parents = parts(0, (30, 20, 10))
    kept = of([first])
    child = os.fork()
    if child == 0:
        kept.update(childs)
        whole = np.concatenate([first, childs])
        os._exit(0 if np.array_equal(kept.matrix, whole) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    kept.update(parents)
    assert np.array_equal(kept.matrix, np.concatenate([first, parents]))
