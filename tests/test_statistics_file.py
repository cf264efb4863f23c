"""Statistics files from outside: sizes are checked before data is read, and inconsistent files are refused."""

import io
import json
import os
import threading
import tracemalloc
import zipfile

import numpy as np
import pytest

import fastfid
from fastfid import FastFIDWarning, InputError, Provenance, Statistics
from fastfid.metrics.rows import ROWS

SIGMA = np.array([[2.0, 0.5], [0.5, 1.0]])
MADE_BY = {"format": 1, "model": "m", "sha256": "a" * 64, "mode": "pytorch", "dims": 2}


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def refused(path, message):
    with pytest.raises(InputError, match=message) as caught:
        Statistics.load(path)
    assert str(path) in str(caught.value)


class TestRowsBesideSigma:
    ROWS = np.random.RandomState(0).standard_normal((6, 8)) * 3 + 5

    def file(self, tmp_path, rows=ROWS, **changed):
        whole = dict(np.load(Statistics(8).update(self.ROWS).save(tmp_path / "whole")))
        return npz(tmp_path / "f.npz", **{**whole, "rows": rows, **changed})

    def test_a_sigma_with_the_right_diagonal_alone_is_refused(self, tmp_path):
        sigma = np.diag(np.cov(self.ROWS, rowvar=False).diagonal())
        refused(self.file(tmp_path, sigma=sigma), "rows do not have the mean mu and the covariance sigma")

    @pytest.mark.parametrize("entry", [(0, 0), (0, 7), (3, 4)])
    def test_one_entry_that_differs_is_refused(self, tmp_path, entry):
        sigma = np.cov(self.ROWS, rowvar=False)
        sigma[entry] = sigma[entry[::-1]] = sigma[entry] + 1e-3
        refused(self.file(tmp_path, sigma=sigma), "rows do not have")

    def test_an_outlier_does_not_hide_what_differs(self, tmp_path):
        rows = self.ROWS.copy()
        rows[0, 0] = 1e6
        sigma = np.cov(rows, rowvar=False)
        mu = rows.mean(axis=0)
        assert Statistics.load(self.file(tmp_path, rows, mu=mu, sigma=sigma)).n == 6
        sigma[1, 2] = sigma[2, 1] = sigma[1, 2] + 0.1
        refused(self.file(tmp_path, rows, mu=mu, sigma=sigma), "rows do not have")

    @pytest.mark.parametrize("shift", [0, 100, 1e6])
    @pytest.mark.parametrize("scale", [1e-30, 1, 1e30])
    def test_rows_rounded_to_float32_are_those_behind_sigma(self, tmp_path, shift, scale):
        rows = (self.ROWS + shift) * scale
        mu, sigma = rows.mean(axis=0), np.cov(rows, rowvar=False)
        path = self.file(tmp_path, rows.astype(np.float32), mu=mu, sigma=sigma)
        assert Statistics.load(path).rows.dtype == np.float32

    def test_more_rows_than_dims_are_read_only_where_they_are_needed(self, tmp_path):
        rows = np.random.RandomState(0).randn(9, 2)
        path = npz(tmp_path / "f.npz", mu=rows.mean(axis=0), sigma=np.cov(rows, rowvar=False), n=9, rows=rows)
        assert Statistics.load(path).rows is None
        assert np.array_equal(fastfid.load(path)[ROWS].matrix, rows.astype(np.float32))
        other = npz(tmp_path / "g.npz", mu=rows.mean(axis=0), sigma=np.eye(2), n=9, rows=rows)
        with pytest.raises(InputError, match=r"g\.npz: .*rows do not have"):
            fastfid.load(other)
        with pytest.raises(InputError, match=r"rows must have shape \(8, 2\), got \(9, 2\)"):
            fastfid.load(npz(tmp_path / "h.npz", mu=rows.mean(axis=0), sigma=np.eye(2), n=8, rows=rows))


class TestNumberOfRows:
    @pytest.mark.parametrize("n", [2**53, 2**63 - 1, np.uint64(2**63), -3, 0, True])
    def test_an_absurd_n_is_refused(self, tmp_path, n):
        refused(npz(tmp_path / "f.npz", mu=np.zeros(2), sigma=SIGMA, n=n), "n must be")

    def test_n_does_not_run_over(self):
        full = Statistics.from_moments(np.zeros(2), SIGMA, 2**53 - 1)
        other = Statistics.from_moments(np.ones(2), SIGMA, 2**52)
        half = Statistics.from_moments(np.zeros(2), SIGMA, 2**52)
        for change in (lambda: full.update(np.eye(2)), lambda: full.merge(other), lambda: half.merge(half)):
            with pytest.raises(InputError, match=r"n must be below 2\^53"):
                change()
        assert (full.n, half.n) == (2**53 - 1, 2**52)
        np.testing.assert_array_equal(full.sigma, SIGMA)
        assert half.update(np.eye(2)).n == 2**52 + 2

    def test_from_moments_takes_no_absurd_n(self):
        with pytest.raises(InputError, match="n must be below"):
            Statistics.from_moments(np.zeros(2), SIGMA, 2**53)


class TestProvenance:
    def load(self, tmp_path, **fields):
        text = json.dumps({**MADE_BY, **fields})
        return Statistics.load(npz(tmp_path / "f.npz", mu=np.zeros(2), sigma=SIGMA, n=9, fastfid=text))

    def test_as_written(self, tmp_path):
        assert self.load(tmp_path).provenance.dims == 2

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"dims": 4}, "a provenance of 4 dims does not fit statistics of 2"),
            ({"dims": 2.0}, "dims is 2.0"),
            ({"dims": True}, "dims is True"),
            ({"batch_size": -1}, "batch_size is -1"),
            ({"format": -5}, "format is -5"),
            ({"format": True}, "format is True"),
            ({"format": float("nan")}, "format is nan"),
            ({"format": 1.0}, "format is 1.0"),
            ({"versions": {"a": [1]}}, "versions are"),
            ({"model": None}, "model is None"),
        ],
    )
    def test_that_says_nonsense_is_refused(self, tmp_path, fields, message):
        with pytest.raises(InputError, match=rf"f\.npz.*{message}"):
            self.load(tmp_path, **fields)

    def test_with_a_code_point_that_does_not_exist(self, tmp_path):
        text = json.dumps(MADE_BY)
        codes = np.array([text]).view(np.uint32).copy()
        codes[3] = 0x40000062
        path = npz(tmp_path / "f.npz", mu=np.zeros(2), sigma=SIGMA, fastfid=codes.view(f"U{len(text)}")[0])
        refused(path, "f.npz")

    def test_of_other_dims_is_refused_everywhere(self):
        made_by = Provenance("m", "a" * 64, "pytorch", 4)
        with pytest.raises(InputError, match="4 dims does not fit statistics of 2"):
            Statistics(2, made_by)
        with pytest.raises(InputError, match="4 dims does not fit statistics of 2"):
            Statistics.from_moments(np.zeros(2), SIGMA, 9, made_by)


class TestSizes:
    @pytest.mark.parametrize("member", ["mu.npy", "sigma.npy", "n.npy", "rows.npy", "fastfid.npy"])
    def test_a_member_that_is_no_array(self, tmp_path, member):
        good = {"mu": np.zeros(2), "sigma": SIGMA, "n": np.array(9)}
        with zipfile.ZipFile(tmp_path / "f.npz", "w") as file:
            for key, array in good.items():
                data = io.BytesIO()
                np.save(data, array)
                if f"{key}.npy" != member:
                    file.writestr(f"{key}.npy", data.getvalue())
            file.writestr(member, b"5")
        refused(tmp_path / "f.npz", "cannot be read")

    def test_a_small_file_that_unpacks_to_much_is_refused_unread(self, tmp_path):
        path = tmp_path / "f.npz"
        np.savez_compressed(path, mu=np.zeros(2), sigma=np.zeros((2000, 2000)))
        tracemalloc.start()
        refused(path, r"sigma must have shape \(2, 2\) to fit mu, got \(2000, 2000\)")
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
        tracemalloc.stop()

    @pytest.mark.parametrize(
        "arrays",
        [
            {"mu": np.zeros(40_000), "sigma": SIGMA},
            {"mu": np.zeros(2), "sigma": SIGMA, "n": np.zeros(300_000)},
            {"mu": np.zeros(2), "sigma": SIGMA, "fastfid": np.array("a" * 300_000)},
        ],
    )
    def test_what_is_larger_than_it_can_be_is_refused(self, tmp_path, arrays):
        refused(npz(tmp_path / "f.npz", **arrays), "at most .* are read")

    def test_a_fifo_is_refused_at_once(self, tmp_path):
        os.mkfifo(tmp_path / "f.npz")
        refused(tmp_path / "f.npz", "a FIFO")


@pytest.mark.parametrize("path", ["a\0.npz", "a\ud800.npz", "a" * 5000, "no-such-folder/" * 400 + "a"])
def test_paths_that_no_file_can_have(path):
    some = Statistics(2).update(np.eye(2))
    with pytest.raises(InputError, match="cannot write"):
        some.save(path)
    with pytest.raises(InputError, match="does not exist|cannot be read"):
        Statistics.load(path)


@pytest.mark.parametrize("path", [None, 5])
def test_what_is_no_path(path):
    with pytest.raises(InputError, match="a path is a str or a Path"):
        Statistics.load(path)
    with pytest.raises(InputError, match="a path is a str or a Path"):
        Statistics(2).update(np.eye(2)).save(path)


def test_without_overwrite_the_first_file_stays(tmp_path):
    first = Statistics(2).update(np.eye(2)).save(tmp_path / "s", overwrite=False)
    data = first.read_bytes()
    with pytest.raises(InputError, match=r"s\.npz exists already"):
        Statistics(2).update(np.ones((2, 2))).save(tmp_path / "s", overwrite=False)
    assert first.read_bytes() == data
    assert list(tmp_path.iterdir()) == [first]


def test_of_many_writers_without_overwrite_one_wins(tmp_path):
    outcomes = []

    def write(value):
        try:
            Statistics(2).update(np.full((2, 2), value)).save(tmp_path / "s", overwrite=False)
        except InputError:
            outcomes.append(None)
        else:
            outcomes.append(value)

    writers = [threading.Thread(target=write, args=(value,)) for value in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    (winner,) = [value for value in outcomes if value is not None]
    assert Statistics.load(tmp_path / "s.npz").mu[0] == winner
    assert [p.name for p in tmp_path.iterdir()] == ["s.npz"]


@pytest.mark.filterwarnings("ignore:.*no record of the model:fastfid.FastFIDWarning")
class TestAsymmetry:
    """pytorch-fid computes with any; float32 explains some of it."""

    ROWS = np.random.RandomState(0).standard_normal((60, 4)) * [0.1, 1, 10, 0.01] + 3

    def file(self, tmp_path, apart):
        sigma = np.cov(self.ROWS, rowvar=False)
        deviations = np.sqrt(sigma.diagonal())
        sigma += np.triu(np.outer(deviations, deviations), 1) * apart
        return npz(tmp_path / "f.npz", mu=self.ROWS.mean(axis=0), sigma=sigma), (sigma + sigma.T) / 2

    def test_of_sums_in_float32_is_told_and_made_symmetric(self, tmp_path):
        path, mean = self.file(tmp_path, 5e-4)
        with pytest.warns(FastFIDWarning, match=r"f\.npz: sigma is not symmetric: .* as after sums in float32"):
            loaded = Statistics.load(path)
        np.testing.assert_array_equal(loaded.sigma, mean)
        with pytest.warns(FastFIDWarning, match="float32"):
            result = fastfid.compare(path, Statistics(4).update(self.ROWS[:30]))
        assert any("not symmetric" in text for text in result.warnings)
        with pytest.warns(FastFIDWarning, match="sigma1 is not symmetric"):
            assert fastfid.frechet_distance(loaded.mu, np.load(path)["sigma"], loaded.mu, mean) < 1e-9

    def test_of_more_needs_force(self, tmp_path):
        path, mean = self.file(tmp_path, 5e-3)
        other = Statistics(4).update(self.ROWS[:30])
        for refuse in (lambda: Statistics.load(path), lambda: fastfid.compare(path, other)):
            with pytest.raises(InputError, match=r"f\.npz: sigma is not symmetric.* more than rounding can explain"):
                refuse()
        with pytest.warns(FastFIDWarning, match="not symmetric: .* because of force"):
            forced = fastfid.compare(path, other, force=True)
        mu = np.load(path)["mu"]
        assert forced.fid == pytest.approx(fastfid.frechet_distance(mu, mean, other.mu, other.sigma), rel=1e-9)

    def test_of_one_small_dim_is_not_hidden_by_a_large_one(self, tmp_path):
        sigma = np.cov(self.ROWS, rowvar=False)
        sigma[0, 3] += 0.5 * np.sqrt(sigma[0, 0] * sigma[3, 3])  # 5e-6 of the largest entry
        refused(npz(tmp_path / "f.npz", mu=np.zeros(4), sigma=sigma), "not symmetric")

    def test_a_negative_diagonal_stays_refused(self, tmp_path):
        sigma = np.diag([1.0, -1e-9])
        for force in (False, True):
            with pytest.raises(InputError, match="not a covariance"):
                fastfid.compare(npz(tmp_path / "f.npz", mu=np.zeros(2), sigma=sigma), pair(), force=force)


def pair():
    return Statistics(2).update(np.eye(2))
