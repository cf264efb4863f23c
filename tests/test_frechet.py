"""The Fréchet distance: against independent oracles on every rank, and the published formula's decisions."""

import contextlib
import warnings

import numpy as np
import pytest
import scipy.linalg
from hypothesis import example, given
from hypothesis import strategies as st

from fastfid import FastFIDWarning, InputError, LinAlgError, frechet_distance, frechet_distance_from_features
from fastfid.metrics.frechet import distance, gaussian_from_moments, gaussian_from_rows

EPS = float(np.finfo(float).eps)
SCALES = st.integers(-8, 8)  # powers of ten
BUDGET = 1e-9  # of the traces: the error of the trace term


def centred(rows):
    x = rows - rows[0]  # a constant feature becomes exactly zero
    return (x - x.mean(axis=0)) / np.sqrt(len(rows) - 1)


def trace_term(x, y):
    """Oracle: tr Sx + tr Sy - 2 tr sqrt(Sx Sy) by the singular values of the rows' cross product; no covariance."""
    a, b = centred(x), centred(y)
    root = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return np.square(a).sum() + np.square(b).sum() - 2 * root


def traces(x, y):
    return np.square(centred(x)).sum() + np.square(centred(y)).sum()


def moments(rows):
    x = rows - rows[0]
    return rows[0] + x.mean(axis=0), np.cov(x, rowvar=False).reshape(rows.shape[1], rows.shape[1])


# The three ways into the distance: features, two covariances, and features against a covariance.
WAYS = {
    "features": lambda x, y: distance(gaussian_from_rows(x), gaussian_from_rows(y)),
    "moments": lambda x, y: distance(gaussian_from_moments(*moments(x), "1"), gaussian_from_moments(*moments(y), "2")),
    "mixed": lambda x, y: distance(gaussian_from_rows(x), gaussian_from_moments(*moments(y), "2")),
}
every_way = pytest.mark.parametrize("way", WAYS)


@st.composite
def features(draw, d, scales=SCALES, stream=0):
    """Rows (n, d) of a drawn rank and scale, some features dead or constant, some rows twice; and their rank."""
    rank = draw(st.sampled_from(sorted({1, 2, max(1, d - 1), d})))
    n = draw(st.integers(2, 2 * d + 8))
    rng = np.random.RandomState([stream, draw(st.integers(0, 2**32 - 1))])
    rows = rng.standard_normal((n, rank)) @ rng.standard_normal((rank, d))
    for kind in draw(st.lists(st.sampled_from(["dead", "constant", "twice"]), max_size=3)):
        if kind == "twice":
            rows = np.concatenate([rows, rows[: draw(st.integers(1, n))]])
        else:
            rows[:, draw(st.integers(0, d - 1))] = 0 if kind == "dead" else 1.5
    return rows * 10.0 ** draw(scales)


@st.composite
def pairs(draw, scales=SCALES):
    d = draw(st.integers(1, 12))
    return draw(features(d, scales, stream=1)), draw(features(d, scales, stream=2))


@every_way
@given(pair=pairs())
def test_trace_term_is_within_its_budget_on_every_rank(way, pair):
    x, y = pair
    result = WAYS[way](x, y)
    diff = x.mean(axis=0) - y.mean(axis=0)
    assert abs(result.trace_term - trace_term(x, y)) <= BUDGET * traces(x, y)
    assert abs(result.mean_term - diff @ diff) <= 1e-14 * diff.size * (np.abs(x).max() + np.abs(y).max()) ** 2
    assert result.value >= 0
    assert not result.offset


@every_way
@given(pair=pairs())
def test_is_symmetric(way, pair):
    x, y = pair
    there, back = WAYS[way](x, y), WAYS[way](y, x)
    assert abs(there.value - back.value) <= 2 * BUDGET * (traces(x, y) + there.mean_term)


@every_way
@given(data=st.data())
def test_distance_to_itself_is_zero(way, data):
    x = data.draw(features(data.draw(st.integers(1, 12))))
    rounding_of_the_mean = np.square(2 * EPS * x[0]).sum()
    assert 0 <= WAYS[way](x, x).value <= BUDGET * traces(x, x) / 2 + rounding_of_the_mean


@pytest.mark.parametrize("decades", [4, 8, 12, 16])
@pytest.mark.parametrize("n", [5, 40, 41, 300])
@every_way
def test_distance_to_itself_is_zero_on_any_spectrum(way, n, decades):
    rng = np.random.RandomState(decades)
    basis = np.linalg.qr(rng.standard_normal((40, 40)))[0]
    x = rng.standard_normal((n, 40)) * np.logspace(0, -decades / 2, 40) @ basis
    assert 0 <= WAYS[way](x, x).value <= BUDGET * traces(x, x) / 2


def conditioning(rows):
    """Smallest over largest eigenvalue of the covariance, of a side that is known as a matrix."""
    alive = centred(rows)[:, centred(rows).any(axis=0)]
    if len(rows) <= rows.shape[1] or not alive.size:
        return 1.0  # rows have no such limit
    values = np.linalg.svd(alive, compute_uv=False) ** 2
    return max(values[-1] / values[0], np.finfo(float).eps)


def nearly_deficient(seed):
    """Ten rows of nine features whose covariance has a condition number above 1e5."""
    rng = np.random.RandomState(seed)
    return rng.standard_normal((10, 9)) * np.logspace(0, -3.2, 9)


@given(x=features(9), y=features(9))
@example(x=nearly_deficient(0), y=nearly_deficient(0))
@example(x=nearly_deficient(1), y=nearly_deficient(2))
def test_error_estimate_covers_the_error(x, y):
    result = WAYS["features"](x, y)
    assert abs(result.trace_term - trace_term(x, y)) <= 10 * result.error_estimate
    # A deficient matrix cannot tell eigenvalues of its rounding from zero; rows have no such limit.
    d = x.shape[1]
    as_matrix = [len(rows) > d for rows in (x, y)]
    alive = np.count_nonzero(centred(x).any(axis=0) & centred(y).any(axis=0))
    unknown = any(m and rank < alive for m, rank in zip(as_matrix, result.rank, strict=True))
    # The root of the product multiplies rounding by 1 / sqrt(smallest / largest eigenvalue), at most.
    rounding = 64 * np.finfo(float).eps / np.sqrt(conditioning(x) * conditioning(y))
    assert result.error_estimate <= (1e-6 if unknown else min(max(BUDGET, rounding), 1e-6)) * (
        traces(x, y) + result.mean_term
    )


@pytest.mark.parametrize("n", [2, 3, 29, 30, 31, 32, 200])
@pytest.mark.parametrize("m", [2, 30, 31, 400])
@every_way
def test_reports_ranks(way, n, m):
    rng = np.random.RandomState(n * 1000 + m)
    result = WAYS[way](rng.standard_normal((n, 30)), rng.standard_normal((m, 30)))
    assert result.rank == (min(n - 1, 30), min(m - 1, 30))


@pytest.mark.parametrize("last", [1e-5, 1e-3, 1.0])
@pytest.mark.parametrize("d", [2, 3, 5, 30])
def test_a_covariance_that_lacks_one_rank_is_seen_as_such(d, last):
    """Cholesky often succeeds on it, and its last pivot looks healthy: rounding over the square of `last`."""
    null = np.append(np.ones(d - 1), last)
    null /= np.linalg.norm(null)
    for seed in range(20):
        rng = np.random.RandomState(seed)
        x, y = rng.standard_normal((3 * d, d)), rng.standard_normal((3 * d, d))
        y -= np.outer(y @ null, null)
        result = WAYS["moments"](x, y)
        assert result.rank == (d, d - 1)
        assert abs(result.trace_term - trace_term(x, y)) <= 1e-11 * traces(x, y)


@pytest.mark.parametrize(("n", "m"), [(20, 30), (120, 125), (125, 400), (400, 500)])
def test_features_of_a_networks_kind(n, m, record_property):
    """Sparse, positive, with a steep spectrum and a few dead dimensions, as a pooled ReLU layer gives them."""
    rng = np.random.RandomState(n)
    mix = rng.standard_normal((120, 120)) * np.logspace(0, -2, 120)[:, None]

    def draw(k, shift):
        rows = np.maximum(0, rng.standard_normal((k, 120)) @ mix + shift)
        rows[:, ::40] = 0
        return rows.astype(np.float32).astype(np.float64)

    x, y = draw(n, 0.0), draw(m, 0.3)
    exact = trace_term(x, y)
    worst = max(abs(way(x, y).trace_term - exact) for way in WAYS.values()) / traces(x, y)
    record_property("worst", float(worst))
    assert worst <= 1e-12


class TestAnalytic:
    d = 25
    rng = np.random.RandomState(3)
    a, b = rng.uniform(0.1, 9, d), rng.uniform(0.1, 9, d)
    q = np.linalg.qr(rng.standard_normal((d, d)))[0]
    zero = np.zeros(d)

    @pytest.mark.parametrize("method", ["auto", "schur"])
    def test_diagonal_and_commuting(self, method):
        exact = np.square(np.sqrt(self.a) - np.sqrt(self.b)).sum()
        for basis in (np.eye(self.d), self.q):
            s1, s2 = (basis * self.a) @ basis.T, (basis * self.b) @ basis.T
            assert frechet_distance(self.zero, s1, self.zero, s2, method=method) == pytest.approx(exact, rel=1e-11)

    @pytest.mark.parametrize("scale", [1e-8, 1e-3, 1.0, 4.0, 1e8])
    def test_a_multiple_of_itself(self, scale):
        s = (self.q * self.a) @ self.q.T
        exact = self.a.sum() * (1 - np.sqrt(scale)) ** 2
        got = frechet_distance(self.zero, s, self.zero, scale * s)
        assert abs(got - exact) <= BUDGET * self.a.sum() * (1 + scale)

    @pytest.mark.parametrize("method", ["auto", "schur"])
    def test_one_dimension(self, method):
        assert frechet_distance(0.0, 1.0, 1.0, 4.0, method=method) == 2.0
        assert frechet_distance([0.0], [[0.0]], [3.0], [[0.0]], method=method) == 9.0

    def test_singular_against_singular(self):
        s1, s2 = np.diag([1.0, 1, 0, 0]), np.diag([0.0, 4, 4, 0])
        got = distance(gaussian_from_moments(np.zeros(4), s1, "1"), gaussian_from_moments(np.ones(4), s2, "2"))
        assert got.value == pytest.approx(4 + 2 + 8 - 2 * 2, rel=1e-14)

    def test_means_alone(self):
        s = (self.q * self.a) @ self.q.T
        assert frechet_distance(self.zero, s, self.zero + 2, s) == pytest.approx(4 * self.d, rel=1e-12)

    @pytest.mark.parametrize("tail", [1e-12, 1e-15, 1e-16, 1e-20])
    def test_a_covariance_is_known_to_the_rounding_of_its_largest_eigenvalue(self, tail):
        """What a matrix cannot tell from zero, 32 eps of its largest eigenvalue, costs at most the root of that."""
        a, b = np.array([1, tail]), np.array([1e-3, 1])
        exact = np.square(np.sqrt(a) - np.sqrt(b)).sum()
        got = frechet_distance(np.zeros(2), np.diag(a), np.zeros(2), np.diag(b))
        assert abs(got - exact) <= 2 * np.sqrt(32 * EPS * a.sum() * b.sum())
        estimate = distance(*(gaussian_from_moments(np.zeros(2), np.diag(v), "1") for v in (a, b))).error_estimate
        assert abs(got - exact) <= estimate


@pytest.mark.parametrize("method", ["auto", "schur"])
@pytest.mark.parametrize("d", [2, 10, 80])
def test_equals_scipys_root_where_that_is_well_conditioned(d, method):
    rng = np.random.RandomState(d)
    (mu1, s1), (mu2, s2) = (moments(rng.standard_normal((5 * d, d))) for _ in "12")
    exact = np.square(mu1 - mu2).sum() + np.trace(s1 + s2) - 2 * np.trace(scipy.linalg.sqrtm(s1 @ s2)).real
    assert frechet_distance(mu1, s1, mu2, s2, method=method) == pytest.approx(exact, rel=1e-11)


# Published results of the Keras tutorial's recipe, two draws of 10 x 2048 (frozen stream); the last digits are ours.
@pytest.mark.parametrize(("seed", "expected"), [(0, 360.5493446), (1, 358.4121516), (2, 357.8916874)])
def test_the_keras_tutorials_numbers(seed, expected):
    rng = np.random.RandomState(seed)
    x, y = (rng.random_sample(10 * 2048).reshape(10, 2048) for _ in "xy")
    assert frechet_distance_from_features(x, y) == pytest.approx(expected, abs=6e-8)
    assert frechet_distance_from_features(x, x) <= BUDGET * traces(x, x) / 2


def published(mu1, s1, mu2, s2, eps=1e-6):
    """pytorch-fid's formula, plainly, by SciPy's root; and whether it added eps."""
    offset = np.eye(len(s1)) * eps
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = scipy.linalg.sqrtm(s1 @ s2)
        singular = not np.isfinite(root).all()
        if singular:
            root = scipy.linalg.sqrtm((s1 + offset) @ (s2 + offset))
    if np.iscomplexobj(root):
        if not np.allclose(np.diagonal(root).imag, 0, atol=1e-3):
            raise ValueError(f"Imaginary component {np.abs(root.imag).max()}")
        root = root.real
    diff = mu1 - mu2
    return diff @ diff + np.trace(s1) + np.trace(s2) - 2 * np.trace(root), singular


class TestSchur:
    # Scales at which rounding alone stays below the imaginary part that is refused, 1e-3 absolute.
    @given(pair=pairs(st.integers(-4, 0)))
    def test_equals_the_published_formula(self, pair):
        x, y = pair
        # Zero eigenvalues come out as the rounding of either library, their roots as the root of that.
        bound = 1e-6 * np.sqrt(traces(x, x) * traces(y, y)) + BUDGET * traces(x, y)
        (mu1, s1), (mu2, s2) = moments(x), moments(y)
        expected, singular = published(mu1, s1, mu2, s2)
        got = distance(gaussian_from_moments(mu1, s1, "1"), gaussian_from_moments(mu2, s2, "2"), method="schur")
        if bool(got.offset) != singular:
            # Only constant features make eigenvalues that are exactly zero. Where two of them meet, coupled by
            # rounding, a finite quotient is luck, in SciPy too. The price is that of eps.
            assert not (np.diagonal(s1).all() and np.diagonal(s2).all())
            bound += 2 * len(s1) * np.sqrt(1e-6 * traces(x, y) + 1e-12)
        assert abs(got.value - expected) <= bound

    # The product is nilpotent, [[0, 1], [0, 0]]; the eigenvalues with eps are real and positive.
    NILPOTENT = np.array([[1.0, 0], [0, 0]]), np.array([[0, 1.0], [1, 1e7]])

    @pytest.mark.parametrize("eps", [1e-6, 1e-3])
    def test_adds_eps_where_the_root_is_not_finite(self, eps):
        zero = np.zeros(2)
        s1, s2 = self.NILPOTENT
        expected, singular = published(zero, s1, zero, s2, eps)
        got = distance(
            gaussian_from_moments(zero, s1, "1"), gaussian_from_moments(zero, s2, "2"), method="schur", eps=eps
        )
        assert singular
        assert got.offset == eps
        assert got.rank is None
        assert np.isnan(got.error_estimate)
        assert got.value == pytest.approx(expected, rel=1e-9)
        assert frechet_distance(zero, s1, zero, s2, eps, method="schur") == got.value

    @pytest.mark.parametrize(
        ("s1", "s2"),
        [
            ([[1.0, 2], [2, 1]], np.eye(2)),  # eigenvalues 3 and -1
            (np.eye(3), [[1.0, 0, 2], [0, 1, 0], [2, 0, 1]]),
            ([[0.0, 1], [1, 0]], [[0.0, 0], [0, 1]]),  # nilpotent, and with eps negative
        ],
    )
    def test_refuses_a_root_that_is_not_real(self, s1, s2):
        s1, s2 = np.array(s1), np.array(s2)
        zero = np.zeros(len(s1))
        with pytest.raises(ValueError, match="Imaginary component"):
            published(zero, s1, zero, s2)
        with pytest.raises(LinAlgError, match="imaginary component"):
            frechet_distance(zero, s1, zero, s2, method="schur")

    # Half of the eigenvalue's root falls on each entry of the diagonal: sqrt(-eigenvalue) / 2.
    @pytest.mark.parametrize("eigenvalue", [-3.9e-6, -4.1e-6])
    def test_overlooks_an_imaginary_part_of_a_thousandth(self, eigenvalue):
        one, both = np.full((2, 2), 0.5), np.array([[0.5, -0.5], [-0.5, 0.5]])
        moments = np.zeros(2), np.eye(2), np.zeros(2), one + eigenvalue * both
        gaussians = gaussian_from_moments(*moments[:2], "1"), gaussian_from_moments(*moments[2:], "2")
        got = distance(*gaussians, method="schur")
        if eigenvalue < -4e-6:
            with pytest.raises(ValueError, match="Imaginary component"):
                published(*moments)
            assert got.offset == pytest.approx(1e-6)  # with it, all is well
        else:
            assert got.offset == 0
            assert got.value == pytest.approx(published(*moments)[0], abs=1e-12)


class TestRefuses:
    good = np.zeros(3), np.eye(3)

    @pytest.mark.parametrize(
        ("mu", "sigma", "message"),
        [
            (np.zeros(3), np.eye(4), r"sigma2 must have shape \(3, 3\) to fit mu2, got \(4, 4\)"),
            (np.zeros(3), np.ones((3, 2)), r"sigma2 must have shape \(3, 3\)"),
            (np.zeros(4), np.eye(4), "same length, got 3 and 4"),
            (np.zeros((3, 1)), np.eye(3), r"mu2 must have 1 dimensions, got shape \(3, 1\)"),
            (np.zeros(0), np.zeros((0, 0)), "mu2 is empty"),
            ([0, np.nan, 0], np.eye(3), r"mu2 holds 1 values that are not finite; .* nan at index \(1,\)"),
            (np.zeros(3), np.diag([1, np.inf, 1]), r"sigma2 .* inf at index \(1, 1\)"),
            (np.zeros(3), np.triu(np.ones((3, 3))), "sigma2 is not symmetric: .* up to 1"),
            (np.zeros(3), np.diag([1, 1, -1e-9]), "sigma2 is not a covariance: entry 2 of its diagonal is -1e-09"),
            (np.zeros(3), np.eye(3) * 1j, "sigma2 must be real numbers, got dtype complex128"),
            (["a"] * 3, np.eye(3), "mu2 must be real numbers"),
        ],
    )
    @pytest.mark.parametrize("method", ["auto", "schur"])
    def test_moments(self, mu, sigma, message, method):
        with pytest.raises(InputError, match=message):
            frechet_distance(*self.good, mu, sigma, method=method)

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            (np.zeros((1, 3)), "y needs at least 2 rows, got 1"),
            (np.zeros((0, 3)), "y is empty"),
            (np.zeros((4, 2)), "same dims, got 3 and 2"),
            (np.zeros(3), "y must have 2 dimensions"),
            (np.full((4, 3), np.nan), r"y holds 12 values .* index \(0, 0\)"),
        ],
    )
    def test_features(self, rows, message):
        with pytest.raises(InputError, match=message):
            frechet_distance_from_features(np.eye(3), rows)

    def test_a_method_that_does_not_exist(self):
        with pytest.raises(InputError, match=r"method must be one of auto, schur; got 'newton'"):
            frechet_distance(*self.good, *self.good, method="newton")

    @pytest.mark.parametrize(("asymmetry", "told"), [(0.9e-6, False), (1.1e-6, True), (0.9e-3, True)])
    def test_asymmetry_of_rounding_is_taken(self, asymmetry, told):
        s = np.eye(3)
        s[0, 1] = asymmetry
        expected = pytest.warns(FastFIDWarning, match="sigma2 is not symmetric") if told else contextlib.nullcontext()
        with expected:
            value = frechet_distance(*self.good, np.zeros(3), s)
        assert value == frechet_distance(*self.good, np.zeros(3), (s + s.T) / 2)

    def test_asymmetry_beyond_rounding(self):
        s = np.eye(3)
        s[0, 1] = 1.1e-3
        with pytest.raises(InputError, match=r"sigma2 is not symmetric.* \(sigma2 \+ sigma2.T\) / 2 is symmetric"):
            frechet_distance(*self.good, np.zeros(3), s)


def test_rows_stand_for_themselves_while_they_are_smaller():
    rows = np.random.RandomState(0).standard_normal((7, 6))
    assert gaussian_from_rows(rows[:6]).sigma is None
    assert gaussian_from_rows(rows).rows is None


@pytest.mark.parametrize("sigma", [[[1, 2], [2, 1]], [[0, 1], [1, 0]], [[3, 0], [0, -1e-3]]])
def test_an_indefinite_covariance_is_refused(sigma):
    for pair in ((sigma, np.eye(2)), (np.eye(2), sigma)):
        with pytest.raises(InputError, match="indefinite|not a covariance"):
            frechet_distance([0, 0], pair[0], [0, 0], pair[1])


@pytest.mark.parametrize(("n", "d"), [(20, 64), (100, 256)])
def test_a_deficient_covariance_of_float32_precision(n, d):
    """Its rounding has negative eigenvalues of 1e-8 of the largest; the estimate covers what they cost."""
    sigma = np.cov(np.random.RandomState(n).standard_normal((n, d)), rowvar=False)
    narrow = sigma.astype(np.float32).astype(np.float64)
    result = distance(*(gaussian_from_moments(np.zeros(d), s, "1") for s in (sigma, narrow)))
    assert 0 <= result.value <= result.error_estimate <= 1e-3 * np.trace(sigma)
    assert frechet_distance(np.zeros(d), narrow, np.zeros(d), narrow) == 0


def test_overflow_is_an_error_and_no_warning():
    with pytest.raises(InputError, match="overflows"):
        frechet_distance([1e200, 0], np.eye(2), [0, 0], np.eye(2))


@pytest.mark.parametrize("eps", [-1, float("nan"), float("inf"), "x", 10**400, -(10**400), None])
def test_eps_must_be_a_number(eps):
    with pytest.raises(InputError, match="eps"):
        frechet_distance([0], [[1]], [0], [[1]], eps=eps)


def test_at_4096_dims():
    x, y = (np.random.RandomState(s).standard_normal((n, 4096)) for s, n in ((0, 30), (1, 40)))
    exact, scale = trace_term(x, y), traces(x, y)
    rows, known = [gaussian_from_rows(r) for r in (x, y)], [gaussian_from_moments(*moments(r), "1") for r in (x, y)]
    for a, b in ((rows[0], rows[1]), (rows[0], known[1]), (known[0], known[1])):
        result = distance(a, b)
        assert abs(result.trace_term - exact) <= BUDGET * scale
        assert result.rank == (29, 39)
    assert distance(known[0], known[0]).value <= BUDGET * scale


class Tensor:
    """What torch gives where a gradient is wanted."""

    def detach(self):
        raise NotImplementedError

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, [2, 3]], "cannot be made an array"),
        (Tensor(), r"requires grad.*tensor\.detach\(\)\.float\(\)\.cpu\(\)\.numpy\(\)"),
        ([None, None], "must be real numbers, got dtype object"),
    ],
)
def test_what_is_no_array_of_numbers(value, message):
    for call in (
        lambda: frechet_distance(value, np.eye(2), [0, 0], np.eye(2)),
        lambda: frechet_distance([0, 0], np.eye(2), [0, 0], value),
        lambda: frechet_distance_from_features(value, np.eye(2)),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_an_asymmetry_of_any_scale_is_seen_and_mended():
    narrow = np.array([[1.0, 0.5], [0.5 * (1 + 1e-5), 1.0]])
    for scale in (1e-300, 1.0, 1.7e308):
        with pytest.warns(FastFIDWarning, match="not symmetric"):
            assert frechet_distance([0, 0], narrow * scale, [0, 0], narrow.T * scale) <= 1e-9 * scale
