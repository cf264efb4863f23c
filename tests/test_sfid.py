"""The spatial FID of ADM: the distance of the spatial features, by another route, and in a run."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

import fastfid
from fastfid import SFID, Fit, InputError, Statistics
from fastfid.metrics.sfid import SPATIAL
from given_rows import X, Y, rotation
from pictures import pictures

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")


def fit(rows):
    return Fit({SPATIAL: Statistics(rows.shape[1]).update(rows)}, len(rows))


def adm(x, y):
    """Its FIDStatistics.frechet_distance."""
    difference, s1, s2 = x.mean(axis=0) - y.mean(axis=0), np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    return difference @ difference + np.trace(s1) + np.trace(s2) - 2 * np.trace(sqrtm(s1 @ s2)).real


@pytest.mark.parametrize("method", ["auto", "schur"])
def test_full_rank(method):
    score = SFID(method).value(fit(Y), fit(X))
    assert score.value == pytest.approx(adm(Y, X), rel=1e-10)
    assert score.value == pytest.approx(score.parts["mean_term"] + score.parts["trace_term"], rel=1e-14)
    assert (score.parts["rank"] is None) == (method == "schur")  # which has no ranks
    assert set(score.parts) == {"mean_term", "trace_term", "error_estimate", "rank"}
    assert (score.convention, score.parameters, score.n) == ("adm", {"method": method}, (300, 300))
    assert (score.better, score.warnings) == ("lower", ())


def test_rotation_order_and_sides_do_not_matter():
    expected, turn = SFID().value(fit(Y), fit(X)).value, rotation(64)
    for a, b in ((Y @ turn, X @ turn), (Y[::-1], X[::-1]), (X, Y)):
        assert SFID().value(fit(a), fit(b)).value == pytest.approx(expected, rel=1e-10)


def test_few_images_are_told():
    (text,) = SFID().value(fit(Y), fit(X[:40])).warnings
    assert text.startswith("few-images: sfid: 40 images of the second side are fewer than 64 dims")


def test_bad_parameters():
    with pytest.raises(InputError, match="method must be one of auto, schur; got 'sqrtm'"):
        SFID("sqrtm")


def test_in_a_run_in_one_pass_with_the_fid():
    """Of one pass of the network, and of the features of ADM's layer; the distance does not depend on their order."""
    one, two = pictures(6), pictures(5, seed=1)
    model = fastfid.Extractor("inception-v3-random", dims=64, batch_size=3, roles=("features", "spatial"))
    result = fastfid.compare(one, two, model=model, metrics=["fid", "sfid"], method="auto")
    alone = fastfid.compare(one, two, model=model, metrics=["sfid"]).scores["sfid"]
    assert result.scores["sfid"].value == alone.value > 0
    assert (alone.role, alone.n) == ("spatial", (6, 5))
    assert result.fid == fastfid.score(one, two, model=fastfid.Extractor("inception-v3-random", dims=64, batch_size=3))
