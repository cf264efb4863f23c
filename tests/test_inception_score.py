"""The Inception Score: golden numbers, theory, and as a metric of a run."""

import numpy as np
import pytest

import fastfid
from fastfid import Fit, InceptionScore, InputError
from fastfid.cli.main import main
from fastfid.metrics.inception_score import LOGITS
from fastfid.metrics.rows import Rows
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


@pytest.mark.parametrize("convention", ["torch-fidelity", "improved-gan", "adm"])
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


def test_adm_takes_blocks_of_5000():
    logits = np.random.RandomState(3).randn(5200, 4)
    whole, rest = (InceptionScore(splits=1).value(fit(part)).value for part in (logits[:5000], logits[5000:]))
    assert InceptionScore("adm").value(fit(logits)).value == pytest.approx((whole + rest) / 2, rel=1e-12)


def test_bad_parameters():
    with pytest.raises(InputError, match="convention must be one of torch-fidelity, improved-gan, adm; got 'dgm'"):
        InceptionScore("dgm")
    with pytest.raises(InputError, match="splits must be at least 1"):
        InceptionScore(splits=0)
    with pytest.raises(InputError, match="an image for each of its 10 splits, got 4"):
        InceptionScore().value(fit(np.zeros((4, 3))))


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
