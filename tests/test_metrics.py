"""The contracts of a metric: shared needs, pickled accumulators, scores."""

import functools
import json
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
from fastfid.sources import pieces
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
    with pytest.raises(InputError, match=r"has no Sums of features: give the images"):
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


class TestMetricsThatMisbehave:
    def run(self, rows, *metrics, **options):
        return fastfid.compare(pictures(40), pictures(30), engine=Given(rows), metrics=list(metrics), **options)

    @pytest.mark.parametrize("last", [False, True])
    def test_cannot_change_the_next_one_or_what_the_caller_gave(self, rows, last):
        class Merging(Metric):
            name, needs = "merging", (MOMENTS,)

            def value(self, a, b):
                return Score(float(a[MOMENTS].merge(b[MOMENTS]).n))

        metrics = ["fid", Merging()] if last else [Merging(), "fid"]
        assert self.run(rows, *metrics).fid == self.run(rows, "fid").fid
        saved = Statistics(DIMS).update(rows)
        fastfid.compare(saved, saved, metrics=metrics)
        assert saved.n == 40

    def test_cannot_write_into_the_rows_of_others(self, rows):
        class Writing(Sums):
            def update(self, rows):
                rows -= 5

        class Writes(Gap):
            needs = (Need("features", Writing),)

        with pytest.raises(ValueError, match="read-only"):
            self.run(rows, Writes(), "fid")

    @pytest.mark.parametrize(
        ("attributes", "message"),
        [
            ({"name": None}, r"Odd has no name; set name = '\.\.\.' in the class"),
            ({"name": "fid"}, "Odd is called 'fid' like a built-in metric"),
            ({"sides": 3}, r"Odd\.sides must be 1 or 2, got 3"),
            ({"needs": MOMENTS}, r"Odd\.needs must be a tuple of fastfid\.Need"),
            ({"needs": ("features",)}, r"Odd\.needs must be a tuple of fastfid\.Need"),
            ({"value": lambda *_: 1.5}, r"odd\.value must return a fastfid\.Score, got a float"),
            ({"needs": (Need("features", lambda dims: []),)}, "of features: a list is not a fastfid.Accumulator"),
        ],
    )
    def test_are_told_by_name(self, rows, attributes, message):
        usual = {"name": "odd", "needs": (MOMENTS,), "value": lambda self, a, b: Score(0.0)}
        with pytest.raises(InputError, match=message):
            self.run(rows, type("Odd", (Metric,), {**usual, **attributes})())

    def test_a_value_that_is_no_number_is_told(self, rows):
        class Nothing(Gap):
            name = "nothing"

            def value(self, a, b):
                return Score(float("nan"), {"table": np.arange(3), "pair": (np.float32(1.5), None)})

        with pytest.warns(fastfid.FastFIDWarning, match=r"nothing is not a number \(NaN\)"):
            result = self.run(rows, Nothing())
        assert json.loads(json.dumps(result.as_dict()))["scores"]["nothing"]["parts"]["table"] == [0, 1, 2]

    def test_bad_needs(self):
        with pytest.raises(InputError, match="a Need's role must be a text"):
            Need(None, Sums)
        with pytest.raises(InputError, match="a Need's accumulator must be a class or a function, got a Statistics"):
            Need("features", Statistics(3))
        with pytest.raises(InputError, match="must be a fastfid.Accumulator; list is not"):
            Need("features", list)


def test_an_option_beside_a_metric_object_that_has_it_is_refused(rows):
    for option in ({"method": "schur"}, {"bootstrap": 20}):
        with pytest.raises(InputError, match=r"is a parameter of FID: give FID\("):
            fastfid.compare(pictures(40), pictures(30), engine=Given(rows), metrics=[FID()], **option)
    result = fastfid.compare(pictures(40), pictures(30), engine=Given(rows), metrics=[FID(method="schur")])
    assert result.method == "schur"
    with pytest.raises(InputError, match="seed must be between"):
        FID(seed=-1)


def test_batches_without_a_row_are_not_handed_on(rows):
    class Strict(Sums):
        def update(self, rows):
            assert len(rows)

    need = Need("features", Strict)
    empty = np.empty((0, DIMS), np.float32)
    assert Fit.empty([need], {"features": DIMS}).update({"features": empty}).n == 0


def test_roles_of_different_lengths(rows):
    fit = Fit.empty([MOMENTS], {"features": DIMS})
    with pytest.raises(InputError, match="different numbers of rows: 3, 4"):
        fit.update({"features": rows[:3], "logits": rows[:4]})
    with pytest.raises(InputError, match="features have logits, and Statistics of features is needed"):
        fit.update({"logits": rows})


def test_provenance_is_that_of_the_features_alone():
    role = Need("logits", Statistics)

    class OfLogits(Gap):
        name, needs = "of-logits", (MOMENTS, role)

        def value(self, a, b):
            return Score(0.0, {"logits": a[role], "features": a[MOMENTS]})

    model = fastfid.Extractor("inception-v3-random", dims=64, batch_size=4, roles=("features", "logits"))
    parts = fastfid.compare(pictures(4), pictures(5), model=model, metrics=[OfLogits()]).scores["of-logits"].parts
    assert (parts["logits"].dims, parts["logits"].provenance) == (1008, None)
    assert parts["features"].provenance == model.provenance


class TestEnginesThatMisbehave:
    @pytest.mark.parametrize(
        ("fit", "message"),
        [
            (lambda pairs: pairs[1:], r"yields piece 1 where piece 0 should follow"),
            (lambda pairs: pairs[:-1], r"ends before piece 2"),
            (lambda pairs: [*pairs, pairs[-1]], r"yields piece 2 where no more pieces should follow"),
            (lambda pairs: pairs[::-1], r"yields piece 2 where piece 0 should follow"),
            (lambda pairs: [(piece, pairs[0][1]) for piece, _ in pairs], r"one Fit for several pieces"),
            (lambda pairs: [fit for _, fit in pairs], r"must yield \(piece, fit\) pairs, but yields a Fit"),
            (lambda pairs: None, r"must yield \(piece, fit\) pairs, but returns a NoneType"),
            (lambda pairs: [(p, Fit({MOMENTS: Statistics(4)}, len(p.indices))) for p, _ in pairs], "of 4 dims, not 5"),
            (lambda pairs: [(p, Fit({MOMENTS: Statistics(5)}, 3)) for p, _ in pairs], "counted 3 of the 16 images of"),
        ],
    )
    def test_are_told_by_name(self, rows, monkeypatch, fit, message):
        monkeypatch.setattr("fastfid.sides.pieces", functools.partial(pieces, size=16))

        class Odd(Given):
            def fit(self, needs, pieces, how):
                return fit(list(super().fit(needs, pieces, how)))

        with pytest.raises(InputError, match=message) as caught:
            fastfid.score(pictures(40), pictures(40), engine=Odd(rows))
        assert "Odd.fit" in str(caught.value)

    def test_open_without_facts(self, rows):
        class Odd(Given):
            def open(self, recipe, messages, **_):
                return None

        with pytest.raises(InputError, match="Odd.open must return Facts, got a NoneType"):
            fastfid.score(pictures(40), pictures(40), engine=Odd(rows))


def test_two_sides_of_one_name_have_a_warning_each(rows):
    class Named(fastfid.Source):
        def __init__(self, n):
            super().__init__("same", n)

        def read(self, indices):
            for index in indices:
                yield fastfid.Item(f"{index}", functools.partial(np.full, (8, 8, 3), index))

    wide = np.tile(rows, 10)
    result = fastfid.compare(Named(40), Named(30), engine=Given(wide))
    assert [text for text in result.warnings if text.startswith("few-images")] == [
        f"few-images: same: {n} images are fewer than 50 dims; the FID is exact but biased upwards" for n in (40, 30)
    ]
