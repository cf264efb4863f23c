"""Rows in memory and beyond: the same matrix wherever they are kept, and nothing is left behind."""

import copy
import gc
import os
import pickle
import subprocess
import sys
import tempfile
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
    assert kept.matrix is matrix
    assert (len(kept), kept.dims) == (5, 3)
