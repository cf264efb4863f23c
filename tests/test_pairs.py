"""Products over pairs of rows against plain NumPy twins: neighbours and counts to the last bit, sums within bounds."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pairs_twin as twin
from fastfid import InputError, _core, sqrtm

BLOCK = 512  # rows of x that a worker takes at a time; half of them if there are fewer than 4 blocks
SAMPLE = 64  # rows whose medians say which rows are far
EPS = {np.float32: 2.0**-24, np.float64: 2.0**-53}


@pytest.fixture(autouse=True)
def restore():
    threads = _core.get_num_threads()
    yield
    _core.set_num_threads(threads)


MODEST = st.integers(-3, 3)  # powers of ten
ANY_SCALE = st.integers(-44, 33)  # float32 holds 1e-45 to 3e38


@st.composite
def pairs(draw, decades=MODEST):
    """Two sets of rows: generic or on a coarse grid, with rows twice, a common offset, any scale."""
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    n, m, d = (draw(st.integers(least, 40)) for least in (2, 2, 1))
    rng = np.random.RandomState(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["normal", "grid", "clusters"]))
    both = rng.standard_normal((n + m, d)) + draw(st.sampled_from([0.0, 1.0, 1e4]))
    if kind == "grid":
        both = rng.randint(0, 3, (n + m, d)).astype(float)
    elif kind == "clusters":
        both = both[rng.randint(0, 3, n + m)] + draw(st.sampled_from([0.0, 1e-6])) * rng.standard_normal((n + m, d))
    both = (both * 10.0 ** draw(decades)).astype(dtype)
    return both[:n].copy(), both[n:].copy()


def equal(got, expected):
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@given(pair=pairs(ANY_SCALE), same=st.booleans(), data=st.data())
def test_nearest_is_the_twins_to_the_last_bit(pair, same, data):
    x, y = pair if not same else (pair[0], pair[0])
    k = data.draw(st.integers(1, len(y) - same))
    equal(_core.nearest(x, y, k, same), twin.nearest(x, y, k, same))


@given(pair=pairs(ANY_SCALE), strict=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_balls_are_the_twins_to_the_last_bit(pair, strict, seed):
    """Many rows lie exactly on the surface of a ball: most radii are distances."""
    x, y = pair
    rng = np.random.RandomState(seed)
    distances = np.append(twin.squared_distances(x, y), [0.0, np.inf, -1.0])
    radii_x, radii_y = rng.choice(distances, len(x)), rng.choice(distances, len(y))
    equal(_core.balls(x, y, radii_x, radii_y, strict), twin.balls(x, y, radii_x, radii_y, strict))


def upper_median(values):
    return np.sort(values, axis=0)[len(values) // 2]


@given(pair=pairs(), same=st.booleans(), longer=st.sampled_from([1.0, 1e3, 1e6]))
def test_polynomial_sums_are_within_the_error_of_the_products(pair, same, longer):
    """The error of a pair is that of its own rows, also beside a row that is far longer."""
    x, y = pair if not same else (pair[0], pair[0])
    x[0] *= longer
    d = x.shape[1]
    a, b = x.astype(np.float64), y.astype(np.float64)
    both = np.concatenate([a, b])
    count = min(len(both), SAMPLE)
    some = both[np.arange(count) * len(both) // count]
    distances = np.linalg.norm(both - upper_median(some), axis=1)
    centre = both[distances <= 4.001 * upper_median(distances)].mean(axis=0)
    lengths = [np.linalg.norm(rows, axis=1) for rows in (a, b, a - centre, b - centre, centre[None])]
    product = (d + 8) * EPS[x.dtype.type] * np.outer(lengths[2], lengths[3])
    # The twin rounds in float64, and so do c·x, c·y and c·c, which are added back.
    product += 4 * (d + 8) * 2.0**-53 * np.outer(lengths[0] + lengths[4], lengths[1] + lengths[4])
    error = product / d + 2.0**-50
    size = np.outer(lengths[0], lengths[1]) / d + 1 + error
    bound = 3 * size**2 * error
    rows, columns, squares = _core.polynomial_sums(x, y, same)
    expected = twin.polynomial_sums(x, y, same)
    assert (np.abs(rows - expected[0]) <= bound.sum(axis=1)).all()
    assert (np.abs(columns - expected[1]) <= bound.sum(axis=0)).all()
    assert abs(squares - expected[2]) <= (2 * size**3 * bound).sum()


@given(pair=pairs(), sigma=st.sampled_from([1e-3, 0.3, 1.0, 10.0, 1e3]))
def test_gaussian_sums(pair, sigma):
    x, y = pair
    rows, columns = _core.gaussian_sums(x, y, sigma)
    expected = twin.gaussian_sums(x, y, sigma)
    assert np.abs(rows - expected[0]).max() <= 1e-5 * len(y)
    assert np.abs(columns - expected[1]).max() <= 1e-5 * len(x)


def test_gaussian_of_identical_rows_is_one():
    x = np.repeat(np.random.RandomState(0).standard_normal((1, 300)).astype(np.float32) * 100, 40, axis=0)
    for sums in _core.gaussian_sums(x, x.copy(), 1e-6):
        np.testing.assert_array_equal(sums, 40.0)


def features(n, d, seed, dtype=np.float32):
    """Positive rows with a common mean, some of them twice."""
    rng = np.random.RandomState(seed)
    rows = np.maximum(0, rng.standard_normal((n, d)) + np.linspace(-1, 1, d))
    rows[:: max(2, n // 9)] = rows[1]
    return rows.astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "m"), [(BLOCK - 1, 255), (BLOCK + 1, 257), (2 * BLOCK, 1030)])
def test_more_rows_than_a_tile(n, m, dtype):
    x, y = features(n, 20, 1, dtype), features(m, 20, 2, dtype)
    equal(_core.nearest(x, y, 7, False), twin.nearest(x, y, 7, False))
    indices, radii_x = _core.nearest(x, x, 5, True)
    equal((indices, radii_x), twin.nearest(x, x, 5, True))
    radii = radii_x[:, -1].copy(), twin.nearest(y, y, 5, True)[1][:, -1].copy()
    for strict in (False, True):
        equal(_core.balls(x, y, *radii, strict), twin.balls(x, y, *radii, strict))
    tolerance = 1e-6 if dtype == np.float32 else 1e-13
    for a, b, same in ((x, y, False), (x, x, True), (y, y, True)):
        for got, expected in zip(_core.polynomial_sums(a, b, same), twin.polynomial_sums(a, b, same), strict=True):
            np.testing.assert_allclose(got, expected, rtol=tolerance)
    for got, expected in zip(_core.gaussian_sums(x, y, 3.0), twin.gaussian_sums(x, y, 3.0), strict=True):
        np.testing.assert_allclose(got, expected, rtol=tolerance)


def everything(x, y):
    """Return all results as bytes."""
    indices, distances = _core.nearest(x, x, 3, True)
    radii = distances[:, -1].copy()
    results = [indices, distances, *_core.nearest(x, y, 2, False)]
    results += _core.balls(x, y, radii, np.resize(radii, len(y)), True)
    for sums in (_core.polynomial_sums(x, y, False), _core.polynomial_sums(x, x, True), _core.gaussian_sums(x, y, 2.0)):
        results += sums
    return [np.asarray(result).tobytes() for result in results]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bits_do_not_depend_on_the_number_of_threads(dtype):
    x, y = features(4 * BLOCK + 100, 11, 1, dtype), features(700, 11, 2, dtype)
    expected = everything(x, y)
    for threads in (2, 3, 4, 8):
        _core.set_num_threads(threads)
        assert everything(x, y) == expected


def test_several_python_threads_at_once_beside_other_blas():
    """Each holds BLAS at one thread and none leaves it there; some of them raise."""
    x, y = features(BLOCK + 30, 11, 1), features(300, 11, 2)
    expected, found = everything(x, y), []
    matrix = np.cov(features(900, 200, 3, np.float64), rowvar=False)
    root = sqrtm(matrix)

    def pairs_and_errors():
        for _ in range(3):
            with pytest.raises(InputError):
                _core.nearest(np.full_like(x, np.nan), y, 2, False)
            found.append(everything(x, y) == expected)

    def roots():
        found.extend(np.allclose(sqrtm(matrix), root, atol=1e-12) for _ in range(3))

    _core.set_num_threads(2)
    workers = [threading.Thread(target=work) for work in (pairs_and_errors, pairs_and_errors, roots, pairs_and_errors)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == [True] * 12
    assert _core.get_num_threads() == 2


@pytest.mark.parametrize("scale", [1e-45, 1e-30, 1.0, 1e30, 3e38])
def test_all_rows_identical(scale):
    """No pair is left to be decided one by one but the first few of each row."""
    x = np.full((3000, 64), scale, np.float32)
    indices, distances = _core.nearest(x, x, 5, True)
    assert not distances.any()
    np.testing.assert_array_equal(indices[0], [1, 2, 3, 4, 5])
    np.testing.assert_array_equal(indices[-1], [0, 1, 2, 3, 4])
    radii = np.zeros(3000)
    in_y, in_x, nearest_y = _core.balls(x, x, radii, radii, True)
    assert not in_y.any()
    assert not in_x.any()
    assert not nearest_y.any()


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("huge", [1e10, 1e30, 1e38])
def test_huge_rows_among_ordinary_ones(huge, centred):
    """The scale is that of the largest entry, beside which the products of the others vanish."""
    x, y = features(300, 20, 1), features(260, 20, 2)
    x[17] = huge
    if centred:  # by their mean and their median
        x, y = np.concatenate([x, -x]), np.concatenate([y, -y])
    equal(_core.nearest(x, y, 4, False), twin.nearest(x, y, 4, False))
    equal(_core.nearest(x, x, 4, True), twin.nearest(x, x, 4, True))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_gaussian_that_is_narrower_than_float64_can_say(dtype):
    x = features(300, 20, 1, dtype)
    np.testing.assert_array_equal(_core.gaussian_sums(x, x, 1e-200), twin.gaussian_sums(x, x, 1e-100))


def test_read_only_memory_mapped_rows(tmp_path):
    x, y = features(300, 20, 1), features(260, 20, 2)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert everything(mapped, y) == everything(x, y)


X, Y = np.zeros((3, 2), np.float32), np.zeros((4, 2), np.float32)


@pytest.mark.parametrize("k", [0, -1, 4])
def test_neighbours_that_do_not_exist(k):
    with pytest.raises(ValueError, match=f"k must be between 1 and 3, got {k}"):
        _core.nearest(Y, Y, k, True)
    with pytest.raises(ValueError, match="k must be between 1 and 4, got 5"):
        _core.nearest(X, Y, 5, False)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("side", [0, 1])
def test_rows_that_are_not_finite(bad, dtype, side):
    rows = [X.astype(dtype), Y.astype(dtype)]
    rows[side][2, 1] = bad
    for call in (
        lambda: _core.nearest(*rows, 1, False),
        lambda: _core.balls(*rows, np.zeros(3), np.zeros(4), True),
        lambda: _core.polynomial_sums(*rows, False),
        lambda: _core.gaussian_sums(*rows, 1.0),
    ):
        with pytest.raises(InputError, match="rows of features must be finite"):
            call()


@pytest.mark.parametrize("index", range(0, 37 * 3, 5))
def test_the_entry_that_is_not_finite_may_be_anywhere(index):
    rows = np.ones((3, 37), np.float32)
    rows.flat[index] = np.nan
    with pytest.raises(InputError, match="rows of features must be finite"):
        _core.nearest(rows, rows, 1, True)


def test_results_that_overflow():
    x = np.array([[1e200, 0], [-1e200, 1]])
    with pytest.raises(InputError, match="squared distances overflow float64"):
        _core.nearest(x, x, 1, True)
    with pytest.raises(InputError, match="squared distances overflow float64"):
        _core.balls(x, x, np.ones(2), np.ones(2), True)
    wide = np.array([[3e38, 0], [-3e38, 1]], np.float32)  # whose squares float32 cannot hold
    equal(_core.nearest(wide, wide, 1, True), twin.nearest(wide, wide, 1, True))
    with pytest.raises(InputError, match=r"sums of \(x·y / d \+ 1\)³ overflow"):
        _core.polynomial_sums(wide, wide, True)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: _core.nearest(X, Y.astype(np.float64), 1, False), TypeError, "y must be a C-contiguous float32"),
        (lambda: _core.nearest(X[:, ::2], X[:, :1].copy(), 1, False), TypeError, "x must be a C-contiguous"),
        (lambda: _core.nearest(X.astype(int), Y, 1, False), TypeError, "x must be a C-contiguous float64"),
        (lambda: _core.nearest(X[0], Y, 1, False), TypeError, "of 2 dimensions"),
        (
            lambda: _core.nearest(X, np.zeros((4, 3), np.float32), 1, False),
            ValueError,
            "length of a row of y must be 2",
        ),
        (lambda: _core.nearest(X[:0], Y, 1, False), ValueError, "at least one a side"),
        (lambda: _core.nearest(X, X.copy(), 1, True), ValueError, "with same=True, y must be x"),
        (lambda: _core.polynomial_sums(X, X[:2], True), ValueError, "with same=True, y must be x"),
        (lambda: _core.balls(X, Y, np.zeros(2), np.zeros(4), True), ValueError, "length of radii_x must be 3"),
        (lambda: _core.balls(X, Y, np.zeros(3), np.full(4, np.nan), True), ValueError, "radius is not a number"),
        (lambda: _core.gaussian_sums(X, Y, 0.0), ValueError, "sigma must be positive"),
        (lambda: _core.gaussian_sums(X, Y, np.nan), ValueError, "sigma must be positive"),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()
