"""The Kernel Inception Distance: golden numbers, a plain twin, the error over many draws, and as a metric of a run."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastfid
from fastfid import KID, Fit, InputError, Statistics
from fastfid.metrics.kid import TOOLS
from fastfid.metrics.mmd import mmd
from fastfid.metrics.rows import ROWS, Rows
from given_rows import GOLDEN, agree
from pictures import pictures

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")

# The sets of the golden numbers: made with the references' own code, as float64.
X = np.random.RandomState(0).randn(300, 64)
Y = np.random.RandomState(1).randn(300, 64) + 0.1


def fit(rows):
    kept = Rows(rows.shape[1])
    kept._parts = [rows]  # float64, unlike those of a network
    return Fit({ROWS: kept}, len(rows))


def test_all_pairs():
    assert KID().value(fit(X), fit(Y)).value == pytest.approx(0.03809131505595431, rel=1e-12)


def test_torch_fidelity_with_its_seed():
    score = KID("torch-fidelity", subsets=10, subset_size=100).value(fit(X), fit(Y))
    assert score.value == pytest.approx(0.03142518229255904, rel=1e-12)
    assert score.parts["subset_std"] == pytest.approx(0.012410707641059561, rel=1e-10)
    assert score.parameters == {"subsets": 10, "subset_size": 100, "subset_seed": 2020}


def test_clean_fid_after_a_seed():
    """Its kernel_distance, with the pairs of images and themselves taken out."""
    rng, m, total = np.random.RandomState(7), 50, 0.0
    for _ in range(12):
        x = Y[rng.choice(len(Y), m, replace=False)]
        y = X[rng.choice(len(X), m, replace=False)]
        a = (x @ x.T / 64 + 1) ** 3 + (y @ y.T / 64 + 1) ** 3
        b = (x @ y.T / 64 + 1) ** 3
        total += (a.sum() - np.diag(a).sum()) / (m - 1) - b.sum() * 2 / m
    score = KID("clean-fid", subsets=12, subset_size=50, subset_seed=7).value(fit(X), fit(Y))
    assert score.value == pytest.approx(total / 12 / m, rel=1e-12)


def test_clean_fid_itself():
    """It was run as kernel_distance(X, Y) after numpy.random.seed(7), so its first set is X."""
    score = KID("clean-fid", subsets=12, subset_size=50, subset_seed=7).value(fit(X), fit(Y))
    assert score.value == pytest.approx(GOLDEN["kid"]["clean-fid"], rel=1e-12)


def test_torchmetrics_has_our_spread():
    """Its subsets come from torch's random numbers: 20 of its runs against 20 of ours, and the value they estimate."""
    theirs = np.array(GOLDEN["kid"]["torchmetrics"])
    asked = {"convention": "torchmetrics", "subsets": 10, "subset_size": 100}
    ours = [KID(**asked, subset_seed=seed).value(fit(Y), fit(X)) for seed in range(20)]
    agree([score.value for score in ours], theirs[:, 0])
    agree([score.parts["subset_std"] for score in ours], theirs[:, 1])
    exact = KID().value(fit(Y), fit(X)).value
    assert theirs[:, 0].min() <= exact <= theirs[:, 0].max()


@pytest.mark.parametrize(("convention", "real_first"), [("torchmetrics", True), ("dgm-eval", True), ("mmd-gan", False)])
def test_the_order_of_the_draws(convention, real_first):
    generated, real, rng, values = Y[:200], X, np.random.RandomState(3), []
    for _ in range(4):
        pair = (real, generated) if real_first else (generated, real)
        values.append(mmd(*(side[rng.choice(len(side), 60, replace=False)] for side in pair))[0])
    score = KID(convention, subsets=4, subset_size=60, subset_seed=3).value(fit(generated), fit(real))
    assert score.value == pytest.approx(np.mean(values), rel=1e-12)
    assert score.parts["subset_std"] == pytest.approx(np.std(values), rel=1e-12)


def test_the_defaults_of_the_tools():
    found = {name: (tool.subsets, tool.size, tool.seed, tool.any_n) for name, tool in TOOLS.items()}
    assert found == {
        "torch-fidelity": (100, 1000, 2020, False),
        "clean-fid": (100, 1000, 0, True),
        "torchmetrics": (100, 1000, 0, False),
        "dgm-eval": (100, 1000, 13579, True),
        "mmd-gan": (50, 1000, 0, False),
    }


@given(st.integers(2, 9), st.integers(2, 9), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_a_plain_twin(n, m, d, seed):
    rng = np.random.RandomState(seed)
    x, y = rng.randn(n, d), rng.randn(m, d)

    def k(a, b):
        return (a @ b / d + 1) ** 3

    xx = np.mean([k(x[i], x[j]) for i in range(n) for j in range(n) if i != j])
    yy = np.mean([k(y[i], y[j]) for i in range(m) for j in range(m) if i != j])
    xy = np.mean([k(a, b) for a in x for b in y])
    scale = max(map(abs, (xx, yy, xy)))
    assert mmd(x, y)[0] == pytest.approx(xx + yy - 2 * xy, abs=1e-11 * scale)


def test_float32_rows():
    """The products are in float32, of rows rounded to float32: the same value by the same rows in float64."""
    x, y = X.astype(np.float32), Y.astype(np.float32)
    value, variance = mmd(x, y)
    expected = mmd(x.astype(np.float64), y.astype(np.float64))
    assert value == pytest.approx(expected[0], abs=1e-9)
    assert variance == pytest.approx(expected[1], rel=1e-5)


@pytest.mark.parametrize("longer", [1e2, 1e4, 1e8, 1e10, 1e30])
@pytest.mark.parametrize("n", [20, 300])
def test_one_row_that_is_far_longer(n, longer):
    """It does not make the others long, so the digits stay.

    Its pairs outweigh the others. A product is off by about sqrt(72) roundings of |x| |y|, which for random rows of 64
    dims is about 8 times |x·y|, and its cube by 3 times that.
    """
    x, y = (np.random.RandomState(seed).randn(n, 64) for seed in (0, 1))
    x[0] *= longer
    x, y = x.astype(np.float32), y.astype(np.float32)
    value, variance = mmd(x, y)
    expected = mmd(x.astype(np.float64), y.astype(np.float64))
    tolerance = 3 * 8 * 72**0.5 * 2.0**-24
    assert value == pytest.approx(expected[0], rel=tolerance)
    if n == 300:  # from 20 images it is a small difference of large estimates
        assert variance == pytest.approx(expected[1], rel=2 * tolerance)


def test_read_only_memory_mapped_rows(tmp_path):
    x, y = X.astype(np.float32), Y.astype(np.float32)
    np.save(tmp_path / "rows.npy", x)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    for metric in (KID(), KID("clean-fid", subsets=2, subset_size=50)):
        assert metric.value(fit(mapped), fit(y)) == metric.value(fit(x), fit(y))


def test_a_side_against_itself():
    """The pairs across are all pairs, also those of an image with itself."""
    assert mmd(X, X) == mmd(X, X.copy())


@pytest.mark.parametrize(("n", "m", "shift"), [(40, 40, 0.0), (30, 55, 0.0), (55, 30, 0.3)])
def test_the_variance_is_that_of_many_draws(n, m, shift):
    rng = np.random.RandomState(n)
    draws = np.array([mmd(rng.randn(n, 6), 1.1 * rng.randn(m, 6) + shift) for _ in range(1500)])
    true = draws[:, 0].var(ddof=1)
    assert draws[:, 1].mean() == pytest.approx(true, rel=0.15)  # four deviations of a variance from 1,500 draws


def test_the_order_of_the_sides_does_not_matter():
    assert mmd(X, Y) == pytest.approx(mmd(Y, X), rel=1e-12)


def test_a_negative_variance_is_no_certainty():
    """Few images of one distribution often have one."""
    draws = [np.random.RandomState(seed).randn(2, 5, 3) for seed in range(40)]
    variances = [mmd(x, y)[1] for x, y in draws]
    errors = [KID().value(fit(x), fit(y)).parts["standard_error"] for x, y in draws]
    assert 0 < np.count_nonzero(np.isnan(errors)) < 40
    np.testing.assert_array_equal(errors, [v**0.5 if v >= 0 else np.nan for v in variances])


def test_few_images_have_no_error():
    assert np.isnan(KID().value(fit(X[:3]), fit(Y)).parts["standard_error"])
    assert KID().value(fit(X[:4]), fit(Y)).parts["standard_error"] > 0


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"convention": "stylegan"},
            "convention must be one of all-pairs, torch-fidelity, clean-fid, .*; got 'stylegan'",
        ),
        ({"subsets": 10}, "subsets needs a convention with subsets"),
        ({"convention": "clean-fid", "subsets": 0}, "subsets must be at least 1"),
        ({"convention": "clean-fid", "subset_size": 1}, "subset_size must be at least 2"),
        ({"convention": "clean-fid", "subset_seed": -1}, "seed must be between 0"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(InputError, match=message):
        KID(**parameters)


def test_subsets_larger_than_a_side():
    with pytest.raises(InputError, match="torch-fidelity's KID takes subsets of 1000 images, and a side has 300"):
        KID("torch-fidelity").value(fit(X), fit(Y))
    assert KID("clean-fid", subsets=1).value(fit(X), fit(Y)).parameters["subset_size"] == 300


def test_in_a_run_beside_the_fid():
    model = fastfid.Extractor("inception-v3-random", dims=64, batch_size=8)
    one, two = pictures(12), pictures(9, seed=1)
    result = fastfid.compare(one, two, model=model, metrics=["fid", "kid"])
    expected = mmd(model(one), model(two))[0]
    assert result.scores["kid"].value == expected
    assert expected == pytest.approx(mmd(model(one).astype(np.float64), model(two).astype(np.float64))[0], rel=1e-6)
    assert result.fid == fastfid.score(one, two, model=model)
    saved = model.fit(two)  # which still has its rows
    assert fastfid.compare(one, saved, model=model, metrics=["kid"]).scores["kid"].value == expected
    with pytest.raises(InputError, match="has no Rows of features: give the images"):
        fastfid.compare(one, Statistics.from_moments(saved.mu, saved.sigma, 9), model=model, metrics=["kid"])
