"""Sides that are given as features, fits or statistics; one side alone; a file with both statistics and images."""

import json
from typing import ClassVar

import numpy as np
import pytest

import fastfid
from fastfid import Extractor, Fit, InputError, Statistics, compare
from fastfid.cli.main import main
from fastfid.metrics.moments import MOMENTS
from fastfid.metrics.rows import ROWS, Rows
from fastfid.metrics.saved import fill, fit_of_features
from pictures import folder, pictures
from stand_in import stand_in

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")

RNG = np.random.RandomState(0)
X, Y = RNG.randn(40, 6), RNG.randn(50, 6) + 0.3


@pytest.fixture(scope="module")
def extractor():
    return Extractor("inception-v3-random", dims=64, batch_size=4, roles=("features", "logits_unbiased"))


@pytest.fixture(scope="module")
def stem():
    """The first layers alone, which are much faster than the whole network that the logits need."""
    return Extractor("inception-v3-random", dims=64, batch_size=4)


class TestFeatures:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int64])
    @pytest.mark.parametrize("ending", [None, ".npy", ".npz"])
    def test_equal_to_the_distance_of_the_rows(self, tmp_path, dtype, ending):
        rows = [(10 * side).astype(dtype) for side in (X, Y)]
        given = rows
        if ending is not None:
            given = [tmp_path / f"{name}{ending}" for name in "ab"]
            for path, side in zip(given, rows, strict=True):
                (np.save if ending == ".npy" else np.savez)(path, side)
        result = compare(*given, features=True, metrics=["fid", "kid"])
        assert result.fid == fastfid.frechet_distance_from_features(*rows)
        assert result.scores["kid"].n == (40, 50)
        assert fastfid.score(*given, features=True) == result.fid
        assert result.provenance is None

    def test_kid_is_that_of_the_float32_rows(self):
        fits = [Fit({ROWS: Rows.of(side.astype(np.float32))}, len(side)) for side in (X, Y)]
        assert compare(X, Y, features=True, metrics=["kid"]).scores["kid"].value == fastfid.KID().value(*fits).value

    def test_beside_statistics_and_a_fit(self):
        statistics = Statistics(6).update(Y)
        expected = compare(X, Y, features=True).fid
        assert compare(X, statistics, features=True).fid == expected
        assert compare(fit_of_features(X, "x"), statistics).fid == expected

    def test_the_interval_counts_both_sides(self):
        """Rows of a saved side are resampled, too: here both have more rows than dims, so groups are left out."""
        interval = compare(X, Y, features=True, bootstrap=20).interval
        assert (interval.method, interval.fixed) == ("jackknife", ())

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            (X[0], r"must be a matrix of features, shape \(n, dims\); it has shape \(6,\)"),
            (X[:0], "must be a matrix of features"),
            (X[:1], "has 1 rows; a covariance needs at least 2"),
            (np.full((3, 2), np.nan), "not finite"),
            (X.astype(complex), "must be real numbers"),
            ("nowhere", "not a matrix of features: give an .npy or .npz"),
            ("nowhere.npy", "nowhere.npy"),
            (X[:, :5], "dims 5 in .*, 6 in"),
        ],
    )
    def test_errors(self, given, message):
        with pytest.raises(InputError, match=message):
            compare(given, Y, features=True)

    def test_errors_of_files(self, tmp_path):
        for name, values, message in (
            ("words.npy", np.array([["a"]]), "must be real numbers, got dtype <U1"),
            ("columns.npy", np.asfortranarray(X), "stored column by column"),
            ("cube.npy", np.zeros((2, 2, 2)), "must be a matrix of features"),
        ):
            np.save(tmp_path / name, values)
            with pytest.raises(InputError, match=message):
                compare(tmp_path / name, Y, features=True)
        np.savez(tmp_path / "two.npz", a=X, b=Y)
        with pytest.raises(InputError, match="two.npz must hold one matrix of features; it holds a, b"):
            compare(tmp_path / "two.npz", Y, features=True)
        cut = tmp_path / "cut.npy"
        np.save(cut, X)
        cut.write_bytes(cut.read_bytes()[:-8])
        with pytest.raises(InputError, match="cannot read .*cut.npy"):
            compare(cut, Y, features=True)

    def test_the_command(self, tmp_path, capsys):
        np.save(tmp_path / "x.npy", X)
        np.save(tmp_path / "y.npy", Y)
        paths = [str(tmp_path / "x.npy"), str(tmp_path / "y.npy")]
        assert main(["--features", *paths, "--metrics", "fid,kid", "--json"]) == 0
        printed = json.loads(capsys.readouterr().out)
        assert printed["fid"] == fastfid.frechet_distance_from_features(X, Y)


class TestOneSide:
    def test_equal_to_the_first_of_two(self, tmp_path, extractor):
        images = pictures(12)
        alone = compare(images, metrics=["is"], model=extractor)
        both = compare(images, pictures(5, seed=1), metrics=["is"], model=extractor)
        assert alone.scores["is"].value == both.scores["is"].value
        assert alone.b is None
        assert both.b is None  # not read
        assert any("the second side is not read: is takes one side" in note for note in both.notes)
        assert json.loads(json.dumps(alone.as_dict()))["b"] is None

    def test_a_metric_of_two_needs_two(self, extractor):
        with pytest.raises(InputError, match="fid compares two sides, and only one is given; metrics of one side are"):
            compare(pictures(3), model=extractor)

    def test_the_command(self, tmp_path, capsys):
        path = str(folder(tmp_path / "a", pictures(11)))
        assert main([path, "--metrics", "is", "--model", "inception-v3-random"]) == 0
        assert capsys.readouterr().out.startswith("IS:  1.0")
        with pytest.raises(SystemExit):
            main([path])
        assert "give two paths, not 1" in capsys.readouterr().err
        with pytest.raises(SystemExit):
            main([path, path, path])
        assert "give two paths, not 3" in capsys.readouterr().err


class TestStatisticsWithImages:
    """As ADM's reference files are: mu and sigma of all images, and some of the images in arr_0."""

    @pytest.fixture
    def reference(self, tmp_path, stem):
        saved = fastfid.statistics(pictures(30, seed=1), model=stem)
        np.savez(tmp_path / "ref.npz", mu=saved.mu, sigma=saved.sigma, arr_0=pictures(12, seed=1))
        return tmp_path / "ref.npz"

    def test_each_metric_takes_what_is_there(self, reference, stem):
        images = pictures(9)
        result = compare(images, reference, metrics=["fid", "kid"], model=stem)
        whole = Statistics.load(reference)
        assert result.fid == compare(images, whole, model=stem).fid
        expected = compare(images, pictures(12, seed=1), metrics=["kid"], model=stem).scores["kid"]
        assert result.scores["kid"].value == expected.value
        assert result.scores["kid"].n == (9, 12)

    def test_the_images_are_not_read_for_the_fid(self, reference, stem):
        both = fastfid.compare(reference, reference, model=stem, progress=lambda *_: pytest.fail("read"))
        assert both.fid == 0

    def test_without_images(self, tmp_path):
        Statistics(3).update(X[:, :3]).save(tmp_path / "s.npz")
        with pytest.raises(InputError, match="has no Rows of features: give the images, or"):
            compare(tmp_path / "s.npz", tmp_path / "s.npz", metrics=["kid"])


def test_fill_computes_only_what_is_missing():
    fit = Fit({ROWS: Rows.of(X.astype(np.float32))}, len(X))
    fill(fit, (ROWS, MOMENTS))
    assert np.array_equal(fit[MOMENTS].mu, Statistics(6).update(X.astype(np.float32)).mu)
    moments = fit[MOMENTS]
    fill(fit, (MOMENTS,))
    assert fit[MOMENTS] is moments


def test_a_fit_that_is_given_stays_as_it_is():
    fit = Fit({ROWS: Rows.of(X.astype(np.float32))}, len(X))
    assert compare(fit, fit).fid == pytest.approx(0, abs=1e-12)
    assert list(fit.states) == [ROWS]


class TestFit:
    def test_one_pass_serves_all_metrics_later(self, extractor):
        a, b = pictures(12), pictures(13, seed=1)
        metrics = ["fid", "kid", "is"]
        fits = [fastfid.fit(images, model=extractor, metrics=metrics) for images in (a, b)]
        expected, found = compare(a, b, metrics=metrics, model=extractor), compare(*fits, metrics=metrics)
        for metric in metrics:
            assert found.scores[metric].value == expected.scores[metric].value
        assert found.provenance == expected.provenance == fits[0].provenance

    def test_it_keeps_rows_for_other_accumulators(self, stem):
        class Own(fastfid.Metric):
            name = "own"
            needs = (fastfid.Need("features", Largest),)

            def value(self, a, b):
                return fastfid.Score(float(abs(a[self.needs[0]].most - b[self.needs[0]].most)))

        a, b = pictures(5), pictures(6, seed=1)
        fits = [fastfid.fit(images, model=stem, metrics=[Own()]) for images in (a, b)]
        assert list(fits[0].states) == [MOMENTS, ROWS]
        expected = compare(a, b, metrics=[Own()], model=stem).scores["own"].value
        assert compare(*fits, metrics=[Own()]).scores["own"].value == expected

    def test_what_is_not_there_is_named(self, stem):
        fit = fastfid.fit(pictures(5), model=stem)
        assert str(fit) == "Fit(n=5, Statistics of features, inception-v3-random, pytorch)"
        with pytest.raises(InputError, match="has no Rows of logits_unbiased"):
            compare(fit, metrics=["is"])

    def test_different_networks_are_noticed(self, stem):
        other = fastfid.fit(pictures(5), model="inception-v3-random", mode="tensorflow", dims=64, metrics=["kid"])
        with pytest.raises(fastfid.StatisticsMismatch, match="mode pytorch in .*, tensorflow in"):
            compare(pictures(5), other, metrics=["kid"], model=stem)


class Largest(fastfid.Accumulator):
    def __init__(self, dims):
        self.most = 0.0

    def update(self, rows):
        self.most = max(self.most, float(rows.max()))

    def merge(self, other):
        self.most = max(self.most, other.most)


def test_few_images_are_no_matter_without_the_fid():
    few = X[:4]
    assert (
        compare(few, Y, features=True, metrics=["kid"]).warnings
        == compare(X, Y, features=True, metrics=["kid"]).warnings
    )
    assert any(text.startswith("few-images") for text in compare(few, Y, features=True).warnings)


class TestMixed:
    """A file whose statistics and images may be of another model or mode, and are not the same set."""

    RUN: ClassVar = {"model": "inception-v3-random", "dims": 64}

    @pytest.fixture
    def reference(self, tmp_path):
        """As `fastfid.reference` writes it, for the first features of the network, which are fast."""
        images = pictures(14, seed=1)
        path = fastfid.statistics(images, mode="tensorflow", **self.RUN).save(tmp_path / "ref.npz")
        with np.load(path) as held:
            np.savez(path, **held, arr_0=images[:8])
        return path

    @pytest.fixture
    def unsigned(self, reference, tmp_path):
        with np.load(reference) as held:
            np.savez(tmp_path / "unsigned.npz", **{key: held[key] for key in held if key not in ("fastfid", "rows")})
        return tmp_path / "unsigned.npz"

    def test_its_statistics_must_be_of_this_run(self, reference):
        other = fastfid.fit(pictures(9), mode="tensorflow", metrics=["fid", "kid"], **self.RUN)
        run = {"metrics": ["authpct"], **self.RUN}
        assert compare(pictures(9), reference, mode="tensorflow", **run).scores["authpct"].n == (9, 14)
        (reference.parent / "sigma-only.npz").write_bytes(b"")
        with np.load(reference) as held:
            np.savez(reference, **{key: held[key] for key in held if key != "rows"})
        assert compare(other, reference, mode="tensorflow", **run).scores["authpct"].n == (9, 8)
        with pytest.raises(fastfid.StatisticsMismatch, match="mode tensorflow in the statistics in .*ref.npz, pytorch"):
            compare(pictures(9), reference, **run)
        with pytest.raises(fastfid.StatisticsMismatch, match="mode tensorflow in the array, pytorch in this run"):
            compare(other, reference, **run)
        forced = compare(other, reference, force=True, **run)
        assert forced.forced

    def test_it_is_said_if_nothing_is_known(self, unsigned):
        run = {"metrics": ["fid", "authpct"], "mode": "tensorflow", **self.RUN}
        result = compare(pictures(9), unsigned, **run)
        assert any("no record of the model and mode that made these statistics" in text for text in result.warnings)
        assert result.scores["fid"].n == (9, 14)
        assert result.scores["authpct"].n == (9, 8)
        assert "n 9 and 14" in result.citation

    def test_the_limit_concerns_its_images(self, unsigned):
        run = {"metrics": ["fid", "authpct"], "mode": "tensorflow", **self.RUN}
        result = compare(pictures(9), unsigned, limit=5, **run)
        assert any("limit=5 does not apply to the statistics in" in text for text in result.warnings)
        assert result.scores["fid"].n == (5, 14)
        assert result.scores["authpct"].n == (5, 5)

    def test_two_sets_are_not_saved_as_one(self, unsigned, tmp_path, capsys):
        with pytest.raises(InputError, match="together they are not one set"):
            fastfid.fit(unsigned, mode="tensorflow", metrics=["kid"], **self.RUN)
        arguments = ["--save-stats", str(unsigned), str(tmp_path / "out"), "--with", "kid"]
        assert main([*arguments, "--model", "inception-v3-random", "--dims", "64", "--mode", "tensorflow"]) == 1
        assert not (tmp_path / "out.npz").exists()

    def test_lengths_are_those_of_what_is_compared(self, tmp_path):
        rows = RNG.randn(30, 8).astype(np.float32)
        good = fastfid.save(fastfid.fit(rows, features=True, metrics=["kid"]), tmp_path / "good.npz")
        moments = Statistics(8).update(rows)
        np.savez(tmp_path / "images.npz", mu=moments.mu, sigma=moments.sigma, n=30, arr_0=pictures(6))
        with pytest.raises(fastfid.StatisticsMismatch, match=r"dims 64 in .*images.npz, 8 in .*good.npz"):
            compare(tmp_path / "images.npz", good, metrics=["kid"], model="inception-v3-random", dims=64)


def test_a_metric_from_outside_cannot_change_the_rows():
    class Careless(fastfid.Metric):
        name = "careless"
        needs = (ROWS,)

        def value(self, a, b):
            rows = a[ROWS].matrix
            rows -= rows.mean(axis=0)
            return fastfid.Score(0.0)

    with pytest.raises(ValueError, match="read-only"):
        compare(X, Y, features=True, metrics=[Careless(), "kid"])


@pytest.mark.parametrize("option", [{"method": "schur"}, {"bootstrap": 20}])
def test_parameters_of_the_fid_need_the_fid(option):
    with pytest.raises(InputError, match="is no parameter of any metric that is asked for"):
        compare(X, Y, features=True, metrics=["kid"], **option)


def test_features_beyond_float32():
    huge = [side * 1e39 for side in (X, Y)]
    assert compare(*huge, features=True).fid == pytest.approx(1e78 * compare(X, Y, features=True).fid, rel=1e-9)
    for metric in ("kid", "prdc", "mind", "cmmd"):
        with pytest.raises(InputError, match="finite"):
            compare(*huge, features=True, metrics=[metric])


def test_fits_are_named_and_warned_of_like_their_images(tmp_path):
    model = fastfid.Extractor(stand_in(tmp_path / "own.onnx"))
    one = folder(tmp_path / "one", pictures(20, 16))
    other = folder(tmp_path / "other", pictures(20, 32, 1), "jpg")
    whole = fastfid.compare(one, other, model=model, progress=False)
    fits = [fastfid.fit(side, model=model, progress=False) for side in (one, other)]
    found = fastfid.compare(*fits)
    assert (found.a, found.b, found.fid) == (whole.a, whole.b, whole.fid)
    assert {text.partition(":")[0] for text in found.warnings} == {"format", "size"}
    assert sorted(found.warnings) == sorted(whole.warnings)
    kept = fastfid.save(fits[0], tmp_path / "one.npz")
    assert fastfid.compare(fastfid.load(kept), fits[1]).a.name == str(kept)
