"""Precision, recall, density and coverage: golden numbers, a plain twin, ties and copies, theory, and in a run."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastfid
from fastfid import PRDC, InputError
from fastfid.metrics.prdc import expected_coverage
from given_rows import GENERATED, GOLDEN, REAL, X, Y, fit, rotation
from pictures import pictures
from test_metrics import Given

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")

FOUR = ("precision", "recall", "density", "coverage")
SINGLE = 2**-24  # half a unit in the last place of torch's float32 means


def four(score):
    return tuple(score.parts[name] for name in FOUR)


def distances(x, y):
    return np.sqrt(np.square(x[:, None] - y[None]).sum(axis=2))


def plain(x, y, k, strict):
    """The definitions, with all distances at once."""
    inside = np.less if strict else np.less_equal
    radius_x, radius_y = (np.sort(distances(rows, rows), axis=1)[:, k] for rows in (x, y))
    d = distances(x, y)
    in_y, in_x = inside(d, radius_y[None, :]), inside(d, radius_x[:, None])
    coverage = inside(d.min(axis=0), radius_y).mean()
    return in_y.any(axis=1).mean(), in_x.any(axis=0).mean(), in_y.sum() / (k * len(x)), coverage


class TestGolden:
    def test_strict(self):
        score = PRDC().value(fit(Y), fit(X))
        assert four(score) == pytest.approx((0.72, 241 / 300, 244 / 300, 0.94), rel=1e-15)
        assert (score.value, score.n, score.better) == (score.parts["precision"], (300, 300), "higher")
        assert (score.convention, score.parameters) == ("prdc", {"k": 5, "inside": "d < radius"})

    @pytest.mark.parametrize("convention", ["torch-fidelity", "adm"])
    def test_not_strict(self, convention):
        score = PRDC(convention).value(fit(Y), fit(X))
        assert four(score)[:2] == pytest.approx((193 / 300, 0.71), rel=1e-15)
        assert (score.convention, score.parameters) == (convention, {"k": 3, "inside": "d <= radius"})

    @pytest.mark.parametrize(("name", "real", "generated"), [("drawn", X, Y), ("tied", REAL, GENERATED)])
    def test_the_tools(self, name, real, generated):
        for tool, expected in GOLDEN["prdc"][name].items():
            found = PRDC(tool).value(fit(generated), fit(real)).parts
            bound = SINGLE if tool == "torch-fidelity" else 1e-15
            assert {part: found[part] for part in expected} == pytest.approx(expected, rel=bound), tool

    def test_the_subsets_of_dgm_eval(self):
        score = PRDC("dgm-eval", subset_size=100).value(fit(Y), fit(X))
        assert dict(zip(FOUR, four(score), strict=True)) == pytest.approx(GOLDEN["prdc"]["subsets"]["dgm-eval"])
        assert score.parameters == {"k": 5, "inside": "d < radius", "subset_size": 100, "subset_seed": 13579}
        assert score.n == (300, 300)


@given(st.integers(2, 12), st.integers(2, 12), st.data(), st.booleans(), st.integers(0, 2**32 - 1))
def test_a_plain_twin(n, m, data, tied, seed):
    rng = np.random.RandomState(seed)
    x, y = (rng.randint(0, 3, (count, 3)) * 1.0 if tied else rng.randn(count, 3) for count in (n, m))
    k = data.draw(st.integers(1, min(n, m) - 1))
    for convention, strict in (("prdc", True), ("adm", False)):
        score = PRDC(convention, k=k).value(fit(x), fit(y))
        assert four(score) == pytest.approx(plain(x, y, k, strict), rel=1e-14)


def test_rotation_and_order_do_not_matter():
    x, y, turn = Y[:60], X[:50], rotation(64)
    expected = four(PRDC().value(fit(x), fit(y)))
    assert four(PRDC().value(fit(x @ turn), fit(y @ turn))) == expected
    assert four(PRDC().value(fit(x[::-1].copy()), fit(y[::-1].copy()))) == expected


def test_the_sides_change_places():
    one, other = PRDC().value(fit(X), fit(Y)), PRDC().value(fit(Y), fit(X))
    assert four(one)[:2] == four(other)[1::-1]


def test_equal_distributions():
    """Means over many draws: density 1, and the coverage of the formula."""
    n, m, k, rng = 30, 40, 3, np.random.RandomState(5)
    found = np.array([four(PRDC(k=k).value(fit(rng.randn(n, 4)), fit(rng.randn(m, 4)))) for _ in range(800)])
    for column, expected in ((2, 1.0), (3, expected_coverage(n, m, k))):
        error = found[:, column].std(ddof=1) / np.sqrt(len(found))
        assert abs(found[:, column].mean() - expected) < 4 * error
    assert expected_coverage(n, m, k) == pytest.approx(1 - np.prod([(m - i) / (n + m - i) for i in (1, 2, 3)]))


def test_copies_have_empty_balls():
    """Both sets are two points, three copies each: strictly inside radius 0 there is nothing, not even a copy."""
    rows = np.repeat(np.eye(2), 3, axis=0)
    strict = PRDC(k=2).value(fit(rows), fit(rows))
    assert four(strict) == (0, 0, 0, 0)
    assert [text for text in strict.warnings if text.startswith("duplicates")] == [
        f"duplicates: prdc: 6 {side} images have k exact copies or more: their balls have radius 0 and are empty"
        for side in ("generated", "real")
    ]
    assert four(PRDC("adm", k=2).value(fit(rows), fit(rows))) == (1, 1, 1.5, 1)  # 3 balls hold each, of k = 2


def test_few_images_are_told():
    (text,) = PRDC().value(fit(Y[:50]), fit(X)).warnings
    assert text.startswith("few-images: prdc: with k=5, 50 generated and 300 real images")
    assert f"{expected_coverage(50, 300, 5):.3f}" in text
    assert PRDC().value(fit(Y), fit(X)).warnings == ()
    assert PRDC("dgm-eval", k=3).value(fit(Y[:50]), fit(X)).warnings
    for convention in ("adm", "torch-fidelity"):  # they have no coverage
        assert PRDC(convention).value(fit(Y[:50]), fit(X)).warnings == ()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"convention": "naeem"}, "convention must be one of prdc, torch-fidelity, adm, dgm-eval; got 'naeem'"),
        ({"k": 0}, "k must be at least 1"),
        ({"k": 2.0}, "k must be a whole number"),
        ({"subset_size": 10}, "subset_size needs the convention dgm-eval; prdc takes every image"),
        ({"convention": "adm", "subset_seed": 1}, "subset_seed needs the convention dgm-eval; adm takes every image"),
        ({"convention": "dgm-eval", "subset_size": 1}, "subset_size must be at least 2"),
        ({"convention": "dgm-eval", "subset_seed": -1}, "seed must be between 0"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(InputError, match=message):
        PRDC(**parameters)


@pytest.mark.parametrize(
    ("metric", "n", "least"),
    [
        (PRDC(), (5, 300), 5),
        (PRDC(k=7), (300, 7), 7),
        (PRDC("dgm-eval", subset_size=5), (300, 300), 5),
        (PRDC("dgm-eval"), (None, 4), 4),
        (PRDC(k=300), (None, 300), 300),
    ],
)
def test_too_few_images_are_refused(metric, n, least):
    with pytest.raises(InputError, match=rf"prdc: k=\d+ needs at least \d+ images of each side, got {least}"):
        metric.check(*n)
    PRDC().check(None, None)
    PRDC("dgm-eval").check(None, 6)


def test_too_few_images_are_refused_before_any_is_read():
    class Unread(Given):
        def fit(self, needs, pieces, how):
            raise AssertionError

    with pytest.raises(InputError, match="prdc: k=5 needs at least 6 images of each side, got 5"):
        fastfid.compare(pictures(5), pictures(9), engine=Unread(X.astype(np.float32)), metrics=["prdc"])


def test_in_a_run():
    rows = X.astype(np.float32)
    result = fastfid.compare(pictures(40), pictures(30), engine=Given(rows), metrics=["fid", "prdc"])
    expected = plain(rows[:40].astype(float), rows[:30].astype(float), 5, strict=True)
    assert four(result.scores["prdc"]) == pytest.approx(expected, rel=1e-14)
    assert result.scores["prdc"].role == "features"
