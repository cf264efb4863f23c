"""Files that serve more metrics than the FID: what is written is what is read, and the scores are the same."""

import numpy as np
import pytest

import fastfid
from fastfid import Extractor, Fit, InputError, Need, Statistics, compare
from fastfid.cli.main import main
from fastfid.metrics.inception_score import LOGITS
from fastfid.metrics.rows import ROWS, Rows
from pictures import folder, pictures

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")

METRICS = ["fid", "kid", "is"]
SPATIAL = Need("spatial", Statistics)
RNG = np.random.RandomState(0)


@pytest.fixture(scope="module")
def extractor():
    roles = ("features", "logits_unbiased", "spatial")
    return Extractor("inception-v3-random", dims=64, batch_size=4, roles=roles)


class Spatial(fastfid.Metric):
    name = "spatial"
    needs = (SPATIAL,)

    def value(self, a, b):
        return fastfid.Score(float(np.abs(a[SPATIAL].sigma - b[SPATIAL].sigma).max()))


def filled(n, dims=3, seed=0):
    """A fit of n images with everything that a file can hold."""
    rows = np.random.RandomState(seed).randn(n, dims).astype(np.float32)
    fit = fastfid.fit(rows, features=True, metrics=["kid"])
    fit.states[LOGITS] = Rows(5).update(np.random.RandomState(seed + 1).randn(n, 5).astype(np.float32))
    fit.states[SPATIAL] = Statistics(4).update(np.random.RandomState(seed + 2).randn(n, 4))
    return fit


@pytest.mark.parametrize("n", [3, 40])
def test_round_trip(tmp_path, n):
    fit = filled(n)
    back = fastfid.load(fastfid.save(fit, tmp_path / "f"))
    assert list(map(str, back.states)) == list(map(str, fit.states))
    assert back.n == n
    for need, state in fit.states.items():
        if isinstance(state, Rows):
            assert np.array_equal(back[need].matrix, state.matrix)
        else:
            assert np.array_equal(back[need].mu, state.mu)
            assert np.array_equal(back[need].sigma, state.sigma)


def test_scores_from_files_are_those_from_images(tmp_path, extractor):
    a, b = pictures(12), pictures(13, seed=1)
    metrics = [*METRICS, Spatial()]
    paths = [
        fastfid.save(fastfid.fit(images, model=extractor, metrics=metrics), tmp_path / f"{name}.npz")
        for name, images in (("a", a), ("b", b))
    ]
    expected, found = compare(a, b, model=extractor, metrics=metrics), compare(*paths, metrics=metrics)
    for name, score in expected.scores.items():
        assert found.scores[name].value == pytest.approx(score.value, rel=1e-12)
        assert found.scores[name].n == score.n
    assert found.provenance == expected.provenance
    mixed = compare(a, paths[1], model=extractor, metrics=metrics)
    assert mixed.scores["kid"].value == expected.scores["kid"].value


def test_other_tools_read_mu_and_sigma(tmp_path):
    with np.load(fastfid.save(filled(40), tmp_path / "f.npz")) as held:
        assert set(held) == {"mu", "sigma", "n", "rows", "rows_logits_unbiased", "mu_s", "sigma_s", "roles"}
        assert held["mu"].dtype == held["sigma"].dtype == np.float64


def test_a_file_with_rows_has_the_same_fid_as_one_without(tmp_path):
    fit = filled(40)
    fastfid.save(fit, tmp_path / "with.npz")
    fit.states[fastfid.metrics.fid.MOMENTS].save(tmp_path / "without.npz")
    other = Statistics(3).update(RNG.randn(50, 3))
    with_rows = compare(tmp_path / "with.npz", other, metrics=["fid"]).fid
    assert with_rows == compare(tmp_path / "without.npz", other).fid


def test_a_fit_of_rows_alone_gets_its_moments(tmp_path):
    rows = RNG.randn(40, 3).astype(np.float32)
    fit = Fit({ROWS: Rows.of(rows)}, 40)
    back = fastfid.load(fastfid.save(fit, tmp_path / "f.npz"))
    assert list(fit.states) == [ROWS]
    assert np.array_equal(back[fastfid.metrics.fid.MOMENTS].mu, Statistics(3).update(rows).mu)


class Sums(fastfid.Accumulator):
    def __init__(self, dims):
        self.total = np.zeros(dims)

    def update(self, rows):
        self.total += rows.sum(axis=0)

    def merge(self, other):
        self.total += other.total


def test_what_cannot_be_saved(tmp_path):
    fit = filled(5)
    fit.states[Need("logits", Sums)] = Sums(5)
    with pytest.raises(InputError, match="Sums of logits cannot be saved; files hold means, covariances and rows"):
        fastfid.save(fit, tmp_path / "f.npz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sigma_s": np.eye(3)}, r"mu_s and sigma_s must have shapes"),
        ({"mu_s": np.zeros((2, 2))}, r"mu_s and sigma_s must have shapes"),
        ({"mu_s": np.full(4, np.nan)}, "mu_s holds 4 values that are not finite"),
        ({"sigma_s": -np.eye(4)}, "sigma_s is not a covariance"),
        ({"rows_logits_unbiased": np.zeros((4, 5))}, r"rows_logits_unbiased must have shape \(5, dims\)"),
        ({"rows_logits_unbiased": np.zeros(5)}, r"rows_logits_unbiased must have shape \(5, dims\)"),
        ({"rows_logits_unbiased": np.full((5, 5), np.inf)}, "rows_logits_unbiased holds 25 values that are not finite"),
        ({"rows_logits_unbiased": np.array([["a"] * 5] * 5)}, "rows_logits_unbiased must be real numbers"),
        ({"rows_logits_unbiased": np.array([[object] * 5] * 5)}, "dtype object are not read"),
    ],
)
def test_damaged_arrays_of_other_roles(tmp_path, changed, message):
    with np.load(fastfid.save(filled(5), tmp_path / "f.npz")) as held:
        np.savez(tmp_path / "g.npz", **{**held, **changed})
    with pytest.raises(InputError, match=message) as caught:
        fastfid.load(tmp_path / "g.npz")
    assert str(tmp_path / "g.npz") in str(caught.value)
    fid = compare(tmp_path / "g.npz", tmp_path / "f.npz").fid  # what is not needed is not read
    assert fid == pytest.approx(0, abs=1e-12)


class TestCommand:
    OPTIONS = ("--model", "inception-v3-random", "--dims", "64")

    def test_with(self, tmp_path, capsys, extractor):
        a, b = (str(folder(tmp_path / name, pictures(12, seed=seed))) for seed, name in enumerate("ab"))
        target = str(tmp_path / "b.npz")
        assert main(["--save-stats", b, target, "--with", "kid,is", *self.OPTIONS]) == 0
        assert "saved the statistics of 12 images" in capsys.readouterr().err
        assert main([a, target, "--metrics", "kid", *self.OPTIONS]) == 0
        expected = compare(a, b, metrics=["kid"], model="inception-v3-random", dims=64).scores["kid"].value
        assert f"KID:  {expected} " in capsys.readouterr().out
        assert main([target, "--metrics", "is"]) == 0
        assert capsys.readouterr().out.startswith("IS:  ")

    def test_with_needs_save_stats(self, capsys):
        with pytest.raises(SystemExit):
            main(["a", "b", "--with", "kid"])
        assert "--with says what --save-stats writes, and needs that option" in capsys.readouterr().err

    def test_merge_keeps_what_all_have(self, tmp_path, capsys):
        for seed, name in enumerate("ab"):
            fastfid.save(filled(40, seed=10 * seed), tmp_path / f"{name}.npz")
        plain = filled(30)
        del plain.states[LOGITS]
        fastfid.save(plain, tmp_path / "c.npz")
        out, inputs = str(tmp_path / "out.npz"), [str(tmp_path / f"{name}.npz") for name in "abc"]
        assert main(["merge", out, *inputs[:2]]) == 0
        merged = fastfid.load(out)
        rows = np.concatenate([fastfid.load(path)[ROWS].matrix for path in inputs[:2]])
        assert np.array_equal(merged[ROWS].matrix, rows)
        assert merged[LOGITS].matrix.shape == (80, 5)
        assert merged[SPATIAL].n == 80
        capsys.readouterr()
        assert main(["merge", out, *inputs, "--force"]) == 0
        assert "note: the result has no Rows of logits_unbiased" in capsys.readouterr().err
        assert LOGITS not in fastfid.load(out).states
        assert fastfid.load(out).n == 110


def test_keys_of_other_programs_are_ignored(tmp_path):
    """Also those that are called like a role: a file names the roles it has."""
    fit = filled(40)
    with np.load(fastfid.save(fit, tmp_path / "f.npz")) as held:
        extra = {"mu_features": np.zeros(3), "sigma_features": np.eye(3), "rows_features": np.zeros((40, 3))}
        more = {"rows_total": np.zeros(5), "mu_x": np.zeros(2), "sigma_x": np.zeros(5)}
        np.savez(tmp_path / "g.npz", **{**held, **extra, **more, "roles": "features logits_unbiased spatial"})
    back = fastfid.load(tmp_path / "g.npz")
    assert list(map(str, back.states)) == list(map(str, fit.states))
    assert np.array_equal(back[ROWS].matrix, fit[ROWS].matrix)


def test_rows_of_a_role_need_n(tmp_path):
    with np.load(fastfid.save(filled(40), tmp_path / "f.npz")) as held:
        np.savez(tmp_path / "g.npz", **{key: held[key] for key in held if key not in ("n", "rows")})
    with pytest.raises(InputError, match=r"g\.npz: rows_logits_unbiased needs n"):
        fastfid.load(tmp_path / "g.npz")


def test_all_rows_together_are_bounded(tmp_path, monkeypatch):
    path = fastfid.save(filled(40), tmp_path / "f.npz")
    monkeypatch.setattr("fastfid.metrics.role_arrays.MOST_ROWS_BYTES", 40 * 5 * 4 - 1)
    with pytest.raises(InputError, match="its rows have more than 799 bytes"):
        fastfid.load(path)


def test_a_merge_that_fails_changes_nothing(tmp_path, capsys):
    whole, other = filled(40), filled(40)
    other.states[LOGITS] = Rows(6).update(np.zeros((40, 6), np.float32))
    with pytest.raises(InputError, match="Rows of logits_unbiased of 5 and of 6 dims cannot be merged"):
        whole.merge(other)
    del other.states[LOGITS]
    with pytest.raises(InputError, match="there is no Rows of logits_unbiased here"):
        whole.merge(other)
    assert (whole.n, whole[fastfid.metrics.fid.MOMENTS].n) == (40, 40)
    other.states[LOGITS] = Rows(6).update(np.zeros((40, 6), np.float32))
    paths = [str(fastfid.save(fit, tmp_path / f"{i}.npz")) for i, fit in enumerate((whole, other))]
    assert main(["merge", str(tmp_path / "out.npz"), *paths]) == 1
    assert "cannot be merged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--protocol", "adm"], "--protocol has no effect with --save-stats"),
        (["--per-class"], "--per-class has no effect with --save-stats"),
        (["--bootstrap", "20"], "--bootstrap has no effect with --save-stats"),
        (["--with", "kid", "--format", "edm2"], "--format edm2 holds mean and covariance only"),
    ],
)
def test_what_a_file_cannot_have_is_bad_usage(capsys, arguments, message):
    with pytest.raises(SystemExit):
        main(["--save-stats", "a", "b", *arguments])
    assert message in capsys.readouterr().err


def test_save_takes_a_fit(tmp_path):
    with pytest.raises(InputError, match="save takes a Fit, got a Statistics; a Statistics has its own save"):
        fastfid.save(Statistics(2), tmp_path / "f.npz")
