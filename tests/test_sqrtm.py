"""The matrix square root: against a plain twin of the Schur method, SciPy, and the definition."""

import re
import warnings

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from fastfid import FastFIDWarning, InputError, LinAlgError, sqrtm

# Across 64, the size up to which a triangle is solved unblocked, and its first two cuts.
SIZES = [1, 2, 3, 4, 17, 63, 64, 65, 66, 100, 128, 129, 130]


def twin(t):
    """The specification: the principal root of an upper triangle, column by column (Björck & Hammarling 1983)."""
    r = np.zeros_like(t)
    for j in range(len(t)):
        r[j, j] = np.sqrt(t[j, j])
        for i in reversed(range(j)):
            inner = sum(r[i, k] * r[k, j] for k in range(i + 1, j))
            r[i, j] = (t[i, j] - inner) / (r[i, i] + r[j, j])
    return r


def normal(n, seed=0):
    return np.random.RandomState(seed).standard_normal((n, n))


def in_a_random_basis(triangle, seed=1):
    q = np.linalg.qr(normal(len(triangle), seed))[0]
    return q @ triangle @ q.T


def above(n):
    """Entries above the diagonal, small enough to keep the root well conditioned at any size."""
    return np.triu(normal(n), 1) / (4 * np.sqrt(n))


def pairs(n):
    """Eigenvalues in conjugate pairs with positive real part, one real if n is odd."""
    a = np.triu(above(n), 2) + np.diag(np.repeat(np.linspace(1, 3, n // 2 + 1), 2)[:n])
    for i in range(0, n - 1, 2):
        a[i, i + 1], a[i + 1, i] = 1.5, -0.7
    return in_a_random_basis(a)


def spread(n, first):
    """Distinct eigenvalues: `first`, and the rest from 1 to 4. (A negative one must be alone: twice, it is a pair.)"""
    return np.append(first, np.linspace(1, 4, n)[1:])


# Name -> (matrix of size n, whether its root is real).
MATRICES = {
    "real, positive eigenvalues": lambda n: (in_a_random_basis(above(n) + np.diag(spread(n, 1))), True),
    "real, complex pairs": lambda n: (pairs(n), True),
    "real, a negative eigenvalue": lambda n: (in_a_random_basis(above(n) + np.diag(spread(n, -1))), False),
    "real, symmetric": lambda n: (normal(n) @ normal(n).T + np.eye(n), True),
    "complex": lambda n: (in_a_random_basis(above(n) + np.diag(spread(n, 1) * np.exp(2j * np.arange(n) / n))), False),
}


def check_is_the_principal_root(r, a, tolerance=1e-12):
    scale = np.linalg.norm(r) ** 2
    assert np.linalg.norm(r @ r - a) <= tolerance * scale
    assert np.linalg.norm(r @ a - a @ r) <= 10 * tolerance * np.linalg.norm(r) * np.linalg.norm(a)
    w = np.linalg.eigvals(r)
    assert w.real.min() >= -1e-7 * np.abs(w).max()


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("kind", MATRICES)
def test_is_the_principal_root(kind, n):
    a, real = MATRICES[kind](n)
    r = sqrtm(a)
    assert r.dtype == (np.float64 if real else np.complex128)
    check_is_the_principal_root(r, a)
    np.testing.assert_allclose(r, scipy.linalg.sqrtm(a), rtol=0, atol=1e-10 * np.abs(r).max())


@given(n=st.integers(1, 12), seed=st.integers(0, 2**32 - 1))
def test_equals_the_twin_on_triangles(n, seed):
    rng = np.random.RandomState(seed)
    t = np.triu(rng.standard_normal((n, n)) + 1j * rng.standard_normal((n, n))) + 4 * np.eye(n)
    np.testing.assert_allclose(sqrtm(t), twin(t), rtol=0, atol=1e-13 * np.linalg.norm(t))


@given(n=st.integers(1, 20), seed=st.integers(0, 2**32 - 1), scale=st.integers(-100, 100))
def test_any_real_matrix_has_a_root_or_none(n, seed, scale):
    a = normal(n, seed) * 10.0**scale
    check_is_the_principal_root(sqrtm(a), a, tolerance=1e-11)


@pytest.mark.parametrize("n", [2, 5, 64, 70, 130])
@pytest.mark.parametrize("rank", [0, 1, 2])
def test_semisimple_zero_eigenvalues_have_a_root(n, rank):
    f = normal(n)[:, :rank]
    a = f @ f.T
    r = sqrtm(a)
    # An eigenvalue that should be 0 is eps, and its root the root of eps: half the digits.
    assert np.linalg.norm(r @ r - a) <= 1e-7 * max(np.linalg.norm(a), 1e-300)
    assert np.trace(r).real == pytest.approx(np.sqrt(np.linalg.eigvalsh(a).clip(0)).sum(), abs=1e-6 * n)


@pytest.mark.parametrize("n", [3, 70, 130])
@pytest.mark.parametrize("dtype", [float, complex])
def test_zero_eigenvalues_that_meet_exactly_have_a_root(n, dtype):
    """Two of them without a coupling between them, but each with one to the rest."""
    first, second = 0, n // 2
    r = np.diag(np.linspace(2, 3, n)).astype(dtype)
    r[[first, second]] = np.triu(normal(n))[[first, second]]
    r[:, second] = r[first, first] = 0
    np.testing.assert_allclose(sqrtm(r @ r), r, rtol=0, atol=1e-12 * np.abs(r).max())


@pytest.mark.parametrize("scale", [1e-100, 1.0, 1e100, 1e300])
@pytest.mark.parametrize("seed", range(3))
def test_a_root_that_is_none_is_told_of(seed, scale):
    """Rotated, a zero eigenvalue that has no root is one of eps, and its root anything."""
    q = np.linalg.qr(normal(6, seed))[0]
    a = q @ np.triu(normal(6, seed + 9), 1) @ q.T * scale
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            sqrtm(a)
        except LinAlgError as error:
            assert "no finite square root" in str(error)  # noqa: PT017 - rounding decides which of the two it is
            return
    (warning,) = told
    assert warning.category is FastFIDWarning
    assert re.match(r"sqrtm: the square of the root differs from the matrix by .* of its norm", str(warning.message))


def embed(block, n):
    a = np.eye(n)
    a[: len(block), : len(block)] = block
    return a


@pytest.mark.parametrize(
    "a",
    [
        np.array([[0.0, 1], [0, 0]]),
        np.array([[0.0, 0], [1, 0]]),
        np.array([[0.0, 1, 0], [0, 0, 1], [0, 0, 0]]),
        embed([[0.0, 1], [0, 0]], 130),
        np.array([[0, 1j], [0, 0]]),
    ],
)
def test_a_defective_zero_eigenvalue_has_no_root(a):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert not np.isfinite(scipy.linalg.sqrtm(a)).all()
    with pytest.raises(LinAlgError, match="no .*square root.*defective"):
        sqrtm(a)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [float, complex])
def test_refuses_what_is_not_finite(bad, dtype):
    a = np.eye(4, dtype=dtype)
    a[3, 1] = bad
    with pytest.raises(LinAlgError, match="not finite"):
        sqrtm(a)


@pytest.mark.parametrize(
    ("a", "message"),
    [
        (np.zeros((2, 3)), r"square matrix, got shape \(2, 3\)"),
        (np.zeros(4), r"got shape \(4,\)"),
        (np.zeros((2, 2, 2)), r"got shape \(2, 2, 2\)"),
        (np.zeros((0, 0)), r"got shape \(0, 0\)"),
        ([["a"]], "dtype <U1"),
        ([[None]], "dtype object"),
    ],
)
def test_refuses_what_is_no_matrix(a, message):
    with pytest.raises(InputError, match=message):
        sqrtm(a)


@pytest.mark.parametrize("convert", [np.float32, np.int64, np.complex64, np.asfortranarray, list])
def test_takes_any_layout_and_leaves_it_alone(convert):
    a = convert(np.array([[5.0, 4.0], [1.0, 2.0]]))
    before = np.array(a, copy=True)
    check_is_the_principal_root(sqrtm(a), before)
    np.testing.assert_array_equal(a, before)


def test_exact_where_it_can_be():
    np.testing.assert_array_equal(sqrtm(np.diag([4.0, 0.0, 9.0])), np.diag([2.0, 0.0, 3.0]), strict=True)
    np.testing.assert_array_equal(sqrtm([[-4.0]]), np.array([[2j]]), strict=True)
    np.testing.assert_array_equal(sqrtm(np.zeros((70, 70))), np.zeros((70, 70)), strict=True)


@pytest.mark.parametrize(
    "a",
    [
        [[1, -1, -2, 2], [1, 0, -1, 1], [-1, -1, -1, -2], [-1, -1, 2, -1]],
        [[-1, 0, -1, -1], [1, 0, 0, 0], [-1, -1, 0, 1], [-1, -1, 1, 0]],
        [[-1, 1], [0, -1]],
    ],
)
def test_a_double_negative_eigenvalue_split_by_rounding(a):
    """LAPACK gives -1 +- 1e-8 i: roots on both sides of the branch cut would cancel."""
    a = np.array(a, dtype=float)
    root = sqrtm(a)
    assert np.iscomplexobj(root)
    np.testing.assert_allclose(root @ root, a, atol=1e-12)
