"""The distance of CMMD: golden numbers, a plain twin, theory, and in a run."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastfid
from fastfid import CMMD, Fit, InputError
from fastfid.metrics.rows import ROWS, Rows
from fastfid.metrics.unit_rows import unit_rows
from given_rows import GOLDEN, X, Y, fit, rotation
from pictures import pictures
from test_metrics import Given

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")

# The terms are 1000 times means of numbers below 1; each mean is known to a few units of its last place.
NOISE = 1000 * 16 * 2**-53


def plain(x, y, sigma=10.0):
    x, y = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (x, y))

    def mean(a, b):
        return math.fsum(math.exp(-math.fsum((p - q) ** 2) / (2 * sigma**2)) for p in a for q in b) / len(a) / len(b)

    return 1000 * (mean(x, x) + mean(y, y) - 2 * mean(x, y))


def test_the_golden_number():
    score = CMMD().value(fit(X), fit(Y))
    assert score.value == pytest.approx(0.18466449490417425, abs=NOISE)
    assert score.value == pytest.approx(GOLDEN["cmmd"], abs=NOISE)
    assert (score.convention, score.parameters, score.n, score.better) == ("cmmd", {"sigma": 10.0}, (300, 300), "lower")


@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 5), st.floats(0.1, 20), st.integers(0, 2**32 - 1))
def test_a_plain_twin(n, m, d, sigma, seed):
    rng = np.random.RandomState(seed)
    x, y = rng.randn(n, d), rng.randn(m, d)
    # A squared distance of up to 4 is known to a few units, and a narrow kernel multiplies its error.
    assert CMMD(sigma).value(fit(x), fit(y)).value == pytest.approx(plain(x, y, sigma), abs=NOISE * (1 + 4 / sigma**2))


def test_theory():
    """Two points at a right angle: |x - y|² = 2. Lengths do not matter."""
    x, y = np.full((3, 1), 5.0) * np.eye(2)[:1], np.full((4, 1), 0.1) * np.eye(2)[1:]
    expected = 2000 * (1 - math.exp(-2 / 200))
    assert CMMD().value(fit(x), fit(y)).value == pytest.approx(expected, abs=NOISE)
    assert CMMD().value(fit(x), fit(2 * x)).value == pytest.approx(0, abs=NOISE)


def test_the_unbiased_value_has_no_bias():
    rng = np.random.RandomState(3)
    pairs = [CMMD(1.0).value(fit(rng.randn(9, 3)), fit(rng.randn(12, 3))) for _ in range(600)]
    found = np.array([score.parts["unbiased"] for score in pairs])
    assert abs(found.mean()) < 4 * found.std(ddof=1) / np.sqrt(len(found))
    assert np.mean([score.value for score in pairs]) > 10 * found.std(ddof=1) / np.sqrt(len(found))


def test_rotation_and_order_do_not_matter():
    turn, expected = rotation(64), CMMD().value(fit(X), fit(Y)).value
    # The rotated rows are rounded anew: 64 products of a unit vector, so the kernel moves by 2 · 64 eps / 200.
    assert CMMD().value(fit(X @ turn), fit(Y @ turn)).value == pytest.approx(expected, abs=2 * NOISE)
    assert CMMD().value(fit(X[::-1].copy()), fit(Y[::-1].copy())).value == pytest.approx(expected, abs=NOISE)
    assert CMMD().value(fit(Y), fit(X)).value == pytest.approx(expected, abs=NOISE)


def test_bias_is_told():
    (text,) = CMMD().value(fit(X), fit(Y)).warnings
    assert text.startswith("few-images: cmmd: of 0.184664, 0.0659 is bias")
    assert CMMD().value(fit(X), fit(Y + 1)).warnings == ()
    lone = CMMD().value(fit(X[:1]), fit(Y))
    assert math.isnan(lone.parts["unbiased"])
    assert lone.warnings == ()


def test_rows_without_a_direction():
    rows = X.copy()
    rows[17] = 0
    with pytest.raises(
        InputError, match=r"the features of image 17 of the second side \(counted from 0\) are all zero"
    ):
        CMMD().value(fit(X), fit(rows))


def test_values_that_float32_made_infinite():
    rows = X.astype(np.float32)
    rows[17, 3] = np.inf
    with pytest.raises(InputError, match="the features of the second side hold values that are not finite, or too"):
        CMMD().value(fit(X.astype(np.float32)), fit(rows))


def test_unit_rows_go_to_a_file_where_the_rows_do(monkeypatch):
    x, y = (np.resize(rows.astype(np.float32), (900, 64)) for rows in (X, Y))
    expected = CMMD().value(fit(x), fit(y))
    monkeypatch.setenv("FASTFID_ROWS_MEMORY", "0")
    units = unit_rows(Rows(64).update(x), "a side")
    assert isinstance(units.matrix, np.memmap)
    lengths = np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    np.testing.assert_array_equal(units.matrix, (x / lengths).astype(np.float32))
    assert CMMD().value(*(Fit({ROWS: Rows(64).update(rows)}, 900) for rows in (x, y))) == expected


@pytest.mark.parametrize("sigma", [0, -1.0, float("nan"), float("inf"), "10", True, None, 10**400])
def test_bad_parameters(sigma):
    with pytest.raises(InputError, match="sigma must be a finite number above 0"):
        CMMD(sigma)


def test_in_a_run():
    """float32 rows become float32 unit rows: each entry moves by 2^-24, so the kernel by less than 4 · 2^-24 / 200."""
    rows = X.astype(np.float32)
    score = fastfid.compare(pictures(40), pictures(30), engine=Given(rows), metrics=["cmmd"]).scores["cmmd"]
    expected = plain(rows[:40].astype(float), rows[:30].astype(float))
    assert score.value == pytest.approx(expected, abs=1000 * 4 * 4 * 2**-24 / 200)
    assert score.role == "features"
