"""All built-in metrics in one run: by name, of one side, from the command line, and what every score must state."""

import json
from dataclasses import fields

import numpy as np
import pytest

import fastfid
from fastfid.cli.main import main
from fastfid.metrics.registry import METRICS, asked_for
from pictures import folder, pictures
from stand_in import small_inception

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")

ROLES = ("features", "logits_unbiased", "spatial")
N = (11, 10)


@pytest.fixture(scope="module")
def model():
    with small_inception():
        return fastfid.Extractor("inception-v3-random", dims=64, batch_size=8, roles=ROLES)


@pytest.fixture(scope="module")
def result(model):
    return fastfid.compare(pictures(N[0]), pictures(N[1], seed=1), model=model, metrics=list(METRICS))


def test_every_score_is_complete(result):
    for name, score in result.scores.items():
        kind = METRICS[name]
        assert np.isfinite(score.value), name
        assert score.convention, name
        assert score.better in ("lower", "higher"), name
        assert score.n == N[: kind.sides], name
        assert score.role == ("logits_unbiased" if name == "is" else "spatial" if name == "sfid" else "features")
        own = {field.name for field in fields(kind)} - {"convention", "bootstrap", "seed"}
        assert not {key for key in score.parameters if key in own and score.parameters[key] is None}, name


def test_by_name_they_have_their_defaults():
    class Nothing:
        pass

    assert asked_for(list(METRICS), Nothing()) == [kind() for kind in METRICS.values()]


def test_metrics_of_one_side_take_one_side(model, result):
    names = [name for name, kind in METRICS.items() if kind.sides == 1]
    alone = fastfid.compare(pictures(N[0]), metrics=names, model=model).scores
    assert {name: alone[name].value for name in names} == {name: result.scores[name].value for name in names}


def test_all_are_plain_data(result):
    data = json.loads(json.dumps(result.as_dict()))
    assert set(data["scores"]) == set(METRICS) - {"fid"}
    assert data["scores"]["authpct"]["parts"]["copies"][0][:2] == list(result.scores["authpct"].parts["copies"][0][:2])


def test_all_from_the_command_line(tmp_path, capsys):
    sides = [str(folder(tmp_path / f"{i}", pictures(n, seed=i))) for i, n in enumerate(N)]
    asked = ["--model", "inception-v3-random", "--dims", "64", "--batch-size", "8", "--metrics", ",".join(METRICS)]
    with small_inception():
        assert main([*sides, *asked]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in METRICS:
        assert any(line.startswith(f"{name.upper()}:  ") for line in lines), name
    assert lines[-1].startswith("FID:  ")


def test_metrics_are_frozen():
    assert all(hash(kind()) == hash(kind()) for kind in METRICS.values())


OF_FEATURES = [name for name in METRICS if name not in ("is", "sfid")]  # as matrices, without a network


@pytest.mark.parametrize("name", [name for name in OF_FEATURES if METRICS[name].sides == 2])
def test_other_dims_are_refused(name):
    sides = [np.random.RandomState(0).randn(30, dims) for dims in (8, 6)]
    with pytest.raises(fastfid.StatisticsMismatch, match="dims 8 in the first side .*, 6 in the second"):
        fastfid.compare(*sides, metrics=[name], features=True)


@pytest.mark.parametrize("name", OF_FEATURES)
def test_nan_is_refused(name):
    side = np.random.RandomState(0).randn(30, 8)
    side[3, 2] = np.nan
    with pytest.raises(fastfid.InputError, match=r"not finite; the first is nan at index \(3, 2\)"):
        fastfid.compare(side, np.ones((30, 8)), metrics=[name], features=True)


@pytest.mark.parametrize("name", OF_FEATURES)
def test_features_that_are_all_alike_give_no_nan(name):
    """The covariances are 0, all distances are 0, and there is one direction."""
    same = np.ones((30, 8))
    score = fastfid.compare(same, same, metrics=[name], features=True).scores[name]
    assert score.value == pytest.approx(1.0 if name == "vendi" else 0.0, abs=1e-12)
