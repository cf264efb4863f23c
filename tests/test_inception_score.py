"""The Inception Score: golden numbers, theory, and as a metric of a run."""

import numpy as np
import pytest
from scipy.stats import entropy

import fastfid
from fastfid import Fit, InceptionScore, InputError
from fastfid.cli.main import main
from fastfid.metrics import inception_score
from fastfid.metrics.inception_score import LOGITS, TOOLS
from fastfid.metrics.rows import Rows
from given_rows import GOLDEN, X, agree
from pictures import folder, pictures

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")


def fit(logits):
    kept = Rows(logits.shape[1])
    kept._parts = [logits]
    return Fit({LOGITS: kept}, len(logits))


def test_torch_fidelity_with_its_seed():
    score = InceptionScore(splits=3).value(fit(np.random.RandomState(0).randn(300, 64)))
    assert score.value == pytest.approx(1.5898921986151955, rel=1e-12)
    assert score.parts["std"] == pytest.approx(0.0075552798478695565, rel=1e-10)
    assert score.better == "higher"


@pytest.mark.parametrize("convention", TOOLS)
def test_theory(convention):
    sure = 1000 * np.eye(7)[np.arange(350) % 7]
    assert InceptionScore(convention, splits=1).value(fit(sure)).value == pytest.approx(7, rel=1e-12)
    assert InceptionScore(convention, splits=5).value(fit(np.zeros((350, 7)))).value == pytest.approx(1, rel=1e-12)


def test_improved_gan_does_not_shuffle():
    logits = np.random.RandomState(3).randn(103, 9)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    parts = [p[i * 103 // 10 : (i + 1) * 103 // 10] for i in range(10)]
    scores = [np.exp(np.mean(np.sum(part * (np.log(part) - np.log(part.mean(axis=0))), axis=1))) for part in parts]
    found = InceptionScore("improved-gan").value(fit(logits))
    assert (found.value, found.parts["std"]) == pytest.approx((np.mean(scores), np.std(scores)), rel=1e-12)


def test_blocks_do_not_change_it(monkeypatch):
    logits = np.random.RandomState(3).randn(103, 9)
    expected = InceptionScore(splits=2).value(fit(logits)).value
    monkeypatch.setattr(inception_score, "_ROWS", 7)
    assert InceptionScore(splits=2).value(fit(logits)).value == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_logits_that_are_not_finite(bad):
    logits = np.zeros((20, 9), np.float32)
    logits[7, 3] = bad
    with pytest.raises(InputError, match="the logits hold values that are not finite, or too large"):
        InceptionScore().value(fit(logits))


def test_adm_takes_blocks_of_5000():
    logits = np.random.RandomState(3).randn(5200, 4)
    whole, rest = (InceptionScore(splits=1).value(fit(part)).value for part in (logits[:5000], logits[5000:]))
    assert InceptionScore("adm").value(fit(logits)).value == pytest.approx((whole + rest) / 2, rel=1e-12)


def test_dgm_eval():
    """300 images in 7 splits: 42 each, and 6 are left out."""
    found = InceptionScore("dgm-eval", splits=7).value(fit(X))
    assert (found.value, found.parts["std"]) == pytest.approx(GOLDEN["is"]["dgm-eval"], rel=1e-12)
    assert found.parameters == {"splits": 7, "shuffle_seed": 2020}


def test_torchmetrics_has_our_spread():
    """It shuffles with torch's random numbers: 20 of its runs against 20 of ours."""
    theirs = np.array(GOLDEN["is"]["torchmetrics"])
    ours = [InceptionScore("torchmetrics", splits=7, shuffle_seed=seed).value(fit(X)) for seed in range(20)]
    agree([score.value for score in ours], theirs[:, 0])
    agree([score.parts["std"] for score in ours], theirs[:, 1])
    assert theirs[:, 0].min() <= ours[0].value <= theirs[:, 0].max()


def test_torchmetrics_cuts_as_torch_does():
    """10 images in 4 chunks: 3, 3, 3, 1; in 6 chunks: 5 of 2. The deviation has ddof 1."""
    logits = np.random.RandomState(3).randn(10, 4)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    p = p[np.random.RandomState(0).permutation(10)]
    for splits, bounds in ((4, (0, 3, 6, 9, 10)), (6, (0, 2, 4, 6, 8, 10))):
        parts = np.split(p, bounds[1:-1])
        scores = [np.exp(np.mean(entropy(part, part.mean(axis=0, keepdims=True), axis=1))) for part in parts]
        found = InceptionScore("torchmetrics", splits=splits).value(fit(logits))
        assert (found.value, found.parts["std"]) == pytest.approx((np.mean(scores), np.std(scores, ddof=1)), rel=1e-12)
    assert np.isnan(InceptionScore("torchmetrics", splits=1).value(fit(logits)).parts["std"])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"convention": "dgm"}, "convention must be one of torch-fidelity, improved-gan, adm, .*; got 'dgm'"),
        ({"splits": 0}, "splits must be at least 1"),
        ({"shuffle_seed": -1}, "seed must be between 0"),
        ({"convention": "adm", "shuffle_seed": 1}, "shuffle_seed needs a convention that shuffles; adm does not"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(InputError, match=message):
        InceptionScore(**parameters)


def test_fewer_images_than_splits():
    with pytest.raises(InputError, match="an image for each of its 10 splits, got 4"):
        InceptionScore().value(fit(np.zeros((4, 3))))
    with pytest.raises(InputError, match="an image for each of its 10 splits, got 9"):
        fastfid.compare(pictures(9), pictures(9), metrics=["is"])  # before any image is read, or the model opened
    InceptionScore().check(None)
    assert InceptionScore("adm").value(fit(np.zeros((4, 3)))).value == 1  # it does not use splits


def test_with_one_split_the_order_does_not_matter():
    value = InceptionScore(splits=1).value(fit(X)).value
    assert InceptionScore(splits=1).value(fit(X[::-1].copy())).value == pytest.approx(value, rel=1e-12)
    assert InceptionScore("improved-gan", splits=1).value(fit(X)).value == pytest.approx(value, rel=1e-12)


def test_in_a_run_in_one_pass_with_the_fid(tmp_path, capsys):
    one, two = folder(tmp_path / "one", pictures(12)), folder(tmp_path / "two", pictures(11, seed=1))
    roles = ("features", "logits_unbiased")
    model = fastfid.Extractor("inception-v3-random", dims=64, batch_size=8, roles=roles)
    result = fastfid.compare(one, two, model=model, metrics=["fid", InceptionScore(splits=2)])
    assert result.scores["is"].n == (12,)
    assert result.fid == fastfid.score(one, two, model=fastfid.Extractor("inception-v3-random", dims=64, batch_size=8))
    assert 1 < result.scores["is"].value < 12
    asked = ["--model", "inception-v3-random", "--dims", "64", "--metrics", "fid,kid,is", "--batch-size", "8"]
    assert main([str(one), str(two), *asked]) == 0
    *_, kid, score, fid = capsys.readouterr().out.splitlines()
    assert (kid[:6], score[:5], fid) == ("KID:  ", "IS:  ", f"FID:  {result.fid}")
