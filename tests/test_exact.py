"""The distance against arithmetic of 50 digits: every scale, condition, rank and offset, fresh cases in every run."""

import numpy as np
import pytest

from fastfid import InputError, Statistics, fid_infinity, frechet_distance, frechet_distance_from_features
from fastfid.metrics.frechet import Gaussian, distance, gaussian_from_moments, gaussian_from_rows
from fastfid.metrics.intervals import Interval, bootstrap
from fuzz import SEED, rng_of
from oracle import cells, error_of, exact_distance, exact_moments, exact_rows

CASES = 2000
CELLS = 60  # of the grid


def eigenvalues(d, rng):
    decades = rng.choice([0, 1, 4, 8, 12, 16, 20])
    w = 10.0 ** (-decades * np.sort(rng.random_sample(d)))
    w[rng.random_sample(d) < rng.choice([0, 0, 0.3])] = 0
    return [w, w[::-1], rng.permutation(w)][rng.randint(3)]


def basis(d, rng):
    return np.linalg.qr(rng.standard_normal((d, d)))[0] if rng.randint(4) else np.eye(d)


def side(d, rng, q, scale):
    """One side, as the core gets it and exactly; scale is that of a deviation."""
    w = eigenvalues(d, rng)
    offset = rng.standard_normal(d) * rng.choice([0, 1, 1e4, 1e8])
    if rng.randint(2):
        sigma = (q * w) @ q.T
        mu, sigma = offset * scale, (sigma + sigma.T) / 2 * scale**2
        return gaussian_from_moments(mu, sigma, ""), exact_moments(mu, sigma)
    rows = (rng.standard_normal((rng.randint(2, 3 * d + 4), d)) * np.sqrt(w)) @ q.T + offset
    rows *= scale
    if rng.randint(2) and 1e-30 < scale < 1e30:
        rows = rows.astype(np.float32).astype(np.float64)
    return gaussian_from_rows(rows), exact_rows(rows)


def draw(rng):
    d = rng.randint(1, 7)
    q = basis(d, rng)
    scale = 10.0 ** rng.choice([0, 0, 0, rng.uniform(-140, 140)])
    sides = [
        side(d, rng, q if rng.randint(2) else basis(d, rng), s) for s in (scale, scale * rng.choice([1, 1, 1e-9, 30]))
    ]
    if not rng.randint(8):
        sides[1] = sides[0]
    return sides


def test_the_estimate_bounds_the_error_and_the_order_is_no_matter():
    for case in range(CASES):
        (x, exact_x), (y, exact_y) = draw(rng_of("exact", case))
        there, back = distance(x, y), distance(y, x)
        name = f"case {case} of FASTFID_TEST_SEED={SEED}"
        assert there.value == back.value, name
        assert there.rank == back.rank[::-1], name
        error = error_of(there.value, exact_distance(exact_x, exact_y))
        assert error <= there.error_estimate, f"{name}: {error} > {there.error_estimate} of {there}"


def test_the_estimate_bounds_the_error_at_any_place_of_the_grid():
    """As bench/digits.py does over the whole of it."""
    places = list(cells())
    for case in range(CELLS):
        rng = rng_of("grid", case)
        cell = places[rng.randint(len(places))]
        (x, exact_x), (y, exact_y) = cell.draw(rng)
        found = distance(x, y)
        error = error_of(found.value, exact_distance(exact_x, exact_y))
        assert error <= found.error_estimate, f"case {case} of FASTFID_TEST_SEED={SEED}, {cell}: {error} of {found}"


every_method = pytest.mark.parametrize("method", ["auto", "schur"])
EYE, ZERO = np.eye(2), np.zeros(2)


@every_method
@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (1e200, 1e150, 2e200),
        (1e-200, 4e-200, 2e-200),
        (1e300, 1e-300, 2e300),
        (1.5e308, 1.5e308, 0.0),  # the traces alone are too large
        (1e308, 0.9e308, 2 * (1 - np.sqrt(0.9)) ** 2 * 1e308),
        (1e-320, 4e-320, 2e-320),
        (5e-324, 5e-324, 0.0),
    ],
)
def test_scales_to_the_ends_of_float64(a, b, expected, method):
    for s1, s2 in ((a, b), (b, a)):
        got = frechet_distance(ZERO, s1 * EYE, ZERO, s2 * EYE, method=method)
        assert got == pytest.approx(expected, rel=1e-11, abs=1e-322)


@every_method
@pytest.mark.parametrize("exponent", [-500, -260, 260, 500])
@pytest.mark.parametrize("n", [3, 8])
def test_rows_of_any_scale_have_the_distance_of_rows_of_one(n, exponent, method):
    x, y = np.random.RandomState(n).standard_normal((2, n, 3))
    scaled = frechet_distance_from_features(np.ldexp(x, exponent), np.ldexp(y, exponent), method=method)
    expected = np.ldexp(frechet_distance_from_features(x, y, method=method), 2 * exponent)
    assert scaled == pytest.approx(expected, rel=1e-14 if method == "auto" else 1e-7)


@every_method
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((ZERO, 1.7e308 * EYE), (ZERO, 1e-308 * EYE)),
        (([1.7e308, 0], EYE), ([-1.7e308, 0], EYE)),
        (([1e200, 0], EYE), (ZERO, EYE)),
    ],
)
def test_a_distance_that_float64_does_not_hold_is_an_error(first, second, method):
    for a, b in ((first, second), (second, first)):
        with pytest.raises(InputError, match="the distance overflows"):
            frechet_distance(*a, *b, method=method)


@every_method
@pytest.mark.parametrize("scale", [1e155, 1e308])
@pytest.mark.parametrize("n", [3, 8])
def test_rows_whose_covariance_float64_does_not_hold(n, scale, method):
    x, y = np.random.RandomState(n).uniform(-1, 1, (2, n, 3)) * scale
    for sides in ((x, y), (y, x), (x, np.eye(3))):
        with pytest.raises(InputError, match="too far apart|overflows"):
            frechet_distance_from_features(*sides, method=method)
    statistics = Statistics(3).update(x)
    with pytest.raises(InputError, match="too far apart"):
        _ = statistics.sigma


def test_an_interval_that_float64_does_not_hold_is_an_error():
    x, y = np.random.RandomState(0).standard_normal((2, 60, 3)) * 1e100
    a, b = gaussian_from_rows(x), gaussian_from_rows(y)
    with pytest.raises(InputError, match="interval overflows"):
        bootstrap([Gaussian(a.mu, rows=x), b], 1.0, 20, 0)
    with pytest.raises(InputError, match="extrapolation overflows"):
        fid_infinity(x, y, points=5)
    with pytest.raises(InputError, match="interval overflows"):
        Interval(0.0, float("nan"), 0.95, 1.0, "bootstrap", 20)


@pytest.mark.parametrize("decades", [8, 12, 16])
def test_a_spectrum_against_its_reverse(decades):
    """Cholesky of either side loses what the other has most of: the estimate must say so."""
    q = np.linalg.qr(np.random.RandomState(decades).standard_normal((6, 6)))[0]
    w = np.logspace(0, -decades, 6)
    sides = [gaussian_from_moments(np.zeros(6), (q * v) @ q.T, "") for v in (w, w[::-1])]
    there, back = distance(*sides), distance(*sides[::-1])
    assert there.value == back.value
    assert 1e-17 * 10 ** (decades / 2) < there.error_estimate < 1e-14 * 10 ** (decades / 2)
