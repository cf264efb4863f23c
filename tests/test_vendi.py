"""The Vendi Score: golden numbers, a plain twin, theory, its accumulator, and in a run."""

import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp

import fastfid
from fastfid import Fit, InputError, Vendi
from fastfid.metrics.vendi import UNIT_MOMENTS, UnitMoments, effective_number
from given_rows import GOLDEN, X, rotation
from pictures import pictures
from test_metrics import Given

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")


def fit(rows):
    return Fit({UNIT_MOMENTS: UnitMoments(rows.shape[1]).update(rows)}, len(rows))


def plain(rows, q=1.0):
    """By the similarities of all pairs."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return effective_number(np.linalg.eigvalsh(unit @ unit.T / len(rows)), q)


def test_the_golden_number():
    score = Vendi().value(fit(X))
    assert score.value == pytest.approx(57.859947222557985, rel=1e-12)
    assert (score.convention, score.parameters, score.n, score.better) == ("vendi", {"q": 1.0}, (300,), "higher")
    assert (score.parts, score.warnings) == ({"rank": 64}, ())


@pytest.mark.parametrize("q", ["0.5", "1", "2", "inf"])
def test_the_tool(q):
    # Of its 300 eigenvalues 236 are rounding, and those above 0 count. Each is below 2^-52, so at order 0.5 they add at
    # most 236 · 2^-26 to a sum of sqrt(60.7) = 7.8, whose square is the score.
    noise = 2 * 236 * 2**-26 / 7.8 if q == "0.5" else 1e-11
    assert Vendi(float(q)).value(fit(X)).value == pytest.approx(GOLDEN["vendi"][q], rel=noise)


def test_a_similarity():
    similarity = np.array([[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1]])
    assert effective_number(np.linalg.eigvalsh(similarity / 3)) == pytest.approx(2.1573, abs=5e-5)


ORDERS = [0.3, 0.9, 0.91, 1 - 1e-6, 1 - 1e-12, 1 + 1e-15, 1 + 1e-12, 1 + 1e-9, 1.05, 1.1, 1.11, 2, 40, 400, 1e5, 1e300]


@pytest.mark.parametrize("q", ORDERS)
def test_every_order_against_many_digits(q):
    p = np.array([0.3, 0.2, 0.15, 0.12, 0.1, 0.08, 0.049, 0.001])
    with mp.workdps(350):  # as 1e300 takes
        exact = [mp.mpf(float(value)) for value in p]
        total = mp.fsum(exact)
        expected = mp.power(mp.fsum(mp.power(value / total, q) for value in exact), 1 / (1 - mp.mpf(q)))
    # The entropy is below log 8 = 2.1; its sums are known to 8 units, divided by 1 - q where that is small.
    assert effective_number(p, q) == pytest.approx(float(expected), rel=8 * 2**-52 / 0.1)


@pytest.mark.parametrize("q", [*ORDERS, 0, 1, np.inf])
def test_equal_classes_count_by_every_order(q):
    assert effective_number(np.full(8, 0.125), q) == pytest.approx(8, rel=1e-14)


@given(st.integers(1, 30), st.integers(1, 12), st.sampled_from([0, 0.5, 1, 2, np.inf]), st.integers(0, 2**32 - 1))
def test_a_plain_twin(n, d, q, seed):
    """Fewer rows than dims, and more: one is by the rows, the other by the moments."""
    rows = np.random.RandomState(seed).randn(n, d) + 0.3
    score = Vendi(q).value(fit(rows))
    assert score.value == pytest.approx(plain(rows, q), rel=1e-9)
    assert 1 - 1e-12 <= score.value <= min(n, d) + 1e-9
    assert score.parts["rank"] == min(n, d)


@pytest.mark.parametrize("q", [0, 0.1, 1, 3, np.inf])
def test_groups_of_equal_images(q):
    """K equal groups at right angles are K different images, by every order; their lengths do not matter."""
    rows = np.eye(9)[np.arange(28) % 7] * np.linspace(0.1, 5, 28)[:, None]
    assert Vendi(q).value(fit(rows)).value == pytest.approx(7, rel=1e-12)
    assert Vendi(q).value(fit(rows[:7])).value == pytest.approx(7, rel=1e-12)
    assert Vendi(q).value(fit(rows[::7])).value == pytest.approx(1, rel=1e-12)


def test_lower_orders_count_more():
    values = [Vendi(q).value(fit(X)).value for q in (0, 0.5, 1, 2, float("inf"))]
    assert values == sorted(values, reverse=True)
    assert values[0] == pytest.approx(64, rel=1e-12)


def test_rotation_and_order_do_not_matter():
    for rows in (X, X[:40]):
        expected = Vendi().value(fit(rows)).value
        assert Vendi().value(fit(rows @ rotation(64))).value == pytest.approx(expected, rel=1e-12)
        assert Vendi().value(fit(rows[::-1])).value == pytest.approx(expected, rel=1e-12)


def test_few_images_are_told():
    (text,) = Vendi().value(fit(X[:40])).warnings
    assert text == "few-images: vendi: the score of 40 images is at most 40"


class TestAccumulator:
    @given(st.lists(st.integers(0, 40), min_size=1, max_size=5))
    def test_batches_do_not_change_a_bit(self, lengths):
        bounds = np.cumsum([0, *lengths])
        whole, parts = UnitMoments(64).update(X[: bounds[-1]]), UnitMoments(64)
        for first, last in itertools.pairwise(bounds):
            parts.update(X[first:last])
        assert parts.n == whole.n
        if whole.n > 1:
            assert parts.moments.sigma.tobytes() == whole.moments.sigma.tobytes()

    def test_merges_and_travels(self):
        one, two = UnitMoments(64).update(X[:100]), UnitMoments(64).update(X[100:])
        merged = pickle.loads(pickle.dumps(one)).merge(pickle.loads(pickle.dumps(two)))
        assert merged.n == 300
        found = Vendi().value(Fit({UNIT_MOMENTS: merged}, 300)).value
        assert found == Vendi().value(Fit({UNIT_MOMENTS: one.merge(two)}, 300)).value
        assert found == pytest.approx(57.859947222557985, rel=1e-12)

    def test_the_first_row_without_a_direction_is_named_across_pieces(self):
        rows = X.copy()
        rows[[150, 170]] = 0
        merged = UnitMoments(64).update(rows[:100]).merge(UnitMoments(64).update(rows[100:120]).update(rows[120:]))
        with pytest.raises(InputError, match=r"image 150 of the first side \(counted from 0\) are all zero"):
            Vendi().value(Fit({UNIT_MOMENTS: merged}, 300))
        assert UnitMoments(64).update(rows[:160]).merge(UnitMoments(64).update(rows[160:])).first_zero == 150


@pytest.mark.parametrize("q", [-1, float("nan"), "1", None, True, 10**400])
def test_bad_parameters(q):
    with pytest.raises(InputError, match="q must be a number of at least 0, or float"):
        Vendi(q)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_values_that_float32_made_infinite(bad):
    rows = X.astype(np.float32)
    rows[7, 3] = bad
    with pytest.raises(InputError, match=r"the features hold values that are not finite, or too large: .*3\.4e38"):
        UnitMoments(64).update(rows)


def test_no_images():
    with pytest.raises(InputError, match="at least 1 image"):
        Vendi().value(fit(X[:0]))
    assert Vendi().value(fit(X[:1])).value == pytest.approx(1, rel=1e-15)


def test_in_a_run():
    rows = X.astype(np.float32)
    score = fastfid.compare(pictures(100), pictures(30), engine=Given(rows), metrics=["vendi"]).scores["vendi"]
    assert score.value == pytest.approx(plain(rows[:100].astype(float)), rel=1e-12)
    assert (score.n, score.role) == ((100,), "features")
