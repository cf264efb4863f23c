"""Confidence intervals and the extrapolation to unlimited images."""

import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastfid
from fastfid.cli.main import main
from fastfid.metrics.frechet import Gaussian, distance, gaussian_from_rows
from fastfid.metrics.intervals import BLOCKS, Blocks, bootstrap, jackknife
from pictures import folder, pictures


def draw(n, d=4, seed=0, scale=1.0):
    return np.random.RandomState(seed).standard_normal((n, d)).astype(np.float32) * np.float32(scale)


def dealt(rows, batch=50):
    blocks = Blocks(rows.shape[1])
    for start in range(0, len(rows), batch):
        blocks.update(rows[start : start + batch])
    return blocks


def groups_of(n):
    """Twin of the dealing: a row to each of the groups in turn."""
    return np.arange(n) % BLOCKS


@pytest.mark.parametrize("n", [3, 19, 20, 640, 1501])
@pytest.mark.parametrize("d", [3, 200])
def test_leaving_a_group_out_equals_the_moments_of_the_others(n, d):
    rows, group = draw(n, d), groups_of(n)
    parts = list(dealt(rows).left_out())
    assert len(parts) == len(np.unique(group))
    for i, part in enumerate(parts):
        rest = rows[group != i].astype(np.float64)
        np.testing.assert_allclose(part.mu, rest.mean(axis=0), atol=1e-14)
        np.testing.assert_allclose(part.covariance, np.cov(rest, rowvar=False), atol=1e-13)


def test_groups_do_not_depend_on_the_batches():
    rows = draw(700)
    one, other = (list(dealt(rows, batch).left_out()) for batch in (7, 700))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.covariance, b.covariance)


def pickled(blocks):
    return pickle.loads(pickle.dumps(blocks))


def merged(pieces, d, through=lambda blocks: blocks):
    blocks = Blocks(d)
    for rows in pieces:
        blocks = through(blocks).merge(through(Blocks(d).update(rows)))
    return blocks


@given(
    sizes=st.lists(st.integers(0, 90) | st.sampled_from([19, 20, 21, 700, 11_000]), min_size=4, max_size=6),
    d=st.sampled_from([2, 40]),
)
def test_merged_pieces_have_the_groups_of_one_stream(sizes, d):
    rows = draw(3 + sum(sizes), d)
    pieces = np.split(rows, np.cumsum(sizes))
    stream, blocks = Blocks(d).update(rows), merged(pieces, d)
    for part, expected in zip(blocks.left_out(), stream.left_out(), strict=True):
        np.testing.assert_allclose(part.mu, expected.mu, rtol=0, atol=1e-13)
        np.testing.assert_allclose(part.covariance, expected.covariance, rtol=0, atol=1e-13)
    for part, expected in zip(merged(pieces, d, pickled).left_out(), blocks.left_out(), strict=True):
        np.testing.assert_array_equal(part.mu, expected.mu)
        np.testing.assert_array_equal(part.covariance, expected.covariance)


def test_merged_pieces_have_the_interval_of_one_stream():
    x, y = draw(1501, seed=1), draw(900, seed=2, scale=1.2)
    sides = [gaussian_from_rows(rows.astype(float)) for rows in (x, y)]
    value = distance(*sides).value
    expected = jackknife(sides, [dealt(x), dealt(y)], value)
    parts = [merged(np.split(rows, [7, 400, 433]), 4) for rows in (x, y)]
    found = jackknife(sides, parts, value)
    assert (found.low, found.high, found.standard_error) == pytest.approx(
        (expected.low, expected.high, expected.standard_error), rel=1e-12
    )
    assert jackknife(sides, [pickled(blocks) for blocks in parts], value) == found


def test_groups_merged_with_themselves():
    x = draw(50)
    blocks = dealt(x)
    twice = Blocks(4).update(x).update(x)
    for part, expected in zip(blocks.merge(blocks).left_out(), twice.left_out(), strict=True):
        np.testing.assert_allclose(part.covariance, expected.covariance, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"version": 2}, "a state of Blocks has version 2, this fastfid reads up to 1"),
        ({"seen": 51}, "damaged: 51 rows are not"),
        ({"shift_7": np.zeros(3)}, "damaged: the length of shift must be 0, got 3"),
    ],
)
def test_a_state_of_groups_that_cannot_be_is_refused(changed, message):
    state = {**dealt(draw(50)).__getstate__(), **changed}
    with pytest.raises(fastfid.InputError, match=message):
        Blocks.__new__(Blocks).__setstate__(state)


def test_jackknife_is_the_textbooks_formula():
    x, y = draw(800, seed=1), draw(900, seed=2, scale=1.2)
    a, b = gaussian_from_rows(x.astype(float)), gaussian_from_rows(y.astype(float))
    value = distance(a, b).value
    got = jackknife([a, b], [dealt(x), dealt(y)], value)
    variance = 0.0
    for rows, other in ((x, b), (y, a)):
        group = groups_of(len(rows))
        fids = [distance(gaussian_from_rows(rows[group != g].astype(float)), other).value for g in range(BLOCKS)]
        variance += (BLOCKS - 1) / BLOCKS * np.sum((np.array(fids) - np.mean(fids)) ** 2)
    assert got.standard_error == pytest.approx(np.sqrt(variance), rel=1e-9)
    assert (got.low, got.high) == pytest.approx(
        (value - 1.96 * got.standard_error, value + 1.96 * got.standard_error), rel=1e-4
    )
    assert (got.method, got.replicates, got.fixed) == ("jackknife", 40, ())


def coverage(interval, size, trials=150, d=4):
    """How often the interval holds the mean FID of such sets: what it estimates, the bias of small sets included."""
    pairs = [(draw(size, d, 2 * i), draw(size, d, 2 * i + 1, scale=1.5)) for i in range(trials)]
    fids = [distance(*(gaussian_from_rows(r.astype(float)) for r in pair)).value for pair in pairs]
    target = np.mean(fids)
    found = [interval(x, y, fid) for (x, y), fid in zip(pairs, fids, strict=True)]
    return np.mean([i.low <= target <= i.high for i in found])


def test_jackknife_covers():
    def interval(x, y, fid):
        sides = [gaussian_from_rows(r.astype(float)) for r in (x, y)]
        return jackknife(sides, [dealt(x), dealt(y)], fid)

    assert 0.88 <= coverage(interval, 700, trials=80) <= 1


def test_bootstrap_covers():
    def interval(x, y, fid):
        return bootstrap([gaussian_from_rows(r.astype(float)) for r in (x, y)], fid, 50, seed=0)

    assert 0.88 <= coverage(interval, 40, trials=80, d=40) <= 1


def test_bootstrap_is_seeded_and_keeps_known_sides():
    x, y = (gaussian_from_rows(draw(20, 30, s).astype(float)) for s in (1, 2))
    value = distance(x, y).value
    one, again, other = (bootstrap([x, y], value, 30, seed) for seed in (1, 1, 2))
    assert one == again != other
    assert 0 <= one.low < value < one.high
    known = bootstrap([x, Gaussian(y.mu, y.covariance)], value, 30, 1)
    assert known.fixed == ("b",)
    assert known.standard_error < one.standard_error


class TestCompare:
    pytestmark = pytest.mark.filterwarnings("ignore:.*fewer than:fastfid.FastFIDWarning")

    @pytest.fixture
    def extractor(self):
        return fastfid.Extractor("inception-v3-random", dims=64, batch_size=16)

    def test_bootstrap_of_few_images(self, extractor):
        result = fastfid.compare(pictures(12), pictures(14, seed=1), model=extractor, bootstrap=20, seed=3)
        assert result.interval.method == "bootstrap"
        assert result.interval.low < result.fid < result.interval.high
        again = fastfid.compare(pictures(12), pictures(14, seed=1), model=extractor, bootstrap=20, seed=3)
        assert again.interval == result.interval
        assert fastfid.compare(pictures(12), pictures(14, seed=1), model=extractor).interval is None

    def test_jackknife_of_many(self, extractor):
        known = fastfid.Statistics.from_moments(np.zeros(64), np.eye(64), 400, extractor.provenance)
        result = fastfid.compare(pictures(100), known, model=extractor, bootstrap=20)
        assert result.interval.method == "jackknife"
        assert result.interval.fixed == ("b",)
        assert result.interval.replicates == BLOCKS

    def test_two_known_sides_have_no_interval(self, extractor):
        known = fastfid.Statistics.from_moments(np.zeros(64), np.eye(64), 1000)
        with (
            pytest.warns(fastfid.FastFIDWarning, match="no record"),
            pytest.raises(fastfid.InputError, match="bootstrap needs images"),
        ):
            fastfid.compare(known, fastfid.Statistics.from_moments(np.ones(64), np.eye(64), 1000), bootstrap=20)

    def test_too_few_images_for_a_jackknife(self):
        with pytest.raises(fastfid.InputError, match="at least 3"):
            list(dealt(draw(2, 1)).left_out())

    @pytest.mark.parametrize("replicates", [-1, 1, 19])
    def test_too_few_replicates(self, replicates):
        with pytest.raises(fastfid.InputError, match="at least"):
            fastfid.compare("a", "b", bootstrap=replicates)

    def test_command_line(self, tmp_path, capsys):
        a, b = (str(folder(tmp_path / name, pictures(6, seed=seed))) for seed, name in enumerate("ab"))
        arguments = [a, b, "--model", "inception-v3-random", "--dims", "64", "--bootstrap", "20"]
        assert main(arguments) == 0
        out, err = capsys.readouterr()
        assert out.startswith("FID:  ")
        assert "of the FID of this many images (by bootstrap, 20 replicates)" in err
        assert main([*arguments, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["interval"]["replicates"] == 20


class TestInfinity:
    def test_is_nearer_to_the_truth_than_any_finite_number(self):
        x, y = draw(3000, 16, 1), draw(200_000, 16, 2)
        found = fastfid.fid_infinity(x, y, seed=5)
        assert abs(found.fid) < min(found.fids) / 3
        assert found.slope > 0
        assert (found.sizes[0], found.sizes[-1], len(found.sizes)) == (300, 3000, 15)
        assert 0 < found.residual < found.fids[0] / 10
        assert fastfid.fid_infinity(x, y, seed=5) == found
        assert fastfid.fid_infinity(x, y, seed=6) != found

    def test_the_line_is_a_least_squares_line(self):
        found = fastfid.fid_infinity(draw(500, 3, 1), draw(500, 3, 2), points=5)
        inverse = 1 / np.array(found.sizes)
        design = np.stack([np.ones(5), inverse], axis=1)
        (fid, slope), rest, *_ = np.linalg.lstsq(design, np.array(found.fids), rcond=None)
        assert (found.fid, found.slope) == pytest.approx((fid, slope), rel=1e-8)
        assert found.residual == pytest.approx(np.sqrt(rest[0] / 5), rel=1e-6)

    def test_statistics_as_the_reference(self):
        x, y = draw(500, 3, 1), draw(500, 3, 2)
        known = fastfid.Statistics(3).update(y)
        assert fastfid.fid_infinity(x, known).fid == pytest.approx(fastfid.fid_infinity(x, y).fid)

    @pytest.mark.parametrize(
        ("y", "options", "text"),
        [
            (draw(1), {}, "at least 2 rows"),
            (draw(9, 5), {}, "same dims"),
            (draw(9), {"seed": -1}, "seed"),
            (draw(9), {"points": 3.5}, "whole number"),
        ],
    )
    def test_bad_arguments(self, y, options, text):
        with pytest.raises(fastfid.InputError, match=text):
            fastfid.fid_infinity(draw(100), y, **options)

    @pytest.mark.parametrize(
        ("n", "points", "text"), [(100, 2, "at least 3"), (10, 15, "too few"), (10, 10**18, "too few")]
    )
    def test_errors(self, n, points, text):
        with pytest.raises(fastfid.InputError, match=text):
            fastfid.fid_infinity(draw(n), draw(50), points=points)
