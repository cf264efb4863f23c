"""AuthPct: golden numbers, a plain twin, copies, and in a run."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastfid
from fastfid import AuthPct, InputError
from given_rows import GENERATED, GOLDEN, REAL, X, Y, fit, rotation
from pictures import pictures
from test_metrics import Given

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")

SINGLE = 2**-23  # of the tool, which returns a float32


def plain(generated, training):
    d = np.sqrt(np.square(generated[:, None] - training[None]).sum(axis=2))
    own = np.sqrt(np.square(training[:, None] - training[None]).sum(axis=2))
    np.fill_diagonal(own, np.inf)
    nearest = d.argmin(axis=1)
    return 100 * np.mean(own.min(axis=1)[nearest] < d.min(axis=1)), nearest, d.min(axis=1)


@pytest.mark.parametrize(("name", "training", "generated"), [("drawn", X, Y), ("tied", REAL, GENERATED)])
def test_the_tool(name, training, generated):
    score = AuthPct().value(fit(generated), fit(training))
    assert score.value == pytest.approx(GOLDEN["authpct"][name], rel=SINGLE)
    assert (score.convention, score.parameters, score.better) == ("authpct", {}, "higher")
    assert score.n == (len(generated), len(training))


def test_the_golden_number():
    score = AuthPct().value(fit(Y), fit(X))
    assert score.value == pytest.approx(226 / 3, rel=1e-15)
    assert score.warnings == ()


@given(st.integers(1, 12), st.integers(2, 12), st.booleans(), st.integers(0, 2**32 - 1))
def test_a_plain_twin(n, m, tied, seed):
    rng = np.random.RandomState(seed)
    generated, training = (rng.randint(0, 3, (count, 3)) * 1.0 if tied else rng.randn(count, 3) for count in (n, m))
    score = AuthPct().value(fit(generated), fit(training))
    value, nearest, distance = plain(generated, training)
    assert score.value == pytest.approx(value, rel=1e-15)
    np.testing.assert_array_equal(score.parts["nearest"], nearest)
    np.testing.assert_allclose(score.parts["distance"], distance, rtol=1e-14, atol=0)
    assert (score.parts["nearest"].dtype, score.parts["distance"].dtype) == (np.int64, np.float64)


def test_the_closest_pairs():
    generated = Y.copy()
    generated[[7, 40]] = X[[200, 3]]
    copies = AuthPct().value(fit(generated), fit(X)).parts["copies"]
    assert copies[:2] == ((7, 200, 0.0), (40, 3, 0.0))  # equally close: the first generated one first
    assert len(copies) == 20
    assert [pair[2] for pair in copies] == sorted(pair[2] for pair in copies)
    _, nearest, distance = plain(generated, X)
    assert all(nearest[i] == j and distance[i] == pytest.approx(d, rel=1e-14) for i, j, d in copies)
    assert len(AuthPct().value(fit(Y[:6]), fit(X)).parts["copies"]) == 6


def test_copies_are_not_authentic_and_strangers_are():
    assert AuthPct().value(fit(X), fit(X)).value == 0
    assert AuthPct().value(fit(X[:50] + 1e-9), fit(X)).value == 0
    assert AuthPct().value(fit(Y + 100), fit(X)).value == 100


def test_rotation_and_order_do_not_matter():
    turn = rotation(64)
    assert AuthPct().value(fit(Y @ turn), fit(X @ turn)).value == pytest.approx(226 / 3)
    assert AuthPct().value(fit(Y[::-1].copy()), fit(X[::-1].copy())).value == pytest.approx(226 / 3)


def test_copies_within_the_training_set_are_told():
    training = np.concatenate([X, X[:4]])
    (text,) = AuthPct().value(fit(Y), fit(training)).warnings
    assert text.startswith("duplicates: authpct: 8 training images have an exact copy in the training set")


def test_too_few_training_images():
    with pytest.raises(InputError, match="authpct needs at least 2 training images on the second side, got 1"):
        AuthPct().check(5, 1)
    AuthPct().check(None, None)
    assert AuthPct().value(fit(Y[:1]), fit(X[:2])).value in (0, 100)


def test_in_a_run():
    rows = X.astype(np.float32)
    result = fastfid.compare(pictures(40), pictures(30), engine=Given(rows), metrics=["authpct"])
    score = result.scores["authpct"]
    assert score.value == pytest.approx(plain(rows[:40].astype(float), rows[:30].astype(float))[0])
    np.testing.assert_array_equal(score.parts["nearest"][:30], np.arange(30))
    first = json.loads(json.dumps(result.as_dict()))["scores"]["authpct"]["parts"]["copies"][0]
    assert first == ["image 0 of the array", "image 0 of the array", 0.0]  # a run names the images
