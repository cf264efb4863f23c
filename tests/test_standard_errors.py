"""How sure KID, the Inception Score and the sFID are, and the FID extrapolated on both sides."""

import json
from math import inf
from statistics import NormalDist

import numpy as np
import pytest
from mpmath import mp
from scipy.linalg import sqrtm

import fastfid
from fastfid import KID, SFID, Fit, InceptionScore, InputError, Statistics
from fastfid.cli.main import main
from fastfid.metrics.inception_score import LOGITS
from fastfid.metrics.kid_certainty import _Centred
from fastfid.metrics.limits import limits, limits_of
from fastfid.metrics.mmd import PairSums, mmd
from fastfid.metrics.rows import ROWS, Rows
from fastfid.metrics.same_population import Law
from fastfid.metrics.sfid import SPATIAL

FIELDS = ("bias", "corrected", "noise_floor", "standard_error", "low", "high", "p_value", "influence_x", "influence_y")


def fit(need, rows):
    return Fit({need: Rows.of(rows)}, len(rows))


def kid(x, y, **parameters):
    return KID(certainty=True, **parameters).value(fit(ROWS, x), fit(ROWS, y))


def draw(seed, n, m, d=6, shift=0.0):
    rng = np.random.RandomState(seed)
    return np.maximum(rng.randn(n, d) + 1, 0), np.maximum(rng.randn(m, d) + 1, 0) + shift


def refused(sure, text):
    assert text in sure.reason
    assert all(getattr(sure, name) is None for name in FIELDS)
    return True


# KID


@pytest.mark.parametrize(("n", "m"), [(12, 12), (9, 14)])
def test_kid_is_what_it_was(n, m):
    x, y = draw(0, n, m, shift=0.3)
    score, plain = kid(x, y), KID().value(fit(ROWS, x), fit(ROWS, y))
    assert plain.certainty is None
    assert (score.value, score.parts) == (plain.value, plain.parts)
    sure = score.certainty
    assert (sure.value, sure.corrected, sure.bias, sure.noise_floor) == (plain.value, plain.value, 0, 0)
    assert (sure.n, sure.method, sure.fixed, sure.reason) == ((n, m), "U-statistic", (), "")


def test_influences_of_kid_are_those_without_the_image():
    x, y = draw(1, 150, 100, shift=0.3)
    sure = kid(x, y).certainty
    for ours, n, without in (
        (sure.influence_x, 150, lambda i: (np.delete(x, i, 0), y)),
        (sure.influence_y, 100, lambda i: (x, np.delete(y, i, 0))),
    ):
        exact = np.array([sure.value - mmd(*without(i))[0] for i in range(n)]) * (n - 1)
        assert ours.sum() == pytest.approx(0, abs=1e-10)
        assert np.corrcoef(ours, exact)[0, 1] > 0.999
        assert np.polyfit(ours, exact, 1)[0] == pytest.approx(1, abs=2.5 / n)


def centred(x, y):
    """Return the matrix of the cubic kernel of all rows, centred, from its definition."""
    both = np.concatenate([x, y])
    gram = (both @ both.T / both.shape[1] + 1) ** 3
    left = np.eye(len(both)) - 1 / len(both)
    return left @ gram @ left


def test_centred_kernel_and_its_law_are_those_of_all_pairs():
    x, y = draw(2, 90, 60)
    expected = centred(x, y)
    kernel, diagonal = _Centred.of(x, y, PairSums.of(x, y))
    np.testing.assert_allclose(diagonal, np.diag(expected), rtol=1e-8)
    first, second = np.array([3, 100, 89, 90]), np.array([140, 5, 90, 90])
    found = kernel.of_pairs(kernel.taken(first), kernel.taken(second))
    np.testing.assert_allclose(found, expected[first, second], rtol=1e-8)
    law = Law.of(kernel, diagonal, np.arange(150), kernel.taken, (75, 75))
    np.fill_diagonal(expected, 0)
    g = 2 / 75
    two, three = np.sum(expected**2) / 150**2, np.trace(expected @ expected @ expected) / 150**3
    assert law.variance == pytest.approx(2 * g**2 * two, rel=0.05)
    assert law.skewness == pytest.approx(8 * three / (2 * two) ** 1.5, rel=0.1)


def test_kid_of_one_population():
    found = [kid(*draw(seed, 60, 90)).certainty for seed in range(400)]
    values = np.array([sure.value for sure in found])
    error = np.sqrt(np.mean([sure.standard_error**2 for sure in found]))
    assert error == pytest.approx(values.std(ddof=1), rel=0.15)
    p = np.sort([sure.p_value for sure in found])
    ranks = np.arange(1, 401) / 400
    assert max((ranks - p).max(), (p - ranks + 1 / 400).max()) < 1.63 / 20  # Kolmogorov-Smirnov, 1 %
    assert 0.92 <= np.mean([sure.low == 0 for sure in found]) <= 0.98
    assert all((sure.low == 0) == (sure.p_value >= 0.05) and 0 <= sure.low < sure.high for sure in found)


@pytest.mark.parametrize("shift", [0.15, 0.6])
def test_kid_of_two_populations(shift):
    population = draw(0, 2000, 1)[0]
    sides = (population, population + shift)
    gram = [((a @ b.T / 6 + 1) ** 3).mean() for a in sides for b in sides]
    true = gram[0] - gram[1] - gram[2] + gram[3]
    found = []
    for seed in range(300):
        rng = np.random.RandomState(seed)
        found.append(kid(*(side[rng.randint(0, 2000, n)] for side, n in zip(sides, (60, 90), strict=True))).certainty)
    error = np.sqrt(np.mean([sure.standard_error**2 for sure in found]))
    assert error == pytest.approx(np.std([sure.value for sure in found], ddof=1), rel=0.15)
    assert 0.92 <= np.mean([sure.low <= true <= sure.high for sure in found]) <= 0.995


def test_kid_does_not_depend_on_the_order():
    x, y = draw(3, 40, 50, shift=0.2)
    sure, order = kid(x, y).certainty, np.random.RandomState(0).permutation(40)
    for other in (kid(x[order], y[::-1].copy()).certainty, kid(y, x).certainty):
        for name in FIELDS[:-2]:
            assert getattr(other, name) == pytest.approx(getattr(sure, name), rel=1e-8, abs=1e-12), name


@pytest.mark.parametrize("n", [20, 75, 130])
def test_law_of_a_kid_is_that_of_many_labellings(n):
    both, rng = np.random.RandomState(0).standard_exponential((150, 3)), np.random.RandomState(1)
    kernel, diagonal = _Centred.of(both[:n], both[n:], PairSums.of(both[:n].copy(), both[n:].copy()))
    law = Law.of(kernel, diagonal, np.arange(150), kernel.taken, (n, 150 - n), unbiased=True)
    gram = (both @ both.T / 3 + 1) ** 3
    np.fill_diagonal(gram, 0)
    found = []
    for _ in range(20_000):
        w = np.zeros((150, 2))
        chosen = rng.permutation(150)
        w[chosen[:n], 0], w[chosen[n:], 1] = 1, 1
        (xx, xy), (_, yy) = w.T @ gram @ w
        m = 150 - n
        found.append(xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * xy / (n * m))
    assert law.mean == pytest.approx(np.mean(found), abs=0.03 * np.std(found))
    assert law.variance == pytest.approx(np.var(found), rel=0.1)
    skewness = np.mean((found - np.mean(found)) ** 3) / np.var(found) ** 1.5
    assert law.skewness == pytest.approx(skewness, rel=0.2)


def test_limits_of_a_kid_of_sets_without_spread():
    for x in (np.zeros((50, 4)), np.zeros((500, 4))):
        sure = kid(x, np.ones((50, 4))).certainty
        assert 0 < sure.low < sure.value == 7 < sure.high < 7.2


def test_what_is_not_known_of_a_kid():
    x, y = draw(4, 30, 3)
    assert refused(kid(x, y).certainty, "a side has 3 images, and the standard error needs at least 4")
    assert refused(kid(np.ones((9, 4)), np.ones((9, 4))).certainty, "all images have the same features")
    x, y = draw(4, 30, 30)
    assert refused(kid(x * 1e16, y).certainty, "the features are so large that powers of the variance overflow float64")
    sure = kid(x, y, convention="clean-fid", subsets=3, subset_size=9).certainty
    assert refused(sure, "the spread of clean-fid's subsets is no standard error; KID() of all pairs of images has one")
    assert KID("clean-fid", subsets=3, subset_size=9).value(fit(ROWS, x), fit(ROWS, y)).certainty is None


# Limits


@pytest.mark.parametrize("estimate", [-3.0, -0.5, 0.0, 1.0, 1.7, 3.0, 30.0])
def test_limits_of_a_normal_error_are_the_usual_ones(estimate):
    found = limits_of(lambda v: (estimate - v) / 2, lambda v: 2.0, 0.95, estimate)
    expected = limits(estimate, 2.0, 0.95, NormalDist().cdf(-estimate / 2))
    assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("true", [0.0, 0.5, 2.0, 10.0])
def test_limits_of_chi_squares_cover(true):
    """|u|² - d of d normal numbers with the mean D: the variance is 2 d + 4 |D|², so the slope is 4."""
    d, rng = 5, np.random.RandomState(0)
    u = rng.standard_normal((300, d))
    u[:, 0] += true**0.5
    law, covered = Law(0.0, 2.0 * d, (8 / d) ** 0.5), 0
    for estimate in np.square(u).sum(axis=1) - d:

        def score(v: float, e: float = estimate) -> float:
            return law.apart(v, 4.0).score(e)

        low, high = limits_of(score, lambda v: law.apart(v, 4.0).variance ** 0.5, 0.95, estimate)
        covered += low <= true <= high
    assert 0.92 <= covered / 300 <= 0.98


def test_law_of_two_populations_has_the_moments_of_a_noncentral_chi_square():
    law = Law(0.0, 10.0, (8 / 5) ** 0.5).apart(3.0, 4.0)
    assert (law.mean, law.variance) == (3.0, 2 * (5 + 2 * 3.0))
    assert law.skewness * law.variance**1.5 == pytest.approx(8 * (5 + 3 * 3.0))


# Inception Score


def sharp(n, classes=8, seed=0):
    return 2.5 * np.random.RandomState(seed).standard_normal((n, classes))


def score_of(logits, splits=1, **parameters):
    return InceptionScore(splits=splits, certainty=True, **parameters).value(fit(LOGITS, logits))


def exact_log_score(logits):
    """Return the logarithm of the score of a few images, in mpmath's precision."""
    p = []
    for image in logits.tolist():
        powers = [mp.exp(v) for v in image]
        p.append([v / sum(powers) for v in powers])
    mean = [sum(column) / len(p) for column in zip(*p, strict=True)]
    return sum(a * (mp.log(a) - mp.log(b)) for row in p for a, b in zip(row, mean, strict=True)) / len(p)


def test_jackknife_of_the_inception_score_against_50_digits():
    logits = sharp(30, 3)
    sure = score_of(logits).certainty
    with mp.workdps(50):
        whole = exact_log_score(logits)
        pseudo = [30 * whole - 29 * exact_log_score(np.delete(logits, i, 0)) for i in range(30)]
        mean = sum(pseudo) / 30
        variance = sum((v - mean) ** 2 for v in pseudo) / 29 / 30
        corrected = mp.exp(mean - variance / 2)
        assert sure.value == pytest.approx(float(mp.exp(whole)), rel=1e-12)
        assert sure.corrected == pytest.approx(float(corrected), rel=1e-10)
        assert sure.bias == pytest.approx(float(mp.exp(whole) - corrected), rel=1e-8)
        assert sure.standard_error == pytest.approx(float(corrected * mp.sqrt(variance)), rel=1e-9)
    assert (sure.noise_floor, sure.p_value, sure.influence_y, sure.method) == (None, None, None, "leave-one-out")


def test_influences_of_the_inception_score_are_those_without_the_image():
    logits = sharp(300)
    score = score_of(logits)
    exact = [299 * (score.value - score_of(np.delete(logits, i, 0)).value) for i in range(300)]
    influence = score.certainty.influence_x
    assert influence.sum() == pytest.approx(0, abs=1e-9)
    assert np.corrcoef(influence, exact)[0, 1] > 0.999
    assert np.polyfit(influence, exact, 1)[0] == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize(("n", "splits"), [(100, 1), (400, 10)])
def test_inception_scores_of_a_known_population(n, splits):
    population = sharp(2000)
    true = InceptionScore(splits=1).value(fit(LOGITS, population)).value
    found = []
    for seed in range(300):
        chosen = np.random.RandomState(seed).randint(0, 2000, n)
        found.append(score_of(population[chosen], splits).certainty)
    corrected = np.array([sure.corrected for sure in found])
    deviation = corrected.std(ddof=1)
    assert abs(np.mean([sure.value for sure in found]) - true) > 0.25 * deviation  # there is a bias
    assert abs(corrected.mean() - true) < 0.25 * deviation  # of which the simulation's own error is 0.06
    error = np.sqrt(np.mean([sure.standard_error**2 for sure in found]))
    assert error == pytest.approx(deviation, rel=0.15)
    assert 0.91 <= np.mean([sure.low <= true <= sure.high for sure in found]) <= 0.98


def test_parts_change_only_the_bias():
    logits = sharp(500)
    one, ten = score_of(logits), score_of(logits, 10)
    assert ten.value == InceptionScore().value(fit(LOGITS, logits)).value != one.value
    assert ten.certainty.bias < one.certainty.bias < 0
    for name in ("corrected", "standard_error", "low", "high"):
        assert getattr(ten.certainty, name) == getattr(one.certainty, name)
    assert InceptionScore().value(fit(LOGITS, logits)).certainty is None


def test_what_is_not_known_of_an_inception_score():
    assert refused(score_of(sharp(29)).certainty, "there are 29 images, and the corrections need at least 30")
    few = 12 * np.eye(400)[np.random.RandomState(0).randint(0, 400, 200)]
    assert refused(score_of(few).certainty, "200 images are too few for 400 classes")
    sure = score_of(np.zeros((40, 5))).certainty
    assert (sure.value, sure.standard_error, sure.low, sure.high) == pytest.approx((1, 0, 1, 1), abs=1e-12)


# All of them in a run


def test_sfid_has_that_of_a_fid():
    x, y = (rows.astype(np.float32) for rows in draw(5, 80, 70))
    sides = [
        Fit({need: need.accumulator(6).update(rows) for need in SFID(certainty=True).needs}, len(rows))
        for rows in (x, y)
    ]
    sure, expected = SFID(certainty=True).value(*sides).certainty, fastfid.certainty(x, y)
    for name in FIELDS[:-2]:
        assert getattr(sure, name) == pytest.approx(getattr(expected, name), rel=1e-12), name
    assert SFID().value(*sides).certainty is None
    known = Fit({SPATIAL: Statistics(6).update(y)}, 70)
    assert SFID(certainty=True).value(sides[0], known).certainty.fixed == ("b",)


@pytest.mark.filterwarnings("ignore:.*no record:fastfid.FastFIDWarning")
def test_one_face(tmp_path, capsys):
    x, y = (rows.astype(np.float32) for rows in draw(6, 60, 50, shift=0.2))
    result = fastfid.compare(x, y, features=True, metrics=["fid", "kid", "prdc"], certainty=True)
    assert result.scores["kid"].certainty.standard_error > 0
    assert result.scores["fid"].certainty is result.certainty
    assert result.scores["prdc"].certainty is None
    plain = json.loads(json.dumps(result.as_dict()))
    assert plain["scores"]["kid"]["certainty"]["p_value"] == result.scores["kid"].certainty.p_value
    with pytest.raises(InputError, match="certainty is a parameter of KID"):
        fastfid.compare(x, y, features=True, metrics=[KID()], certainty=True)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    typed = [str(tmp_path / "x.npy"), str(tmp_path / "y.npy"), "--features", "--metrics", "kid"]
    assert main([*typed, "--certainty"]) == 0
    said = capsys.readouterr().out
    assert "certainty of the KID (U-statistic):" in said
    assert said.count("standard") == 1  # the formula's is another number, and would contradict
    assert main(typed) == 0
    assert "(standard_error " in capsys.readouterr().out


@pytest.mark.parametrize("kind", [KID, InceptionScore, SFID])
def test_bad_certainty(kind):
    with pytest.raises(InputError, match="certainty must be True or False, got 'yes'"):
        kind(certainty="yes")


# FID-infinity of both sides


def scipy_distance(x, y):
    means, (s1, s2) = x.mean(axis=0) - y.mean(axis=0), (np.cov(rows.T) for rows in (x, y))
    return means @ means + np.trace(s1 + s2) - 2 * np.trace(sqrtm(s1 @ s2)).real


@pytest.mark.parametrize(("n", "m"), [(200, 200), (200, 330), (330, 200)])
def test_infinity_of_both_sides_against_scipy(n, m):
    x, y = draw(7, n, m, 3, 0.4)
    found = fastfid.fid_infinity(x, y, points=4, seed=3, two_sided=True)
    rng, fids = np.random.RandomState(3), []
    for size, other in zip(found.sizes, found.sizes_y, strict=True):
        fids.append(scipy_distance(x[rng.permutation(n)[:size]], y[rng.permutation(m)[:other]]))
    assert found.fids == pytest.approx(fids, rel=1e-9)
    slope, intercept = np.linalg.lstsq(np.stack([1 / np.array(found.sizes), np.ones(4)], 1), fids, rcond=None)[0]
    assert (found.fid, found.slope) == pytest.approx((intercept, slope), rel=1e-8)
    assert (found.sizes[0], found.sizes_y[0], found.sizes[-1], found.sizes_y[-1]) == (n // 10, m // 10, n, m)
    assert found.sides == "both"
    one = fastfid.fid_infinity(x, y, points=4)
    assert (one.sides, one.sizes_y) == ("x", ())


@pytest.mark.parametrize("scale", [1.0, 1.5])
def test_infinity_of_both_sides_is_unbiased(scale):
    found, true = [], 4 * (scale - 1) ** 2
    for seed in range(60):
        rng = np.random.RandomState(seed)
        x, y = rng.standard_normal((600, 4)), scale * rng.standard_normal((900, 4))
        both = fastfid.fid_infinity(x, y, points=6, two_sided=True)
        found.append((both.fid, fastfid.fid_infinity(x, y, points=6).fid, both.fids[-1]))
    both, one, raw = np.mean(found, axis=0) - true
    error = np.std(found, axis=0, ddof=1)[0] / 60**0.5
    assert abs(both) < 3 * error
    if scale == 1:
        assert raw > one > 3 * error


def test_two_sided_needs_rows_of_y():
    x, y = draw(8, 200, 12)
    with pytest.raises(InputError, match="two_sided takes subsets of y, and statistics have no rows"):
        fastfid.fid_infinity(x, Statistics(6).update(y), two_sided=True)
    with pytest.raises(InputError, match="x or y has 12 rows: too few for 15 subsets"):
        fastfid.fid_infinity(x, y, two_sided=True)
    with pytest.raises(InputError, match="two_sided must be True or False"):
        fastfid.fid_infinity(x, y, two_sided=inf)
