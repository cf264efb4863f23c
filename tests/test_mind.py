"""The Monge Inception Distance: a plain twin, theory, the tool's spread, and in a run."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastfid
from fastfid import MIND, InputError
from fastfid.metrics import mind
from fastfid.metrics.mind import sliced, unit_directions
from given_rows import GOLDEN, X, Y, agree, fit, rotation
from pictures import pictures
from test_metrics import Given

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")


def plain(x, y, directions):
    return [np.mean([(p - q) ** 2 for p, q in zip(sorted(x @ u), sorted(y @ u), strict=True)]) for u in directions]


def test_the_spread_is_the_tools():
    theirs = GOLDEN["mind"]["torch-fidelity"]
    ours = [MIND(seed=seed).value(fit(Y), fit(X)) for seed in range(20)]
    values = [score.value for score in ours]
    assert min(values) <= np.mean(theirs) <= max(values)
    agree(values, theirs)
    # The stated error is the deviation over seeds, to four deviations of a standard deviation from 20.
    assert ours[0].parts["directions_error"] == pytest.approx(np.std(theirs, ddof=1), rel=4 / np.sqrt(2 * 19))


@given(st.integers(1, 9), st.integers(1, 5), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_a_plain_twin(n, d, count, seed):
    rng = np.random.RandomState(seed)
    x, y, directions = rng.randn(n, d), rng.randn(n, d), unit_directions(count, d, rng)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1, rtol=1e-15 * 8)
    # Projections of size up to |x| are known to d units of their last place.
    noise = 2**-50 * d * (np.abs(x).max() + np.abs(y).max()) ** 2 * d
    np.testing.assert_allclose(sliced(x, y, directions), plain(x, y, directions), rtol=1e-12, atol=noise)


def test_a_shift_is_exact_along_each_direction():
    """Y = X + mu 1 gives 3 d mean (mu 1·u)², whose expectation is 3 d mu²."""
    mu, score = 0.25, MIND().value(fit(X), fit(X + 0.25))
    directions = unit_directions(1000, 64, np.random.RandomState((0, mind._STREAM)))
    assert score.value == pytest.approx(3 * 64 * np.mean((mu * directions.sum(axis=1)) ** 2), rel=1e-11)
    assert abs(score.value - 3 * 64 * mu**2) < 4 * score.parts["directions_error"]


def test_two_gaussians():
    """N(0, I) against N(mu 1, I): 3 d mu² and what two draws of N(0, I) give by themselves."""
    rng, d, mu = np.random.RandomState(11), 16, 0.5
    x, y = rng.randn(4000, d), rng.randn(4000, d)
    score, noise = MIND().value(fit(x), fit(y + mu)), MIND().value(fit(x), fit(y)).value
    assert noise < 0.05 * 3 * d * mu**2
    # Per direction |F + shift|² - |shift|² <= |F|² + 2 |F| |shift|, by the Cauchy-Schwarz inequality.
    slack = noise + 2 * np.sqrt(noise * 3 * d * mu**2) + 4 * score.parts["directions_error"]
    assert abs(score.value - 3 * d * mu**2) < slack


def test_order_and_rotation():
    value = MIND().value(fit(X), fit(Y)).value
    assert MIND().value(fit(X[::-1].copy()), fit(Y[::-1].copy())).value == pytest.approx(value, rel=1e-12)
    assert MIND().value(fit(Y), fit(X)).value == value
    turned = MIND().value(fit(X @ rotation(64)), fit(Y @ rotation(64)))
    assert abs(turned.value - value) < 6 * turned.parts["directions_error"]
    assert MIND().value(fit(X), fit(X[::-1].copy())).value == 0


def test_blocks_do_not_change_it(monkeypatch):
    expected = MIND(directions=10).value(fit(X), fit(Y)).value
    monkeypatch.setattr(mind, "_DIRECTIONS", 3)
    monkeypatch.setattr(mind, "_ROWS", 7)
    assert MIND(directions=10).value(fit(X), fit(Y)).value == pytest.approx(expected, rel=1e-13)


def test_unequal_sides():
    score = MIND().value(fit(Y), fit(X[:200]))
    assert score.warnings == ("mind: a random 200 of the 300 images of the larger side were used",)
    assert (score.n, score.parameters["images"]) == ((300, 200), 200)
    rng = np.random.RandomState((0, mind._STREAM))
    chosen = Y[rng.permutation(300)[:200]]
    expected = 3 * 64 * np.mean(sliced(chosen, X[:200], unit_directions(1000, 64, rng)))
    assert score.value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_values_that_float32_made_infinite(bad):
    rows = X.astype(np.float32)
    rows[7, 3] = bad
    with pytest.raises(InputError, match="the features hold values that are not finite, or too large"):
        MIND(directions=5).value(fit(Y.astype(np.float32)), fit(rows))


def test_features_drawn_with_the_same_seed_are_independent_of_the_directions():
    rows = np.random.RandomState(0).standard_normal((1000, 64))
    directions = unit_directions(1000, 64, np.random.RandomState((0, mind._STREAM)))
    assert (
        np.abs(np.einsum("ij,ij->i", rows, directions)).mean() < 1
    )  # |x·u| of a normal has the mean 0.8; here it was 8


def test_fields():
    score = MIND(directions=50, seed=3).value(fit(Y), fit(X))
    assert (score.convention, score.better, score.n) == ("torch-fidelity", "lower", (300, 300))
    assert score.parameters == {"directions": 50, "seed": 3, "images": 300}
    assert score.warnings == ()
    assert np.isnan(MIND(directions=1).value(fit(Y), fit(X)).parts["directions_error"])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"directions": 0}, "directions must be at least 1"),
        ({"directions": 1.5}, "directions must be a whole number"),
        ({"seed": -1}, "seed must be between 0"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(InputError, match=message):
        MIND(**parameters)


def test_no_images():
    with pytest.raises(InputError, match="mind needs at least 1 image of each side"):
        MIND().value(fit(X[:0]), fit(Y))


def test_in_a_run_with_its_seed():
    rows = X.astype(np.float32)
    result = fastfid.compare(pictures(40), pictures(40), engine=Given(rows), metrics=["mind"], seed=5)
    assert result.scores["mind"].value == 0
    assert result.scores["mind"].parameters["seed"] == 5
