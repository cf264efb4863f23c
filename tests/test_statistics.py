"""Statistics: updates, merges, pickles, and files from fastfid and other tools."""

import copy
import os
import pickle
import pickletools
import sys
import threading
import warnings
import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastfid import FastFIDWarning, InputError, Provenance, Statistics, StatisticsMismatch, score
from fastfid.checks import require_finite
from fastfid.metrics.base import Accumulator

PICKLED_ROWS = [[0.0, 1.0, 2.0], [4.0, 4.0, 3.0], [1.0, 0.0, 5.0], [2.0, 2.0, 2.0], [8.0, 3.0, 1.0]]
PROVENANCE = Provenance("inception-v3", "6726825d" * 8, "pytorch", 4, "cpu", "fp32", 16, {"fastfid": "0.1.0"})


def normal(n, d=4, seed=0, dtype=np.float64):
    return np.random.RandomState(seed).standard_normal((n, d)).astype(dtype)


class Unconvertible:
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("no numpy() here")


class Tensor:
    """As torch's, where a gradient is asked for."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad")

    def detach(self):
        return self


def bits(s):
    return s.n, s.mu.tobytes(), s.sigma.tobytes()


@pytest.fixture
def stats():
    return Statistics(4, PROVENANCE).update(normal(600))


class TestUpdate:
    @pytest.mark.parametrize("n", [2, 4, 5, 600, 2048])
    def test_equals_numpy(self, n):
        rows = normal(n, seed=n)
        s = Statistics(4).update(rows)
        assert s.n == n
        np.testing.assert_allclose(s.mu, rows.mean(axis=0), rtol=0, atol=1e-14)
        np.testing.assert_allclose(s.sigma, np.cov(rows, rowvar=False), rtol=0, atol=1e-13)

    @given(cuts=st.lists(st.integers(0, 1100), max_size=5).map(sorted), look=st.booleans())
    def test_batches_and_looks_change_nothing(self, cuts, look):
        rows = normal(1100, 3)
        s = Statistics(3)
        for batch in np.split(rows, cuts):
            s.update(batch)
            if look and s.n >= 2:
                bits(s)
        assert bits(s) == bits(Statistics(3).update(rows))

    def test_is_seen_by_the_next_look(self):
        s = Statistics(4).update(normal(600))
        before = bits(s)
        s.update(normal(1))
        assert s.mu.tobytes() != before[1]
        assert s.sigma.tobytes() != before[2]

    @pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.longdouble, np.int64, np.uint8, ">f4"])
    def test_takes_real_numbers_of_any_kind(self, dtype):
        rows = (normal(50) * 10 + 50).astype(dtype)
        assert bits(Statistics(4).update(rows)) == bits(Statistics(4).update(rows.astype(np.float64)))
        assert bits(Statistics(4).update(np.asfortranarray(rows))) == bits(Statistics(4).update(rows.tolist()))

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_keeps_rows_in_their_dtype_while_n_is_at_most_dims(self, dtype):
        rows = normal(5, dtype=dtype)
        s = Statistics(4)
        assert s.rows is None
        np.testing.assert_array_equal(s.update(rows[:4]).rows, rows[:4], strict=True)
        assert s.update(rows[4:]).rows is None

    @pytest.mark.parametrize(
        ("features", "message"),
        [
            (np.zeros((2, 3)), r"shape \(n, 4\), got \(2, 3\)"),
            (np.zeros(4), r"got \(4,\)"),
            (np.zeros((2, 2, 4)), r"got \(2, 2, 4\)"),
            (np.zeros((2, 4), complex), "dtype complex128"),
            (np.zeros((2, 4), bool), "dtype bool"),
            ([["a"] * 4], "dtype <U1"),
            ([[None] * 4], "dtype object"),
            ([[0.0] * 4, [0, 0, np.nan, 0]], r"nan at index \(1, 2\)"),
            (np.float32([[0, -np.inf, 0, np.inf]]), r"2 values .* -inf at index \(0, 1\)"),
        ],
    )
    def test_refuses_and_adds_nothing(self, stats, features, message):
        before = bits(stats)
        with pytest.raises(InputError, match=message):
            stats.update(features)
        assert bits(stats) == before

    @pytest.mark.parametrize(
        ("features", "message"),
        [
            ([[1.0] * 4, [1.0]], "features cannot be made an array"),
            (Unconvertible(), r"features cannot be made an array: no numpy\(\) here$"),
            (Tensor(), r"requires grad; for a torch tensor, give tensor\.detach\(\)\.float\(\)\.cpu\(\)\.numpy\(\)"),
            (np.full((2, 4), np.longdouble(1e300) ** 2), "not finite"),
        ],
    )
    def test_what_is_no_array_of_numbers(self, stats, features, message):
        before = bits(stats)
        with pytest.raises(InputError, match=message):
            stats.update(features)
        assert bits(stats) == before

    def test_a_bfloat16_array_is_told_how_to_convert(self):
        bfloat16 = pytest.importorskip("ml_dtypes").bfloat16  # where onnx or JAX brings it
        with pytest.raises(InputError, match=r"dtype bfloat16: convert it with \.astype\('float32'\)"):
            Statistics(4).update(np.zeros((2, 4), bfloat16))

    def test_blocks_change_nothing(self, monkeypatch):
        rows = normal(700)
        expected = bits(Statistics(4).update(rows))
        monkeypatch.setattr("fastfid.metrics.moments.SNAPSHOT", 1000)
        monkeypatch.setattr("fastfid.metrics.feature_rows.SNAPSHOT", 1000)
        monkeypatch.setattr("fastfid.metrics.feature_rows._BLOCK", 7 * 32)
        for same in (rows, np.asfortranarray(rows), rows.astype(">f8"), np.repeat(rows, 2, axis=0)[::2]):
            assert bits(Statistics(4).update(same)) == expected
        rows[690, 1] = np.nan
        s = Statistics(4)
        with pytest.raises(InputError, match=r"features from row 686 on .* nan at index \(4, 1\)"):
            s.update(rows)
        assert s.n == 0

    def test_what_another_thread_writes_meanwhile_is_not_seen(self, monkeypatch):
        rows = normal(600)
        expected = bits(Statistics(4).update(rows))

        def scribble(part, name):
            rows[:] = np.nan
            rows.resize((1, 4), refcheck=False)
            return require_finite(part, name)

        monkeypatch.setattr("fastfid.metrics.feature_rows.require_finite", scribble)
        assert bits(Statistics(4).update(rows)) == expected
        assert np.isnan(rows).all()

    def test_no_rows_are_no_change(self, stats):
        before = bits(stats)
        assert bits(stats.update(np.zeros((0, 4)))) == before

    @pytest.mark.parametrize("dims", [0, -1, 2.0, True, "4", None, 2**31, 2**63])
    def test_refuses_impossible_dims(self, dims):
        with pytest.raises(InputError, match="dims must be"):
            Statistics(dims)

    def test_says_how_many_rows_a_look_needs(self):
        with pytest.raises(InputError, match="at least 1 rows, they have 0"):
            _ = Statistics(4).mu
        one = Statistics(4).update(normal(1))
        assert (one.mu == normal(1)[0]).all()
        with pytest.raises(InputError, match="at least 2 rows, they have 1"):
            _ = one.sigma


class TestMerge:
    @given(n=st.integers(1, 1100), m=st.integers(1, 1100))
    def test_is_as_if_the_rows_had_followed(self, n, m):
        rows = normal(n + m, 3, seed=n) + 10
        merged = Statistics(3).update(rows[:n]).merge(Statistics(3).update(rows[n:]))
        assert merged.n == n + m
        np.testing.assert_allclose(merged.mu, rows.mean(axis=0), rtol=0, atol=1e-13)
        np.testing.assert_allclose(merged.sigma, np.cov(rows, rowvar=False), rtol=0, atol=1e-12)
        assert bits(merged) == bits(Statistics(3).update(rows[:n]).merge(Statistics(3).update(rows[n:])))

    @pytest.mark.parametrize("n", [3, 600])
    def test_with_itself(self, n):
        s = Statistics(4).update(normal(n))
        assert s.merge(s) is s
        twice = np.concatenate([normal(n)] * 2)
        assert s.n == 2 * n
        np.testing.assert_allclose(s.sigma, np.cov(twice, rowvar=False), rtol=0, atol=1e-13)

    def test_of_files(self, tmp_path, stats):
        parts = [Statistics(4).update(part).save(tmp_path / f"{i}") for i, part in enumerate(np.split(normal(600), 3))]
        first, *others = map(Statistics.load, parts)
        for other in others:
            first.merge(other)
        assert first.n == 600
        np.testing.assert_allclose(first.sigma, stats.sigma, rtol=0, atol=1e-13)

    def test_refuses_without_n(self, stats):
        foreign = Statistics.from_moments(np.zeros(4), np.eye(4))
        before = bits(stats)
        for a, b in ((stats, foreign), (foreign, stats)):
            with pytest.raises(InputError, match="no n"):
                a.merge(b)
        with pytest.raises(InputError, match="no n"):
            foreign.update(normal(2))
        assert bits(stats) == before

    @pytest.mark.parametrize(
        ("other", "message"),
        [
            (Statistics(5), "4 and 5 dims"),
            (
                Statistics(4, Provenance("mine", "a" * 64, "pytorch", 4)),
                r"inception-v3 \(6726825d6726\).*mine \(a{12}\)",
            ),
            (
                Statistics(4, Provenance("inception-v3", "6726825d" * 8, "tensorflow", 4)),
                "mode pytorch.*mode tensorflow",
            ),
        ],
    )
    def test_refuses_what_does_not_fit(self, stats, other, message):
        before = bits(stats)
        with pytest.raises(StatisticsMismatch, match=message):
            stats.merge(other)
        assert bits(stats) == before


def made(device="cpu", precision="fp32", batch_size=16, **versions):
    return Provenance("inception-v3", "6726825d" * 8, "pytorch", 4, device, precision, batch_size, versions)


class TestMergedProvenance:
    def test_what_differs_is_told_and_recorded(self):
        a = Statistics(4, made("cpu", "fp32", 16, pillow="11", numpy="2")).update(normal(9))
        b = Statistics(4, made("cuda:0", "fp16", 64, pillow="12", onnxruntime="1")).update(normal(9))
        with pytest.warns(FastFIDWarning, match="device cpu and cuda:0; precision fp32 and fp16; pillow 11 and 12"):
            merged = Statistics(4).merge(a).merge(b).provenance
        versions = {"pillow": "11 + 12", "numpy": "2", "onnxruntime": "1"}
        assert merged == made("cpu + cuda:0", "fp16 + fp32", 0, **versions)

    @given(order=st.permutations([("cpu", "fp32"), ("cuda:0", "fp32"), ("cuda:1", "fp16"), ("cpu", "fp16")]))
    def test_the_order_does_not_matter(self, order):
        merged = Statistics(4, made(*order[0])).update(normal(2))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FastFIDWarning)
            for kind in order[1:]:
                merged.merge(Statistics(4, made(*kind)).update(normal(2)))
        assert merged.provenance == made("cpu + cuda:0 + cuda:1", "fp16 + fp32")

    def test_what_is_known_to_be_mixed_is_told_once(self):
        parts = [Statistics(4, made(device)).update(normal(9)) for device in ("cpu", "cuda:0", "cpu", "cuda:0")]
        with pytest.warns(FastFIDWarning, match="device cpu and cuda:0"):
            parts[0].merge(parts[1])
        parts[0].merge(parts[2]).merge(parts[3])

    def test_a_comparison_warns_against_either(self):
        mixed = Statistics(4, made("cpu + cuda:0")).update(normal(9))
        for device in ("cpu", "cuda:0"):
            with pytest.warns(FastFIDWarning, match=rf"device cpu \+ cuda:0 and {device}"):
                score(mixed, Statistics(4, made(device)).update(normal(9, seed=1)))

    def test_a_merge_that_fails_changes_nothing(self):
        known = Statistics(4, made()).update(normal(9))
        files = [
            Statistics.from_moments(np.zeros(4), np.eye(4)),
            Statistics.from_moments(np.zeros(4), np.eye(4), provenance=made("cuda:0")),
            Statistics.from_moments(np.zeros(4), np.eye(4), 2**53 - 1, made("cuda:0")),
            Statistics(5).update(normal(9, 5)),
            "s.npz",
            None,
        ]
        before = bits(known)
        for other in files:
            with pytest.raises(InputError):
                known.merge(other)
            assert known.provenance == made()
            assert bits(known) == before

    def test_a_warning_made_an_error_stops_before_anything_changes(self):
        known, before = Statistics(4, made()).update(normal(9)), bits(Statistics(4).update(normal(9)))
        with pytest.raises(FastFIDWarning):
            known.merge(Statistics(4, made("cuda:0")).update(normal(9)))
        assert bits(known) == before
        assert known.provenance == made()


class TestFile:
    @pytest.mark.parametrize(
        ("n", "dtype"), [(2, np.float32), (4, np.float32), (4, np.float64), (5, np.float32), (600, np.float64)]
    )
    def test_round_trip_to_the_last_bit(self, tmp_path, n, dtype):
        s = Statistics(4, PROVENANCE).update(normal(n, dtype=dtype))
        loaded = Statistics.load(s.save(tmp_path / "s.npz"))
        assert bits(loaded) == bits(s)
        assert loaded.provenance == PROVENANCE
        if n <= 4:
            np.testing.assert_array_equal(loaded.rows, s.rows, strict=True)
        else:
            assert loaded.rows is None

    @pytest.mark.parametrize("n", [3, 4, 600])
    def test_goes_on_after_loading(self, tmp_path, n):
        rows = normal(n + 700)
        s = Statistics.load(Statistics(4).update(rows[:n]).save(tmp_path / "s")).update(rows[n:])
        assert s.n == n + 700
        np.testing.assert_allclose(s.mu, rows.mean(axis=0), rtol=0, atol=1e-14)
        np.testing.assert_allclose(s.sigma, np.cov(rows, rowvar=False), rtol=0, atol=1e-13)

    @pytest.mark.parametrize(("name", "written"), [("a", "a.npz"), ("a.npz", "a.npz"), ("a.stats", "a.stats.npz")])
    def test_appends_the_ending_as_numpy_does(self, tmp_path, stats, name, written):
        assert stats.save(str(tmp_path / name)) == tmp_path / written
        assert [p.name for p in tmp_path.iterdir()] == [written]

    def test_is_what_other_tools_read(self, tmp_path, stats):
        with np.load(stats.save(tmp_path / "s")) as file:  # as pytorch-fid does
            mu, sigma = file["mu"][:], file["sigma"][:]
        assert mu.dtype == sigma.dtype == np.float64
        assert (mu.shape, sigma.shape) == ((4,), (4, 4))

    def test_holds_nothing_that_it_does_not_know(self, tmp_path):
        with np.load(Statistics.from_moments(np.zeros(4), np.eye(4)).save(tmp_path / "s")) as file:
            assert set(file) == {"mu", "sigma"}

    def test_a_failing_write_leaves_the_old_file_alone(self, tmp_path, stats, monkeypatch):
        path = stats.save(tmp_path / "s")
        before = path.read_bytes()

        def fail(file, **_):
            file.write(b"half of it")
            raise OSError("no space left on device")

        monkeypatch.setattr(np, "savez", fail)
        with pytest.raises(InputError, match=r"cannot write .*s\.npz: no space"):
            Statistics(4).update(normal(9)).save(path)
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
    def test_is_as_readable_as_any_other_file(self, tmp_path, stats):
        (tmp_path / "other").touch()
        assert stats.save(tmp_path / "s").stat().st_mode == (tmp_path / "other").stat().st_mode


def npz(path, **arrays):
    np.savez(path, allow_pickle=True, **arrays)
    return path


SIGMA = np.cov(normal(600), rowvar=False)


class TestForeignFile:
    def test_of_pytorch_fid(self, tmp_path):
        s = Statistics.load(npz(tmp_path / "f.npz", mu=np.arange(4.0), sigma=SIGMA))
        assert s.n is None
        assert s.provenance is None
        assert s.rows is None
        assert (s.mu == np.arange(4)).all()
        assert (s.sigma == SIGMA).all()

    @pytest.mark.parametrize(
        "arrays",
        [
            {"mu": np.arange(4, dtype=np.float32), "sigma": SIGMA.astype(np.float32)},
            {"mu": np.arange(4), "sigma": np.asfortranarray(SIGMA)},
            {"mu": np.arange(4.0), "sigma": SIGMA.astype(">f8"), "mu_clip": np.zeros(7)},
            {"mu": np.arange(4.0), "sigma": SIGMA + 1e-9 * np.triu(SIGMA, 1)},  # asymmetric by rounding only
        ],
        ids=["float32", "Fortran order", "big endian", "asymmetric by rounding"],
    )
    def test_in_another_layout(self, tmp_path, arrays):
        s = Statistics.load(npz(tmp_path / "f.npz", **arrays))
        assert s.mu.dtype == s.sigma.dtype == np.float64
        assert (s.mu == np.arange(4)).all()
        np.testing.assert_allclose(s.sigma, SIGMA, rtol=0, atol=1e-7)
        assert (s.sigma == s.sigma.T).all()
        assert s.sigma.flags.c_contiguous

    @pytest.mark.parametrize(
        ("arrays", "message"),
        [
            ({"mu": np.zeros(4)}, "needs mu and sigma, but holds mu$"),
            ({"images": np.zeros(4)}, "but holds images"),
            ({"mu": np.zeros(4), "sigma": np.eye(5)}, r"shape \(4, 4\) to fit mu, got \(5, 5\)"),
            ({"mu": np.zeros(4), "sigma": np.ones((4, 5))}, None),
            ({"mu": np.zeros((1, 4)), "sigma": np.eye(4)}, "mu must have 1 dimensions"),
            ({"mu": np.zeros(0), "sigma": np.zeros((0, 0))}, "mu is empty"),
            ({"mu": np.zeros(4), "sigma": np.triu(np.ones((4, 4)))}, "sigma is not symmetric"),
            ({"mu": np.zeros(4), "sigma": -np.eye(4)}, "not a covariance: entry 0 of its diagonal is -1"),
            ({"mu": np.array([0, np.nan, 0, 0]), "sigma": np.eye(4)}, r"mu holds 1 values .* index \(1,\)"),
            ({"mu": np.zeros(4), "sigma": np.diag([1, 1, np.inf, 1])}, r"sigma holds 1 .* inf at index \(2, 2\)"),
            ({"mu": np.zeros(4, complex), "sigma": np.eye(4)}, "complex"),
            ({"mu": np.array([None] * 4), "sigma": np.eye(4)}, "allow_pickle=False"),
            ({"mu": np.zeros(4), "sigma": np.eye(4), "n": 1}, "n must be at least 2"),
            ({"mu": np.zeros(4), "sigma": np.eye(4), "n": "many"}, "many"),
            ({"mu": np.zeros(4), "sigma": np.eye(4), "n": np.array([3, 4])}, "f.npz"),
            (
                {"mu": np.zeros(4), "sigma": np.eye(4), "n": 3, "rows": np.zeros((2, 4))},
                r"rows must have shape \(3, 4\)",
            ),
            ({"mu": np.zeros(4), "sigma": np.eye(4), "rows": np.zeros((2, 4))}, "rows must have shape"),
            ({"mu": np.zeros(4), "sigma": np.eye(4), "n": 2, "rows": np.full((2, 4), np.nan)}, "not finite"),
            (
                {"mu": np.ones(4), "sigma": np.zeros((4, 4)), "n": 2, "rows": np.zeros((2, 4))},
                "rows do not have the mean",
            ),
            ({"mu": np.zeros(4), "sigma": np.eye(4), "n": 2, "rows": np.zeros((2, 4))}, "rows do not have the mean"),
            ({"mu": np.zeros(4), "sigma": np.eye(4), "fastfid": "{"}, "provenance cannot be read"),
            ({"mu": np.zeros(4), "sigma": np.eye(4), "fastfid": '{"format": 99}'}, "newer fastfid"),
        ],
    )
    def test_that_is_no_statistics(self, tmp_path, arrays, message):
        path = npz(tmp_path / "f.npz", **arrays)
        with pytest.raises(InputError, match=message) as caught:
            Statistics.load(path)
        assert str(path) in str(caught.value)

    def test_is_never_unpickled(self, tmp_path):
        class Bomb:
            def __reduce__(self):
                return os.mkdir, (str(tmp_path / "exploded"),)

        path = npz(tmp_path / "f.npz", mu=np.array([Bomb()]), sigma=np.eye(1))
        with pytest.raises(InputError, match="allow_pickle=False"):
            Statistics.load(path)
        assert not (tmp_path / "exploded").exists()


class TestDamagedFile:
    def test_missing(self, tmp_path):
        with pytest.raises(InputError, match="nowhere.npz does not exist"):
            Statistics.load(tmp_path / "nowhere.npz")

    def test_directory(self, tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            Statistics.load(tmp_path)

    def test_single_array(self, tmp_path):
        np.save(tmp_path / "a.npy", np.zeros(4))
        with pytest.raises(InputError, match="a single array"):
            Statistics.load(tmp_path / "a.npy")

    @pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 nor this", b"\x80\x04."])
    def test_no_zip(self, tmp_path, content):
        (tmp_path / "f.npz").write_bytes(content)
        with pytest.raises(InputError, match="cannot be read"):
            Statistics.load(tmp_path / "f.npz")

    def test_zip_of_something_else(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "f.npz", "w") as file:
            file.writestr("mu", "hello")
            file.writestr("sigma", "world")
        with pytest.raises(InputError, match=r"f\.npz"):
            Statistics.load(tmp_path / "f.npz")

    @pytest.mark.parametrize("compressed", [False, True])
    def test_truncated(self, tmp_path, compressed):
        path = tmp_path / "f.npz"
        (np.savez_compressed if compressed else np.savez)(path, mu=np.arange(4.0), sigma=SIGMA)
        whole = path.read_bytes()
        for size in range(0, len(whole), 37):
            path.write_bytes(whole[:size])
            with pytest.raises(InputError, match="cannot be read"):
                Statistics.load(path)

    @pytest.mark.filterwarnings("ignore")  # NumPy warns of headers that it had to repair
    @pytest.mark.parametrize("compressed", [False, True])
    def test_a_flipped_bit_is_noticed_or_harmless(self, tmp_path, compressed):
        path = tmp_path / "f.npz"
        (np.savez_compressed if compressed else np.savez)(path, mu=np.arange(4.0), sigma=SIGMA)
        whole = path.read_bytes()
        noticed = 0
        for i in range(len(whole)):
            path.write_bytes(whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1 :])
            try:
                s = Statistics.load(path)
            except InputError:
                noticed += 1
            else:
                assert (s.mu == np.arange(4)).all()
                assert (s.sigma == SIGMA).all()
        assert noticed > len(whole) / 2


def test_repr_says_what_it_is(stats):
    assert repr(stats) == "Statistics(n=600, dims=4, inception-v3, pytorch)"
    assert repr(Statistics(4)) == "Statistics(n=0, dims=4)"


def test_several_threads_on_one_statistics():
    rows = np.random.RandomState(0).standard_normal((4000, 16))
    shared = Statistics(16)

    def add(part):
        for i in range(0, len(part), 7):
            shared.update(part[i : i + 7])
            assert shared.mu.shape == (16,)

    workers = [threading.Thread(target=add, args=(part,)) for part in np.split(rows, 4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert shared.n == 4000
    np.testing.assert_allclose(shared.sigma, np.cov(rows, rowvar=False), atol=1e-13)


def test_two_threads_merge_each_into_the_other():
    one, other = (Statistics(4).update(np.random.RandomState(s).standard_normal((50, 4))) for s in (0, 1))
    pairs = ((one, other), (other, one))
    workers = [threading.Thread(target=lambda a=a, b=b: [a.merge(b) for _ in range(5)]) for a, b in pairs]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=20)
    assert not any(worker.is_alive() for worker in workers)


def test_mu_and_sigma_cannot_be_changed_from_outside():
    mu, sigma = np.zeros(3), np.eye(3)
    known = Statistics.from_moments(mu, sigma, 10)
    sigma *= 2
    mu += 1
    np.testing.assert_array_equal(known.sigma, np.eye(3))
    np.testing.assert_array_equal(known.mu, np.zeros(3))
    for array in (known.mu, known.sigma, Statistics(2).update([[0.0, 1.0], [2.0, 4.0]]).sigma):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


@pytest.mark.parametrize("n", [0, 1, 5, 50])
def test_pickling_keeps_everything(n):
    rows = np.random.RandomState(0).standard_normal((n, 8)).astype(np.float32)
    first = Statistics(8).update(rows)
    second = pickle.loads(pickle.dumps(first))
    assert second.n == n
    assert (second.rows is None) == (first.rows is None)
    if n > 1:
        np.testing.assert_array_equal(second.sigma, first.sigma)
    assert second.update(rows).n == 2 * n


@pytest.mark.parametrize("name", ["", "folder/", "there.npz"])
def test_a_name_that_no_file_can_have(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.npz").mkdir()
    with pytest.raises(InputError, match="not the name of a file"):
        Statistics(2).update(np.eye(2)).save(name)


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(InputError, match="cannot write"):
        Statistics(2).update(np.eye(2)).save(tmp_path / "no" / "x.npz")


@pytest.mark.parametrize("n", [np.inf, 2.7, "3", 1])
def test_an_n_that_is_no_number_of_rows(tmp_path, n):
    np.savez(tmp_path / "s.npz", mu=np.zeros(2), sigma=np.eye(2), n=n)
    with pytest.raises(InputError, match=r"s\.npz.*n must be"):
        Statistics.load(tmp_path / "s.npz")


def test_merging_with_the_unknown_leaves_no_provenance():
    known = Statistics(2, Provenance("m", "0" * 64, "pytorch", 2)).update(np.eye(2))
    unknown = Statistics(2).update(np.eye(2))
    assert Statistics(2).merge(known).provenance == known.provenance  # an empty one has nothing unknown in it
    assert known.merge(Statistics(2)).provenance is not None
    assert known.merge(unknown).provenance is None


@pytest.mark.parametrize("key", ["mu", "sigma"])
def test_half_of_statistics_is_told_to_be_half(tmp_path, key):
    path = npz(tmp_path / "half.npz", **{key: np.zeros((4, 4))})
    with pytest.raises(InputError, match="statistics need both mu and sigma"):
        score(path, path)


@pytest.mark.parametrize("name", ["inception-2015-12-05.pkl", "network.PICKLE"])
def test_a_pickle_of_something_else_is_refused(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(pickle.dumps({"fid": Fraction(1, 3)}))
    with pytest.raises(InputError, match=rf"{name} cannot be read .*asks for fractions\.Fraction"):
        score(path, path)


def pickled(s):
    return pickle.loads(pickle.dumps(s))


@st.composite
def pieces_of_rows(draw):
    """More than three pieces, of one dtype or two, around the sizes at which the core folds rows; and their dims."""
    d = draw(st.sampled_from([1, 3, 520]))
    sizes = st.sampled_from([1, 2, 3, 511, 512, 513, 520, 521, 1025]) | st.integers(0, 700)
    drawn = draw(st.lists(st.tuples(sizes, st.sampled_from([np.float32, np.float64])), min_size=4, max_size=6))
    return d, [normal(n, d, seed, dtype) + dtype(3) for seed, (n, dtype) in enumerate(drawn)]


def folded(d, pieces, through=lambda s: s):
    """Merge the statistics of the pieces in order; each of them and what is merged so far goes `through` something."""
    result = Statistics(d)
    for piece in pieces:
        result = through(result).merge(through(Statistics(d).update(piece)))
    return result


@settings(max_examples=50)  # each folds up to seven pieces three times
@given(drawn=pieces_of_rows())
def test_folded_pieces_have_the_same_bits_through_pickle_and_without(drawn):
    d, pieces = drawn
    pieces.append(normal(2, d))  # a covariance needs two
    straight = folded(d, pieces)
    assert bits(folded(d, pieces, pickled)) == bits(straight)
    first = Statistics(d).update(pieces[0])
    for piece in pieces[1:]:
        first.merge(Statistics(d).update(piece))
    assert bits(first) == bits(straight)


@given(n=st.integers(2, 1300), k=st.integers(0, 1300), d=st.sampled_from([1, 4, 520]))
def test_merged_into_nothing_is_the_same_statistics(n, k, d):
    rows = normal(n + k, d, seed=n)
    first = Statistics(d).update(rows[:n])
    assert bits(Statistics(d).merge(first).update(rows[n:])) == bits(first.update(rows[n:]))


@given(n=st.integers(2, 1300), k=st.integers(0, 1300), d=st.sampled_from([1, 4, 520]))
def test_updates_after_a_pickle_have_the_same_bits(n, k, d):
    rows = normal(n + k, d, seed=n)
    straight = Statistics(d).update(rows[:n])
    again = pickled(straight)
    assert bits(again) == bits(straight)
    assert bits(again.update(rows[n:])) == bits(straight.update(rows[n:]))


def known_statistics(tmp_path):
    """Statistics whose mean and covariance were given: with n, without, and with the rows in a file."""
    mu, sigma = normal(9, 8).mean(axis=0), np.cov(normal(9, 8), rowvar=False)
    rows = normal(6, 8, 1) / 3
    path = tmp_path / "rows.npz"  # rounded rows: what is computed of them is not what is given
    np.savez(path, mu=rows.mean(axis=0), sigma=np.cov(rows, rowvar=False), n=6, rows=rows.astype(np.float32))
    return [Statistics.from_moments(mu, sigma, 49), Statistics.from_moments(mu, sigma), Statistics.load(path)]


@pytest.mark.parametrize("through", [pickled, copy.copy, copy.deepcopy])
def test_given_statistics_go_through_pickle_to_the_last_bit(tmp_path, through):
    for straight in known_statistics(tmp_path):
        again = through(straight)
        assert bits(again) == bits(straight)
        assert (again.rows is None) == (straight.rows is None)
        if straight.n is None:
            with pytest.raises(InputError, match="no n"):
                again.update(normal(2, 8))
            continue
        for s in (straight, again):
            s.update(normal(3, 8, 2)).merge(Statistics(8).update(normal(700, 8)))
        assert bits(again) == bits(straight)


def test_to_be_merged_leaves_given_statistics_as_they_were():
    sigma = np.cov(normal(9), rowvar=False)
    known = Statistics.from_moments(np.zeros(4), sigma, 49)
    state = known.__getstate__()
    Statistics(4).update(normal(9)).merge(known)
    assert known.__getstate__().keys() == state.keys()
    assert (pickled(known).sigma == sigma).all()


def test_a_state_is_flat(tmp_path):
    for s in (Statistics(4), Statistics(4).update(normal(3)), Statistics(4, PROVENANCE).update(normal(600))):
        state = s.__getstate__()
        assert state.pop("provenance") == s.provenance
        assert all(isinstance(value, int | np.ndarray) for value in state.values())
        np.savez(tmp_path / "state.npz", **state)
        with np.load(tmp_path / "state.npz") as file:  # a file keeps it as exactly as a pickle does
            read = {name: file[name] if file[name].ndim else file[name].item() for name in file}
        again = Statistics.__new__(Statistics)
        again.__setstate__({"provenance": None, **read})
        rows = normal(700, 4, 1)
        assert bits(again.update(rows)) == bits(s.update(rows))


def test_a_pickle_holds_half_of_a_symmetric_matrix():
    s = Statistics(300).update(normal(1024, 300))
    _ = s.sigma
    assert len(pickle.dumps(s)) < 0.6 * s.sigma.nbytes


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"version": 3}, "a state of Statistics has version 3, this fastfid reads up to 2"),
        ({"n": 599}, "damaged: it holds 600 rows, not 599"),
        ({"m2": np.zeros(9)}, "damaged: the length of m2 must be 10, got 9"),
        ({"offset": np.full(4, np.nan)}, "damaged: .* not finite"),
        ({"mu": np.zeros(3), "sigma": np.eye(3)}, "damaged: its mean has 3 dims, not 4"),
        ({"mu": np.zeros(4), "sigma": -np.eye(4)}, "not a covariance"),
        ({"shift": None}, "damaged"),
    ],
)
def test_a_state_that_cannot_be_is_refused(stats, changed, message):
    state = {**stats.__getstate__(), **changed}
    with pytest.raises(InputError, match=message):
        Statistics.__new__(Statistics).__setstate__(state)


def test_a_state_lacks_nothing(stats):
    state = stats.__getstate__()
    for name in state.keys() - {"version", "provenance", "dims", "n", "m2"}:
        with pytest.raises(InputError, match=f"damaged: .*{name}"):
            Statistics.__new__(Statistics).__setstate__({key: state[key] for key in state if key != name})


def test_statistics_are_an_accumulator(stats):
    assert isinstance(stats, Accumulator)
    assert stats.version == stats.__getstate__()["version"] == 2


def test_pickles_of_0_1_0_load():
    few, many = pickle.loads((Path(__file__).parent / "golden" / "statistics-0.1.0.pickle").read_bytes())
    for n, loaded in ((2, few), (5, many)):
        expected = Statistics(3).update(np.array(PICKLED_ROWS[:n]))
        assert bits(loaded) == bits(expected)
        assert loaded.provenance.sha256 == "0" * 64
        assert (loaded.rows is None) == (expected.rows is None)
        assert loaded.update(PICKLED_ROWS).n == n + 5


def test_a_pickle_names_the_public_class_alone():
    data = pickle.dumps(Statistics(2), protocol=4)
    assert {module for _, module, _ in pickletools.genops(data) if module in sys.modules} == {"fastfid"}
    assert pickle.loads(data).dims == 2


def test_the_function_is_not_shadowed_by_a_module():
    import fastfid.statistics

    assert callable(fastfid.statistics)
    assert not hasattr(fastfid.statistics, "__path__")
    from fastfid.statistics import Statistics as OldName  # what code for 0.1.0 may say

    assert OldName is Statistics


def test_the_longest_name_that_the_file_system_takes(tmp_path):
    statistics = Statistics(2).update(np.eye(2))
    path = statistics.save(tmp_path / ("x" * 251 + ".npz"))
    assert Statistics.load(path).n == 2
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_statistics_too_large_to_be_read_again_are_not_saved(tmp_path):
    statistics = Statistics(16385).update(np.eye(2, 16385, dtype=np.float32))
    with pytest.raises(InputError, match="16385 dims cannot be saved; files have at most 16384"):
        statistics.save(tmp_path / "a")
    assert not list(tmp_path.iterdir())
