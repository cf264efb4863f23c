"""The contracts of a metric: shared needs, pickled accumulators, scores."""

import pickle
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastfid
from fastfid import Accumulator, Fit, InputError, Metric, Need, Score, Statistics
from fastfid.fit import fold
from fastfid.metrics.fid import FID, MOMENTS
from fastfid.metrics.registry import asked_for, needs_of
from pictures import pictures

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")

DIMS = 5


class Sums(Accumulator):
    made = 0

    def __init__(self, dims):
        type(self).made += 1
        self.total = np.zeros(dims)

    def update(self, rows):
        self.total = self.total + rows.sum(axis=0)
        return self

    def merge(self, other):
        self.total = self.total + other.total
        return self


@dataclass(frozen=True)
class Gap(Metric):
    factor: float = 1.0

    name = "gap"
    needs = (Need("features", Sums),)

    def value(self, a, b):
        return Score(self.factor * float(np.abs(a[self.needs[0]].total - b[self.needs[0]].total).sum()))


class Given(fastfid.Engine):
    """The rows of a matrix stand for the features of the images."""

    def __init__(self, features, roles=("features",)):
        self.features, self.roles = features, dict.fromkeys(roles, features.shape[1])

    def open(self, recipe, messages, **_):
        return fastfid.Facts(self.roles)

    def fit(self, needs, pieces, how):
        for piece in pieces:
            rows = self.features[piece.indices]
            yield piece, Fit.empty(needs, self.roles).update(dict.fromkeys(self.roles, rows))


@pytest.fixture
def rows():
    return np.random.RandomState(0).standard_normal((40, DIMS)).astype(np.float32)


def test_metrics_with_one_need_share_one_accumulator(rows):
    Sums.made = 0

    class Other(Gap):
        name = "other"

    result = fastfid.compare(pictures(40), pictures(30), engine=Given(rows), metrics=[Gap(), "fid", Other(2.0)])
    assert list(result.scores) == ["gap", "fid", "other"]
    assert result.scores["other"].value == 2 * result.scores["gap"].value
    assert Sums.made == 4  # the fold's empty one and the piece's, of each side
    assert result.fid == fastfid.frechet_distance_from_features(rows, rows[:30])


def test_a_metric_besides_the_fid_is_in_the_plain_data(rows):
    data = fastfid.compare(pictures(40), pictures(30), engine=Given(rows), metrics=["fid", Gap()]).as_dict()
    assert data["scores"]["gap"]["value"] > 0
    assert data["fid"] > 0
    alone = fastfid.compare(pictures(40), pictures(30), engine=Given(rows)).as_dict()
    assert set(data) - set(alone) == {"scores"}


def test_without_the_fid(rows):
    result = fastfid.compare(pictures(40), pictures(30), engine=Given(rows), metrics=[Gap()])
    assert "fid" not in result.as_dict()
    with pytest.raises(InputError, match="the FID was not asked for; the metrics were gap"):
        result.fid  # noqa: B018


def test_a_metric_of_one_side_takes_the_first(rows):
    class Alone(Gap):
        name, sides = "alone", 1

        def value(self, a):
            return Score(float(a.n))

    assert (
        fastfid.compare(pictures(40), pictures(30), engine=Given(rows), metrics=[Alone()]).scores["alone"].value == 40
    )


def test_statistics_do_not_give_what_they_do_not_hold(rows):
    saved = Statistics(DIMS).update(rows)
    with pytest.raises(InputError, match=r"holds statistics, which have no Sums of features: give the images"):
        fastfid.compare(pictures(40), saved, engine=Given(rows), metrics=[Gap()])


def test_a_role_that_the_network_does_not_give_is_named(rows):
    class Logits(Gap):
        needs = (Need("logits", Sums),)

    with pytest.raises(InputError, match=r"gives features, and logits is needed"):
        fastfid.compare(pictures(40), pictures(30), engine=Given(rows), metrics=[Logits()])


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (["fod"], r"unknown name 'fod'; give one of fid"),
        (["fid", "fid"], "two are called fid"),
        (["fid", FID(method="schur")], "two are called fid"),
    ],
)
def test_metrics_that_there_are_not(metrics, message):
    with pytest.raises(InputError, match=message):
        fastfid.compare("nowhere", "nowhere", metrics=metrics)


def test_parameters_come_from_the_options_or_from_the_object():
    class Asked:
        method, bootstrap, seed = "schur", 20, 3

    (by_name,) = asked_for(["fid"], Asked())
    assert by_name == FID("schur", 20, 3)
    assert needs_of([FID(), FID(bootstrap=20)], 0)[0] == MOMENTS
    assert len(needs_of([FID(), FID(bootstrap=20)], 0)) == 2
    with pytest.raises(InputError, match="method must be one of"):
        FID(method="sqrt")


def test_the_warnings_of_a_score_are_issued(rows):
    class Doubtful(Gap):
        name = "doubtful"

        def value(self, a, b):
            return Score(0.0, warnings=("do not trust this",))

    with pytest.warns(fastfid.FastFIDWarning, match="do not trust this"):
        result = fastfid.compare(pictures(40), pictures(30), engine=Given(rows), metrics=[Doubtful()])
    assert "do not trust this" in result.warnings


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_states_that_travel_fold_to_the_same_bits(lengths, seed):
    rng = np.random.RandomState(seed)
    need = Need("features", Sums)
    parts = [rng.standard_normal((n, DIMS)).astype(np.float32) for n in lengths]
    totals = []
    for send in (lambda sums: sums, lambda sums: pickle.loads(pickle.dumps(sums))):
        fits = [(None, Fit({need: send(Sums(DIMS).update(part))}, len(part))) for part in parts]
        whole = fold(fits, Fit.empty([need], {"features": DIMS}))
        assert whole.n == sum(lengths)
        totals.append(whole[need].total.tobytes())
    assert totals[0] == totals[1]


def test_a_state_of_a_newer_version_is_refused():
    sums = Sums(DIMS)
    state = sums.__getstate__()
    assert state["version"] == 1
    with pytest.raises(InputError, match="a state of Sums has version 2, this fastfid reads up to 1"):
        sums.__setstate__({**state, "version": 2})
