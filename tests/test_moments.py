"""The core's streaming moments: exact, and bit-equal for any batching of the rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfid import InputError
from fastfid._core import Moments

BLOCK = 512  # Moments::kBlock, rows folded at a time


def normal(n, d, seed=0, dtype=np.float64):
    return np.random.RandomState(seed).standard_normal((n, d)).astype(dtype)


def moments(*batches):
    m = Moments(batches[0].shape[1])
    for batch in batches:
        m.update(np.ascontiguousarray(batch))
    return m


def bits(m):
    return m.mean().tobytes() + m.covariance().tobytes()


def two_pass(rows):
    """Mean and covariance in long double (80 bits on x86-64; elsewhere the bounds are wide enough for double)."""
    x = rows.astype(np.longdouble)
    mu = x.mean(axis=0)
    x -= mu
    return mu, x.T @ x / (len(x) - 1)


def error(m, rows):
    """Largest errors of mean and covariance, relative to the largest deviation and the largest covariance."""
    mu, sigma = two_pass(rows)
    scale = np.abs(sigma).max()
    return float(np.abs(m.mean() - mu).max() / np.sqrt(scale)), float(np.abs(m.covariance() - sigma).max() / scale)


@st.composite
def splits(draw, sizes, most=6):
    """A number of rows, and where to cut them."""
    n = draw(sizes)
    return n, sorted(draw(st.lists(st.integers(0, n), max_size=most)))


# Rows around d, around one block and around two.
def row_counts(d):
    near = [k + e for k in (d, BLOCK, 2 * BLOCK) for e in (-1, 0, 1)]
    return st.sampled_from([n for n in near if n >= 2]) | st.integers(2, 1300)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 511, 512, 513, 1024, 1025, 3000])
@pytest.mark.parametrize("d", [1, 4, 60])
def test_equals_numpy(n, d):
    rows = normal(n, d) * np.linspace(1, 5, d) + np.linspace(-2, 2, d)
    m = moments(rows)
    np.testing.assert_allclose(m.mean(), rows.mean(axis=0), rtol=0, atol=1e-13)
    np.testing.assert_allclose(m.covariance(), np.cov(rows, rowvar=False).reshape(d, d), rtol=0, atol=1e-12)
    assert m.count == n


@pytest.mark.parametrize(("ratio", "bound"), [(0, 1e-13), (1, 1e-13), (100, 1e-13), (1e6, 1e-10)])
@pytest.mark.parametrize("n", [5, 700, 5000])
@pytest.mark.parametrize("batch", [7, 5000])
def test_large_means_cost_no_digits(n, ratio, bound, batch, record_property):
    rows = normal(n, 12, seed=n) + ratio
    m = moments(*(rows[i : i + batch] for i in range(0, n, batch)))
    mu_error, sigma_error = error(m, rows)
    record_property("sigma_error", float(sigma_error))
    assert sigma_error <= bound
    assert mu_error <= max(bound, 2 * np.spacing(ratio))


@pytest.mark.parametrize("d", [1, 3, 40])
@given(data=st.data())
def test_batching_does_not_change_a_bit(d, data):
    n, cuts = data.draw(splits(row_counts(d)))
    rows = normal(n, d, seed=n)
    m = Moments(d)
    for batch in np.split(rows, cuts):
        m.update(batch)
        if m.count >= 2 and data.draw(st.booleans(), label="look in between"):
            bits(m)
            m.rows()
    assert bits(m) == bits(moments(rows))


@pytest.mark.parametrize("d", [BLOCK - 1, BLOCK, BLOCK + 1])
@pytest.mark.parametrize("n", [BLOCK - 1, BLOCK, BLOCK + 1, BLOCK + 2, 2 * BLOCK, 2 * BLOCK + 3])
def test_batching_does_not_change_a_bit_around_the_block(d, n):
    rows = normal(n, d, seed=n)
    whole = bits(moments(rows))
    for batch in (97, BLOCK):
        assert bits(moments(*(rows[i : i + batch] for i in range(0, n, batch)))) == whole


@given(split=splits(st.integers(2, 1200)), wide=st.lists(st.booleans(), min_size=7, max_size=7))
def test_float32_and_float64_mix(split, wide):
    n, cuts = split
    rows = normal(n, 5, seed=n, dtype=np.float32)
    batches = [b.astype(np.float64 if w else np.float32) for b, w in zip(np.split(rows, cuts), wide, strict=False)]
    assert bits(moments(*batches)) == bits(moments(rows.astype(np.float64)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_are_kept_only_while_they_are_smaller(dtype):
    rows = normal(8, 6, dtype=dtype)
    m = Moments(6)
    for n in range(1, 9):
        m.update(rows[n - 1 : n])
        if n <= 6:
            np.testing.assert_array_equal(m.rows(), rows[:n], strict=True)
        else:
            assert m.rows() is None


def test_rows_are_a_copy():
    m = moments(normal(3, 4))
    before = bits(m)
    m.rows()[:] = 0
    assert bits(m) == before


@given(n=row_counts(4), m=row_counts(4), seed=st.integers(0, 1000))
def test_merge_is_exact_for_any_split(n, m, seed):
    rows = normal(n + m, 4, seed) + 3
    first, second = rows[:n], rows[n:]
    a = moments(first)
    a.merge(moments(second))
    assert a.count == n + m
    assert max(error(a, rows)) <= 1e-13
    again = moments(first)
    again.merge(moments(second))
    assert bits(a) == bits(again)


@pytest.mark.parametrize("n", [2, 5, 700])
def test_merge_with_itself_and_with_nothing(n):
    rows = normal(n, 6)
    m = moments(rows)
    m.merge(Moments(6))
    assert bits(m) == bits(moments(rows))
    m.merge(m)
    assert m.count == 2 * n
    assert max(error(m, np.concatenate([rows, rows]))) <= 1e-13
    empty = Moments(6)
    empty.merge(moments(rows))
    assert bits(empty) == bits(moments(rows))


def test_merge_leaves_the_other_side_alone():
    other = moments(normal(700, 6, 1))
    before = bits(other)
    m = moments(normal(50, 6))
    m.merge(other)
    m.update(normal(50, 6, 2))
    assert bits(other) == before


@pytest.mark.parametrize("parts", [2, 7, 40])
def test_merging_many_parts(parts):
    rows = normal(2000, 5) + 100
    pieces = np.array_split(rows, parts)
    m = moments(pieces[0])
    for piece in pieces[1:]:
        m.merge(moments(piece))
    assert max(error(m, rows)) <= 1e-13


@pytest.mark.parametrize("n", [2, 100, 5000])
def test_goes_on_from_known_moments(n):
    rows = normal(n + 600, 5)
    start = moments(rows[:n])
    m = Moments.from_moments(n, start.mean(), start.covariance())
    assert m.rows() is None
    m.update(rows[n:])
    assert m.count == n + 600
    assert max(error(m, rows)) <= 1e-13


@given(n=st.integers(0, 1300), k=st.integers(0, 1300), d=st.sampled_from([1, 4, 700]), wide=st.booleans())
def test_a_state_goes_on_to_the_last_bit(n, k, d, wide):
    rows = normal(n + k + 2, d, seed=n, dtype=np.float64 if wide else np.float32)
    straight = moments(rows[:n])
    state = straight.state()
    again = Moments.from_state(**state)
    assert again.count == n
    for m in (straight, again):
        m.update(rows[n:])
        m.merge(moments(rows[:n]))
    assert bits(again) == bits(straight)
    assert state["pending"].dtype == (rows.dtype if n else np.float32)


def test_a_state_is_a_copy():
    m = moments(normal(700, 4))
    before = bits(m)
    state = m.state()
    for name in ("shift", "offset", "m2", "pending"):
        state[name][:] = 0
    assert bits(m) == before


@pytest.mark.parametrize(
    ("changed", "exception", "message"),
    [
        ({"dims": 5}, ValueError, "length of shift must be 5, got 4"),
        ({"folded": -1}, ValueError, "0 to"),
        ({"folded": 2**53}, ValueError, "0 to"),
        ({"folded": 0}, ValueError, "length of shift must be 0, got 4"),
        ({"shift": np.full(4, np.inf)}, ValueError, "not finite"),
        ({"offset": np.full(4, np.nan)}, ValueError, "not finite"),
        ({"offset": np.zeros(3)}, ValueError, "length of offset must be 4, got 3"),
        ({"m2": np.zeros(16)}, ValueError, "length of m2 must be 10, got 16"),
        ({"m2": np.full(10, np.nan)}, ValueError, "not finite"),
        ({"m2": np.full(10, -1.0)}, ValueError, "negative sum of squares"),
        ({"m2": np.zeros(10, np.float32)}, TypeError, "m2 must be a C-contiguous float64 array"),
        ({"pending": np.zeros((2, 3))}, ValueError, "length of a row must be 4, got 3"),
        ({"pending": np.zeros((512, 4))}, ValueError, "fewer than 512 pending rows .* got 512"),
        ({"pending": np.full((1, 4), np.nan, np.float32)}, ValueError, "not finite"),
        ({"pending": np.zeros((1, 4), int)}, TypeError, "pending must be a C-contiguous float64 array"),
    ],
)
def test_a_state_that_cannot_be_is_refused(changed, exception, message):
    state = moments(normal(600, 4)).state()
    with pytest.raises(exception, match=message):
        Moments.from_state(**{**state, **changed})


def test_a_state_that_overflowed_is_not_given():
    rows = np.array([[1e200], [-1e200]] * 300)
    with pytest.raises(InputError, match="too far apart"):
        moments(rows).state()


def test_covariance_is_symmetric_to_the_last_bit():
    sigma = moments(normal(700, 30)).covariance()
    assert (sigma == sigma.T).all()


def test_constant_features_have_no_variance_at_all():
    rows = normal(1300, 4)
    rows[:, 2] = 0.1  # no float: a mean by summing would differ from it
    m = moments(rows)
    assert m.mean()[2] == 0.1
    assert not m.covariance()[2].any()


@pytest.mark.parametrize(
    ("rows", "exception"),
    [
        (np.zeros((2, 3)), ValueError),
        (np.zeros(4), TypeError),
        (np.zeros((2, 4), np.float16), TypeError),
        (np.zeros((2, 4), np.int64), TypeError),
        (np.zeros((4, 2)).T, TypeError),
    ],
)
def test_refuses_what_it_would_have_to_convert(rows, exception):
    m = moments(normal(3, 4))
    before = bits(m)
    with pytest.raises(exception):
        m.update(rows)
    assert bits(m) == before


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="positive"):
        Moments(0)
    with pytest.raises(ValueError, match="at least 2 rows"):
        moments(normal(1, 4)).covariance()
    with pytest.raises(ValueError, match="4 dims into 3"):
        Moments(3).merge(Moments(4))
    with pytest.raises(ValueError, match="size of sigma"):
        Moments.from_moments(5, np.zeros(2), np.zeros((3, 3)))


def test_ten_million_rows():
    """A base set again and again: its exact moments are those of the base."""
    base = (np.random.RandomState(0).standard_normal((100_000, 2)) @ [[1, 2], [0, 3]] + 1000).astype(np.float32)
    m = Moments(2)
    for _ in range(100):
        m.update(base)
    exact = base.astype(np.longdouble)
    deviations = exact - exact.mean(axis=0)
    sigma = (deviations.T @ deviations * 100 / (10_000_000 - 1)).astype(np.float64)
    assert m.count == 10_000_000
    np.testing.assert_allclose(m.mean(), exact.mean(axis=0).astype(np.float64), rtol=1e-14)
    assert np.abs(m.covariance() - sigma).max() <= 1e-13 * np.abs(sigma).max()
