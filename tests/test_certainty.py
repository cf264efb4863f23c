"""The bias, the noise and the p-value of a FID."""

import json
from itertools import combinations
from statistics import NormalDist

import numpy as np
import pytest
from mpmath import mp

import fastfid
from fastfid import _core
from fastfid.cli.main import main
from fastfid.metrics import feature_blocks, relabelling, same_population
from fastfid.metrics.base import Need
from fastfid.metrics.feature_blocks import Given
from fastfid.metrics.frechet import gaussian_from_rows
from fastfid.metrics.leave_one_out import Transport, swept
from fastfid.metrics.limits import limits, limits_of_distance
from fastfid.metrics.moments import Statistics
from fastfid.metrics.registry import needs_of
from fastfid.metrics.relabelling import _dealt
from fastfid.metrics.rows import Rows
from fastfid.metrics.same_population import Kernel, Law
from fastfid.numbers_shown import decimals

FIELDS = ("bias", "corrected", "noise_floor", "standard_error", "low", "high", "p_value")
distance = fastfid.frechet_distance_from_features


def sides(n=60, m=80, d=5, seed=0, shift=0.3, scale=1.4):
    """Return two sides of correlated, skewed rows."""
    rng = np.random.RandomState(seed)
    mix = rng.standard_normal((d, d)) + 2 * np.eye(d)
    x, y = rng.standard_exponential((n, d)) @ mix, rng.standard_normal((m, d)) @ mix * scale + shift
    return x, y


def values_of(x, y):
    gaussians = [gaussian_from_rows(rows) for rows in (x, y)]
    given = [Given.of(rows, name) for rows, name in ((x, "x"), (y, "y"))]
    return swept(given, gaussians, Transport.between(*(g.covariance for g in gaussians)))


def same(a, b, scale=1.0, tolerance=1e-9):
    """Whether two records agree, the second of features that were `scale` times as large."""
    unit = scale**2
    for name in FIELDS:
        if getattr(a, name) is None:
            assert getattr(b, name) is None
            continue
        times = 1.0 if name == "p_value" else unit
        found, wanted = getattr(a, name), getattr(b, name) / times
        assert found == pytest.approx(wanted, rel=tolerance, abs=tolerance * a.fid), name


# Leave-one-out


@pytest.mark.parametrize("d", [1, 5])
def test_distances_without_a_row_are_exact(d):
    x, y = sides(d=d)
    of_x, of_y = values_of(x, y)
    fid = distance(x, y)
    np.testing.assert_allclose(
        of_x.change, [distance(np.delete(x, i, 0), y) - fid for i in range(len(x))], atol=1e-9 * fid
    )
    np.testing.assert_allclose(
        of_y.change, [distance(x, np.delete(y, i, 0)) - fid for i in range(len(y))], atol=1e-9 * fid
    )


def potential(row, mean, s1, other_mean, s2):
    """Return 2 (x - m1)(m1 - m2) + (x - m1)ᵀ (I - T) (x - m1) - tr((I - T) S1), straight from its formula."""
    root = fastfid.sqrtm(s1)
    inverse = np.linalg.inv(root)
    left = np.eye(len(s1)) - inverse @ fastfid.sqrtm(root @ s2 @ root) @ inverse
    x = row - mean
    return 2 * x @ (mean - other_mean) + x @ left @ x - np.trace(left @ s1)


def test_influence_is_the_kantorovich_potential_and_held_out_leaves_the_row_out():
    x, y = sides()
    of_x, of_y = values_of(x, y)
    second = y.mean(0), np.cov(y.T)
    for i in range(0, len(x), 7):
        rest = np.delete(x, i, 0)
        wanted = potential(x[i], rest.mean(0), np.cov(rest.T), *second)
        assert of_x.held_out[i] == pytest.approx(wanted, rel=1e-8, abs=1e-8)
    for ours, rows, other in ((of_x, x, y), (of_y, y, x)):
        raw = np.array([potential(row, rows.mean(0), np.cov(rows.T), other.mean(0), np.cov(other.T)) for row in rows])
        np.testing.assert_allclose(ours.influence, raw - raw.mean(), atol=1e-10 * np.abs(raw).max())


def exact_distance(x, y):
    """Return the distance of two small sets in mpmath's precision."""
    moments = []
    for given in (x, y):
        rows = [mp.matrix(row.tolist()) for row in given]
        mean = sum(rows, mp.zeros(x.shape[1], 1)) / len(rows)
        products = [(row - mean) * (row - mean).T for row in rows]
        moments.append((mean, sum(products, mp.zeros(x.shape[1])) / (len(rows) - 1)))
    (m1, s1), (m2, s2) = moments
    eigenvalues = mp.eig(s1 * s2, left=False, right=False)
    trace = sum(s1[i, i] + s2[i, i] for i in range(s1.rows)) - 2 * sum(mp.sqrt(mp.re(e)) for e in eigenvalues)
    return sum(v**2 for v in m1 - m2) + trace


@pytest.mark.parametrize("spread", [1.0, 100.0])
def test_changes_against_50_digits(spread):
    x, y = (rows * [1.0, spread, 1 / spread] for rows in sides(12, 15, 3))
    of_x, of_y = values_of(x, y)
    with mp.workdps(50):
        fid = exact_distance(x, y)
        for i in (0, 5, 11):
            wanted = exact_distance(np.delete(x, i, 0), y) - fid, exact_distance(x, np.delete(y, i, 0)) - fid
            found = of_x.change[i], of_y.change[i]
            assert found == pytest.approx([float(value) for value in wanted], rel=1e-9, abs=1e-10 * float(fid))


def test_influence_predicts_the_distances_without_a_row():
    for seed in range(3):
        x, y = sides(400, 400, 8, seed)
        sure = fastfid.certainty(x, y)
        change = values_of(x, y)[0].change
        exact = -(len(x) - 1) * (change - change.mean())
        assert np.corrcoef(sure.influence_x, exact)[0, 1] > 0.99
        assert np.polyfit(sure.influence_x, exact, 1)[0] == pytest.approx(1, abs=0.03)


# One population


def explicit(z, weights, second):
    """Return f(z) of the docstring, with one entry for each mean and each pair of dims."""
    squares = (z[:, :, None] * z[:, None, :] - second) * np.sqrt(weights / 2)
    return np.concatenate([z, squares.reshape(len(z), -1)], axis=1)


def kernel_of(x, y):
    given = [gaussian_from_rows(rows) for rows in (x, y)]
    kernel = Kernel.of_both([len(x), len(y)], given)
    z = kernel.coordinates(np.concatenate([x, y]))
    return (
        kernel,
        given,
        explicit(z, 1 / np.add.outer(kernel.eigenvalues, kernel.eigenvalues), np.diag(kernel.eigenvalues)),
    )


def test_kernel_and_statistic_are_those_of_explicit_features():
    x, y = sides(9, 12, 3)
    kernel, given, f = kernel_of(x, y)
    z = kernel.coordinates(np.concatenate([x, y]))
    np.testing.assert_allclose(kernel.of_pairs(z[:9], z[9:18]), (f[:9] * f[9:18]).sum(1), atol=1e-10)
    np.testing.assert_allclose(kernel.diagonal(x), (f[:9] ** 2).sum(1), rtol=1e-10)
    apart = f[:9].mean(0) - f[9:].mean(0)
    assert kernel.statistic([9, 12], given) == pytest.approx(apart @ apart, rel=1e-10)


def test_statistic_is_the_distance_to_second_order():
    rng = np.random.RandomState(0)
    x = rng.standard_normal((400, 4)) @ rng.standard_normal((4, 4))
    ratios = []
    for step in (0.1, 0.01):
        y = x @ (np.eye(4) + step * np.diag([1, -1, 2, 0.5])) + step
        kernel, given, _ = kernel_of(x, y)
        moments = [(rows.mean(0), np.cov(rows.T, bias=True)) for rows in (x, y)]
        exact = fastfid.frechet_distance(*moments[0], *moments[1])
        ratios.append(kernel.statistic([400, 400], given) / exact - 1)
    assert abs(ratios[1]) < 1e-3  # of the order of the step
    assert abs(ratios[1]) < 0.15 * abs(ratios[0])


def test_law_has_the_moments_of_all_labellings():
    x, y = sides(6, 6, 2)
    both = np.concatenate([x, y])
    kernel, _, f = kernel_of(x, y)
    found = []
    for chosen in combinations(range(12), 6):
        apart = f[list(chosen)].mean(0) - np.delete(f, chosen, 0).mean(0)
        found.append(apart @ apart)
    law = Law.of(kernel, kernel.diagonal(both), np.arange(12), lambda chosen: both[chosen], (6, 6))
    assert law.mean == pytest.approx(np.mean(found), rel=1e-10)


def test_variance_and_skewness_are_those_of_all_pairs_and_triples():
    x, y = sides(150, 100, 3)
    both, g = np.concatenate([x, y]), 1 / 150 + 1 / 100
    kernel, _, f = kernel_of(x, y)
    gram = f @ f.T
    np.fill_diagonal(gram, 0)
    law = Law.of(kernel, kernel.diagonal(both), np.arange(250), lambda chosen: both[chosen], (125, 125))
    g = 2 / 125
    second, third = np.sum(gram**2) / 250**2, np.trace(gram @ gram @ gram) / 250**3
    assert law.variance == pytest.approx(2 * g**2 * second, rel=0.05)
    assert law.skewness == pytest.approx(8 * third / (2 * second) ** 1.5, rel=0.1)


@pytest.mark.parametrize("n", [20, 125, 230])
def test_law_is_that_of_many_labellings(n):
    rng = np.random.RandomState(0)
    both = np.random.RandomState(1).standard_exponential((250, 3))
    kernel, _, f = kernel_of(both[:n], both[n:])
    found = []
    for _ in range(20_000):
        chosen = rng.permutation(250)[:n]
        apart = f[chosen].sum(0) * (1 / n + 1 / (250 - n))  # f has the mean 0
        found.append(apart @ apart)
    law = Law.of(kernel, kernel.diagonal(both), np.arange(250), lambda rows: both[rows], (n, 250 - n))
    assert law.mean == pytest.approx(np.mean(found), rel=0.02)
    assert law.variance == pytest.approx(np.var(found), rel=0.1)
    skewness = np.mean((found - np.mean(found)) ** 3) / np.var(found) ** 1.5
    assert law.skewness == pytest.approx(skewness, rel=0.15)
    for level in (0.05, 0.01):
        assert law.p_value(np.quantile(found, 1 - level)) == pytest.approx(level, rel=0.25)


def test_p_values_of_a_chi_square():
    for value, degrees, wanted in ((4.6052, 2, 0.1), (5.9915, 2, 0.05), (18.307, 10, 0.05), (23.209, 10, 0.01)):
        law = Law(degrees, 2 * degrees, (8 / degrees) ** 0.5)
        assert law.p_value(value) == pytest.approx(wanted, rel=0.06)
    assert Law(0, 1, 0).p_value(1.6449) == pytest.approx(0.05, rel=1e-3)
    assert Law(1, 1, 2.0).p_value(0.05) == pytest.approx(np.exp(-0.05), abs=0.02)
    assert Law(1, 1, 2.0).p_value(-0.01) == 1  # less than a chi-square can be


# Limits


@pytest.mark.parametrize(
    ("estimate", "low", "high"),  # Feldman & Cousins 1998, table X
    [(-3, 0, 0.42), (0, 0, 1.96), (1, 0, 2.96), (2, 0.35, 3.96), (3, 1.14, 4.96), (5, 3.04, 6.96)],
)
def test_limits_are_the_published_ones(estimate, low, high):
    found = limits(estimate * 2.0, 2.0, 0.95, NormalDist().cdf(-estimate))
    assert found == pytest.approx((2 * low, 2 * high), abs=0.02)


@pytest.mark.parametrize("level", [0.68, 0.95])
@pytest.mark.parametrize("true", [0.0, 0.3, 1.0, 2.0, 5.0])
def test_limits_contain_the_value_as_often_as_they_say(level, true):
    normal = NormalDist()
    drawn = [normal.inv_cdf((i + 0.5) / 500) + true for i in range(500)]
    found = [limits(x, 1.0, level, normal.cdf(-x)) for x in drawn]
    assert np.mean([low <= true <= high for low, high in found]) == pytest.approx(level, abs=0.005)


def test_the_p_value_decides_whether_0_is_within_the_limits():
    for estimate in (-2.0, 0.5, 1.7, 5.0):
        assert limits(estimate, 1.0, 0.95, 0.05)[0] == 0
        for p in (0.04, 1e-9, 0.0):
            low, high = limits(estimate, 1.0, 0.95, p)
            assert 0 < low <= high


@pytest.mark.parametrize("level", [1e-15, 0.1, 0.4, 0.6, 0.9999, 1 - 1e-15])
def test_limits_of_any_level_are_in_order(level):
    for estimate in (-60.0, -1.0, -0.1, 0.0, 0.1, 1.0, 60.0):
        for p in (0.0, 1e-300, 0.3, 0.7, 1.0):
            low, high = limits(estimate, 1.0, level, p)
            assert 0 <= low <= high < 100


@pytest.mark.parametrize("true", [0.0, 2.0, 8.0, 30.0, 300.0])
def test_limits_of_a_noncentral_chi_square(true):
    """Its variance is 8 + 4 t for 4 degrees of freedom and the noncentrality t, and its null law is known."""
    z = np.random.RandomState(0).standard_normal((1500, 4))
    drawn = np.square(z + np.array([true**0.5, 0, 0, 0])).sum(1)
    p_values = np.exp(-drawn / 2) * (1 + drawn / 2)
    found = [limits_of_distance(x - 4, 8.0, 4.0, 0.95, p) for x, p in zip(drawn, p_values, strict=True)]
    assert 0.945 <= np.mean([low <= true <= high for low, high in found]) <= 0.98


def test_limits_of_a_distance_are_the_usual_ones_without_growth():
    for estimate in (-3.0, -0.5, 0.0, 1.0, 4.0):
        p = NormalDist().cdf(-estimate / 2)
        assert limits_of_distance(estimate, 4.0, 0.0, 0.95, p) == pytest.approx(limits(estimate, 2.0, 0.95, p))


# The record, against simulation


@pytest.fixture
def quick(monkeypatch):
    """Draw fewer pairs of rows, for simulations."""
    monkeypatch.setattr(same_population, "_DRAWS", 512)


def trials(count, true, draw):
    found = [fastfid.certainty(*draw(np.random.RandomState(seed))) for seed in range(count)]
    fields = ("fid", "corrected", *(["noise_floor"] if found[0].noise_floor is not None else []))
    mean = {name: np.mean([getattr(sure, name) for sure in found]) for name in fields}
    deviation = np.std([sure.corrected for sure in found], ddof=1)
    error = np.sqrt(np.mean([sure.standard_error**2 for sure in found]))
    inside = np.mean([sure.low <= true <= sure.high for sure in found])
    return found, mean, deviation, error, inside


def jackknife_bias(x, y):
    """Return the jackknife's estimate of the bias, from distances without one row."""
    fid = distance(x, y)
    without = [np.mean([distance(np.delete(x, i, 0), y) for i in range(len(x))])]
    without.append(np.mean([distance(x, np.delete(y, i, 0)) for i in range(len(y))]))
    return sum((len(rows) - 1) * (mean - fid) for rows, mean in zip((x, y), without, strict=True))


def test_bias_is_the_jackknife_and_what_it_misses_on_a_new_labelling():
    x, y = sides(40, 80, 3)
    sure = fastfid.certainty(x, y)
    both, (_, _, f), smaller = np.concatenate([x, y]), kernel_of(x, y), np.zeros(120, bool)
    lengths = (f**2).sum(1)
    thirds = np.argsort(lengths).reshape(40, 3)
    smaller[thirds[np.arange(40), (3 * np.random.RandomState(0).random_sample(40)).astype(int)]] = True
    new = [both[smaller], both[~smaller]]
    changes = [(len(rows) - 1) * found.change for rows, found in zip(new, values_of(*new), strict=True)]
    influences = [found.influence for found in values_of(*new)]
    on_average = jackknife_bias(*new)
    for change, influence, own in zip(changes, influences, (lengths[smaller], lengths[~smaller]), strict=True):
        slope = np.polyfit(own, change + influence, 1)[0]
        on_average += slope * (lengths.mean() - own.mean())
    assert sure.bias == pytest.approx(jackknife_bias(x, y) + sure.noise_floor - on_average, rel=1e-8)


def test_rows_are_dealt_anew_with_equal_shares_of_those_far_out():
    order = np.random.RandomState(1).permutation(1000)
    small, large = _dealt(order, 300)
    assert sorted([*small, *large]) == list(range(1000))
    place = np.argsort(order)
    for first in range(0, 1000, 100):
        assert abs(np.sum((first <= place[small]) & (place[small] < first + 100)) - 30) <= 1


def test_one_population(quick):
    def draw(rng):
        return rng.standard_normal((150, 16)), rng.standard_normal((200, 16))

    found, mean, deviation, error, inside = trials(300, 0.0, draw)
    assert abs(mean["corrected"]) < 0.2 * deviation  # of which the simulation's own error is 0.06
    assert mean["noise_floor"] == pytest.approx(mean["fid"], rel=0.03)
    assert error == pytest.approx(deviation, rel=0.2)
    assert 0.92 <= inside <= 0.98
    p = np.sort([sure.p_value for sure in found])
    ranks = np.arange(1, 301) / 300
    assert max((ranks - p).max(), (p - ranks + 1 / 300).max()) < 1.63 / 300**0.5  # Kolmogorov-Smirnov, 1 %
    assert all((sure.low == 0) == (sure.p_value >= 0.05) for sure in found)


def test_one_population_of_very_unequal_sets(quick):
    def draw(rng):
        rows = rng.standard_exponential((600, 8))
        return rows[:60], rows[60:]

    found, mean, deviation, _, _ = trials(300, 0.0, draw)
    assert abs(mean["corrected"]) < 0.25 * deviation
    assert mean["noise_floor"] == pytest.approx(mean["fid"], rel=0.05)
    p = np.sort([sure.p_value for sure in found])
    ranks = np.arange(1, 301) / 300
    assert max((ranks - p).max(), (p - ranks + 1 / 300).max()) < 1.63 / 300**0.5  # Kolmogorov-Smirnov, 1 %


def test_two_populations(quick):
    a, b = np.array([3, 2, 1.5, 1]), np.array([2, 2.5, 1.5, 1.2])
    true = float(((a - b) ** 2).sum() + 4 * 0.25)

    def draw(rng):
        return rng.standard_normal((200, 4)) * a, rng.standard_normal((300, 4)) * b + 0.5

    found, mean, deviation, error, inside = trials(200, true, draw)
    assert abs(mean["corrected"] - true) < 0.25 * deviation
    assert error == pytest.approx(deviation, rel=0.15)
    assert 0.91 <= inside <= 0.98
    assert np.mean([sure.p_value < 0.05 for sure in found]) > 0.9


def test_a_difference_in_few_directions(quick):
    """The standard error follows the estimate closely here: limits that ignore it cover about 90 %."""
    centres, even, other = 1.5 * np.eye(5, 15), np.full(5, 0.2), np.linspace(0.28, 0.12, 5)

    def of_classes(rng, shares):
        return centres[rng.choice(5, 300, p=shares)] + 0.3 * rng.standard_normal((300, 15))

    moments = []
    for shares in (even, other):
        mean = shares @ centres
        moments.append((mean, 0.09 * np.eye(15) + ((centres - mean).T * shares) @ (centres - mean)))
    true = fastfid.frechet_distance(*moments[0], *moments[1])
    *_, inside = trials(300, true, lambda rng: (of_classes(rng, even), of_classes(rng, other)))
    assert 0.93 <= inside <= 0.985


def test_a_side_that_is_exactly_known(quick):
    mix = np.random.RandomState(9).standard_normal((6, 6)) + 2 * np.eye(6)
    known = Statistics.from_moments(np.zeros(6), mix.T @ mix)
    for shift in (0.0, 0.4):

        def draw(rng, shift=shift):
            return rng.standard_normal((120, 6)) @ mix + shift, known

        true = 6 * shift**2
        found, mean, deviation, error, inside = trials(200, true, draw)
        assert abs(mean["corrected"] - true) < 0.3 * deviation
        assert 0.9 * deviation < error < (1.15 if shift else 1.4) * deviation  # never below 0, so too large near 0
        assert 0.91 <= inside <= 0.99
        assert all(sure.fixed == ("b",) and sure.influence_y is None and sure.n == (120, None) for sure in found)
        assert all(sure.noise_floor is None for sure in found)
        if not shift:
            p = np.sort([sure.p_value for sure in found])
            ranks = np.arange(1, 201) / 200
            assert max((ranks - p).max(), (p - ranks + 1 / 200).max()) < 1.63 / 200**0.5


@pytest.mark.filterwarnings("ignore:no-record")
@pytest.mark.parametrize("apart", ["mean", "spread", "directions"])
def test_a_known_side_with_which_the_rows_have_nothing_in_common(apart):
    """Their law under one population says nothing; the jackknife does. bench/coverage_far.py has the coverage."""
    d, n = 6, 150
    factor, known = np.eye(d), np.diag(np.geomspace(1, 0.03, d))
    if apart == "directions":
        factor = np.diag(np.geomspace(1, 20, d))
    rows = np.random.RandomState(3).standard_normal((n, d)) @ (factor * (0.1 if apart == "spread" else 1))
    rows += 4.0 * (apart == "mean")
    other = np.zeros(d), known @ known
    without = [fastfid.frechet_distance(kept.mean(0), np.cov(kept.T), *other) for kept in leave_one_out(rows)]
    sure = fastfid.certainty(rows, Statistics.from_moments(*other))
    assert sure.p_value is not None
    assert sure.p_value < 1e-6
    assert sure.standard_error == pytest.approx((n - 1) / n**0.5 * np.std(without, ddof=1), rel=0.1)
    assert sure.low < sure.corrected < sure.high
    planned = fastfid.plan(rows, Statistics.from_moments(*other), sd=sure.standard_error / 3, features=True)
    assert planned.n is not None
    assert 7 * n < planned.n < 11 * n


def leave_one_out(rows):
    return (np.delete(rows, i, axis=0) for i in range(len(rows)))


def test_the_bias_beside_a_known_side_is_the_jackknife_and_what_it_misses_on_normal_rows():
    x, y = sides(40, 50, 3)
    known = Statistics(3).update(y)
    sure, other = fastfid.certainty(x, known), fastfid.certainty(known, x)
    without = np.mean([distance(np.delete(x, i, 0), y) for i in range(len(x))])
    mean, covariance = y.mean(0), np.cov(y.T)
    normal = mean + np.random.RandomState(0).standard_normal((40, 3)) @ np.linalg.cholesky(covariance).T
    left = np.mean([distance(np.delete(normal, i, 0), y) for i in range(40)])
    kernel = Kernel(mean, *np.linalg.eigh(covariance))
    beyond = distance(normal, y) - kernel.statistic((40, np.inf), [gaussian_from_rows(normal), gaussian_from_rows(y)])
    missed = kernel.diagonal(normal).mean() / 40 + beyond - 39 * (left - distance(normal, y))
    assert sure.bias == pytest.approx((len(x) - 1) * (without - distance(x, y)) + missed, rel=1e-8)
    assert other.fixed == ("a",)
    same(sure, other)
    np.testing.assert_allclose(other.influence_y, sure.influence_x, rtol=1e-9)
    values = values_of(x, y)[0]
    np.testing.assert_allclose(sure.influence_x, values.influence, atol=1e-9 * np.abs(values.influence).max())


def test_a_sample_of_the_relabelled_rows_suffices(monkeypatch):
    x, y = sides(1500, 1000, 8)
    whole = fastfid.certainty(x, y)
    monkeypatch.setattr(relabelling, "_SAMPLE", 500)
    part = fastfid.certainty(x, y)
    assert part.bias != whole.bias
    assert abs(part.bias - whole.bias) < 0.3 * whole.standard_error
    assert abs(part.bias - whole.bias) < 0.02 * whole.bias
    assert part.standard_error == pytest.approx(whole.standard_error, rel=0.01)
    for name in ("noise_floor", "p_value"):
        assert getattr(part, name) == getattr(whole, name)


# The record: what it does not depend on


def test_motions_and_scales():
    x, y = sides()
    sure = fastfid.certainty(x, y)
    turn = np.linalg.qr(np.random.RandomState(1).standard_normal((5, 5)))[0]
    same(sure, fastfid.certainty(x + 7, y + 7))
    same(sure, fastfid.certainty(x @ turn, y @ turn))
    same(sure, fastfid.certainty(3.7 * x, 3.7 * y), 3.7)
    for scale in (2.0**-300, 2.0**300):
        same(sure, fastfid.certainty(scale * x, scale * y), scale, 1e-14)


def test_the_order_of_rows_and_of_sides():
    for m in (60, 80):
        x, y = sides(60, m)
        sure, other = fastfid.certainty(x, y), fastfid.certainty(y, x)
        same(sure, other)
        np.testing.assert_allclose(other.influence_y, sure.influence_x, atol=1e-10 * np.abs(sure.influence_x).max())
        order = np.random.RandomState(2).permutation(60)
        moved = fastfid.certainty(x[order], y[::-1])
        same(sure, moved)
        np.testing.assert_allclose(
            moved.influence_x, sure.influence_x[order], atol=1e-10 * np.abs(sure.influence_x).max()
        )


def test_every_kind_of_rows(tmp_path, monkeypatch):
    x, y = (rows.astype(np.float32) for rows in sides())
    sure = fastfid.certainty(x, y)
    assert sure.fid == distance(x, y)
    assert (sure.n, sure.level, sure.reason) == ((60, 80), 0.95, "")
    assert (sure.method, sure.fixed) == ("leave-one-out", ())
    assert sure.corrected == pytest.approx(sure.fid - sure.bias, rel=1e-14)
    assert "influence" not in repr(sure)
    np.save(tmp_path / "x.npy", x)
    fit = fastfid.Fit({Need("features", Rows): Rows(5).update(y)}, len(y))
    for a, b in ((np.load(tmp_path / "x.npy", mmap_mode="r"), fit), (x.astype(float), Rows.of(y)), (x.tolist(), y)):
        found = fastfid.certainty(a, b)
        assert found.fid == sure.fid
        assert [getattr(found, name) for name in FIELDS] == [getattr(sure, name) for name in FIELDS]
    monkeypatch.setattr(feature_blocks, "_BLOCK", 8 * 5 * 7)
    found = fastfid.certainty(x, y)
    assert found.fid == sure.fid
    same(sure, found, tolerance=1e-11)
    np.testing.assert_allclose(found.influence_x, sure.influence_x, atol=1e-12 * np.abs(sure.influence_x).max())


def test_a_set_and_itself():
    x, _ = sides()
    sure = fastfid.certainty(x, x)
    assert sure.fid < 1e-12 < sure.noise_floor
    assert sure.p_value > 0.99
    assert sure.low == 0 < sure.high


def test_levels():
    x, y = sides(300, 300, 3, scale=3)
    narrow, wide = fastfid.certainty(x, y, level=0.5), fastfid.certainty(x, y, level=0.99)
    assert wide.low < narrow.low < narrow.corrected < narrow.high < wide.high
    for sure, quantile in ((narrow, 0.674490), (wide, 2.575829)):
        assert (sure.high - sure.low) / 2 == pytest.approx(quantile * sure.standard_error, rel=0.05)
        assert sure.high - sure.corrected > sure.corrected - sure.low  # the error grows with the distance


# What is refused


def refused(sure, text):
    assert text in sure.reason
    assert all(getattr(sure, name) is None for name in (*FIELDS, "influence_x", "influence_y"))
    return True


def test_what_cannot_be_known_has_a_reason():
    x, y = sides(60, 14, 5)
    known = Statistics.from_moments(x.mean(0), np.cov(x.T), 60)
    assert refused(fastfid.certainty(known, known), "both sides are statistics without their images")
    sure = fastfid.certainty(x, y)
    assert refused(sure, "y has 14 rows of 5 dims")
    assert refused(sure, "at least 30")
    assert sure.fid == distance(x, y)
    assert refused(fastfid.certainty(x[:4], y[:3]), "y has 3 rows of 5 dims")
    x, y = sides()
    constant = y * [1, 1, 0, 1, 0] + 3
    assert refused(fastfid.certainty(x, constant), "2 of the 5 dims of y are constant")
    twice = x.copy()
    twice[:, 4] = twice[:, 0] - 2 * twice[:, 1]
    assert refused(fastfid.certainty(twice, y), "the covariance of x has rank 4 of 5")
    alone = y.copy()
    alone[:, 4] = 0
    alone[17, 4] = 1
    assert refused(fastfid.certainty(x, alone), "without row 17 of y its covariance is singular")
    assert fastfid.certainty(x, alone).fid == distance(x, alone)
    reasons = []
    for seed in range(8):
        rare = [rows.copy() for rows in sides(60, 60, 5, seed)]
        for rows in rare:
            rows[:, 4] = 0
            rows[:2, 4] = 0.01  # new labels often leave at most one of these rows to a side
        reasons.append(fastfid.certainty(*rare).reason)
    assert any("dealt anew" in reason for reason in reasons)


@pytest.mark.parametrize("level", [0, 0.4, 1, 95, float("nan"), "0.9", None, True])
def test_bad_levels(level):
    with pytest.raises(fastfid.InputError, match="level must be a number between 0.5 and 0.9999"):
        fastfid.certainty(*sides(), level=level)


def test_bad_rows():
    x, y = sides()
    broken = y.copy()
    broken[70, 2] = np.nan
    statistics = fastfid.Fit({Need("features", Statistics): Statistics(5)})
    cases = [
        (broken, r"y holds 1 values that are not finite"),
        (y[:, :4], "the same dims, got 5 and 4"),
        (y[:1], "y needs at least 2 rows, got 1"),
        (y[0], "y must have 2 dimensions"),
        (y[:0], "y must have 2 dimensions and rows"),
        ("images", "y must be real numbers"),
        (statistics, "at least 2 rows, they have 0"),
        (fastfid.Fit({}), "y is a Fit without features"),
    ]
    for bad, text in cases:
        with pytest.raises(fastfid.InputError, match=text):
            fastfid.certainty(x, bad)
    with pytest.raises(fastfid.InputError, match="too large for float64"):
        fastfid.certainty(1e160 * x, 1e160 * y)


# The core


def test_squares_of_coordinates():
    rng = np.random.RandomState(0)
    rows, mean, directions, table = (rng.standard_normal(shape) for shape in ((300, 7), 7, (5, 7), (3, 5)))
    found = _core.squares_of_coordinates(rows, mean, directions, table)
    np.testing.assert_allclose(found, np.square((rows - mean) @ directions.T) @ table.T, rtol=1e-12)
    given = {"rows": rows, "mean": mean, "directions": directions, "table": table}
    for name, bad, error in (
        ("mean", mean[:6], "the length of mean must be 7, got 6"),
        ("directions", directions[:, :6].copy(), "the length of a direction must be 7, got 6"),
        ("table", table[:, :4].copy(), "the length of a row of table must be 5, got 4"),
        ("rows", rows.astype(np.float32), "rows must be a C-contiguous float64 array"),
        ("rows", rows[:, ::-1], "rows must be a C-contiguous float64 array"),
    ):
        with pytest.raises((ValueError, TypeError), match=error):
            _core.squares_of_coordinates(**{**given, name: bad})


# Through compare


def written(folder, x, y):
    np.save(folder / "x.npy", x.astype(np.float32))
    np.save(folder / "y.npy", y.astype(np.float32))
    return [str(folder / "x.npy"), str(folder / "y.npy")]


@pytest.mark.filterwarnings("ignore::fastfid.FastFIDWarning")
def test_compare_says_how_sure_it_is(tmp_path):
    x, y = (rows.astype(np.float32) for rows in sides())
    result = fastfid.compare(x, y, features=True, certainty=True, metrics=["fid", "prdc"])
    sure = fastfid.certainty(x, y)
    same(result.certainty, sure)
    assert result.certainty.value == result.fid
    assert result.scores["prdc"].certainty is None
    assert fastfid.compare(x, y, features=True).certainty is None
    plain = result.as_dict()
    assert plain["certainty"]["low"] == result.certainty.low
    assert "influence_x" not in plain["certainty"]
    assert "certainty" not in plain["scores"]["prdc"]
    json.dumps(plain)
    with pytest.raises(fastfid.InputError, match="certainty is no parameter of any metric"):
        fastfid.compare(x, y, features=True, certainty=True, metrics=["prdc"])


@pytest.mark.filterwarnings("ignore::fastfid.FastFIDWarning")
def test_sets_that_share_images_are_noticed():
    x, _ = sides(400, 400)
    other = sides(400, 400, seed=1)[0]
    for second, alike in ((x + 1e-3, True), (other, False)):
        told = fastfid.compare(x, second, features=True, certainty=True).warnings
        assert any("more alike than independent sets" in text for text in told) == alike


@pytest.mark.filterwarnings("ignore::fastfid.FastFIDWarning")
def test_rows_that_were_rounded_have_a_reason():
    x, y = sides()
    for change in (lambda rows: rows + 1e8, lambda rows: rows * 1e80, lambda rows: rows * 1e-80):
        sure = fastfid.compare(change(x), change(y), features=True, certainty=True).certainty
        assert "kept as float32, which is too coarse" in sure.reason
        assert not fastfid.certainty(change(x), change(y)).reason


@pytest.mark.parametrize("seed", range(40))
def test_strongly_unequal_sets(seed):
    rng = np.random.RandomState(seed)
    sure = fastfid.certainty(rng.standard_normal((30, 8)) * np.linspace(1, 2, 8), rng.standard_normal((600, 8)))
    assert not sure.reason
    assert 0 <= sure.low <= sure.high < 1000


def test_metrics_share_the_rows():
    needs = needs_of([fastfid.FID(certainty=True), fastfid.KID()], 0)
    assert [need.accumulator for need in needs].count(Rows) == 1
    assert not next(need for need in needs if need.accumulator is Rows).optional


@pytest.mark.filterwarnings("ignore::fastfid.FastFIDWarning")
def test_compare_with_statistics(tmp_path):
    x, y = (rows.astype(np.float32) for rows in sides(60, 80))
    fastfid.Statistics(5).update(y).save(tmp_path / "y.npz")
    result = fastfid.compare(x, tmp_path / "y.npz", features=True, certainty=True)
    assert result.certainty.fixed == ("b",)
    same(result.certainty, fastfid.certainty(x, fastfid.Statistics(5).update(y)))
    few = fastfid.compare(x[:4], y, features=True, certainty=True).certainty
    assert "the first side has 4 rows of 5 dims" in few.reason


def test_the_command_line_says_it_in_words(tmp_path, capsys):
    x, y = sides()
    assert main([*written(tmp_path, x, y), "--features", "--certainty"]) == 0
    lines = capsys.readouterr().out.splitlines()
    sure = fastfid.certainty(x.astype(np.float32), y.astype(np.float32))
    digits = decimals(sure.standard_error)
    assert lines[0] == "certainty of the FID (leave-one-out):"
    assert lines[1] == f"  without bias {sure.corrected:.{digits}f} ± {sure.standard_error:.{digits}f} (standard error)"
    assert f"95% limits {sure.low:.{digits}f} to {sure.high:.{digits}f}" in lines[2]
    assert f"{sure.bias:.{digits}f}" in lines[3]
    assert f"{sure.noise_floor:.{digits}f}" in lines[4]
    assert sure.p_value < 1e-15
    assert "p < 1e-15: the chance" in lines[5]
    assert lines[-1].startswith("FID:  ")
    assert main([*written(tmp_path, x[:4], y), "--features", "--certainty"]) == 0
    assert "not available, because the first side has 4 rows" in capsys.readouterr().out
    assert main([*written(tmp_path, x, y), "--features", "--certainty", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["certainty"]["reason"] == ""


@pytest.mark.filterwarnings("ignore::fastfid.FastFIDWarning")
def test_the_level_is_that_of_every_metric(tmp_path, capsys):
    x, y = (rows.astype(np.float32) for rows in sides(200, 210))
    sure = fastfid.certainty(x, y, level=0.9)
    both = fastfid.compare(x, y, features=True, metrics=["fid", "kid"], certainty=True, level=0.9)
    assert (both.certainty.low, both.certainty.high) == pytest.approx((sure.low, sure.high), rel=1e-4)
    assert {score.certainty.level for score in both.scores.values()} == {0.9}
    usual = fastfid.compare(x, y, features=True, metrics=["kid"], certainty=True).scores["kid"].certainty
    assert both.scores["kid"].certainty.low > usual.low
    own = fastfid.compare(x, y, features=True, metrics=[fastfid.FID(certainty=True, level=0.9)])
    assert own.certainty.low == both.certainty.low
    paths = written(tmp_path, x, y)
    assert main([*paths, "--features", "--certainty", "--level", ".999"]) == 0
    assert "99.9% limits" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore::fastfid.FastFIDWarning")
def test_a_level_needs_certainty(tmp_path, capsys):
    x, y = (rows.astype(np.float32) for rows in sides(200, 210))
    with pytest.raises(fastfid.InputError, match="level=0.95 is about the limits of certainty: give certainty=True"):
        fastfid.compare(x, y, features=True, level=0.95)
    assert main([*written(tmp_path, x, y), "--features", "--level", "0.9"]) == 2
    assert "--level 0.9 is about the limits of certainty: give --certainty as well" in capsys.readouterr().err
