"""Gates: conditions, verdicts with and without noise, baselines, exit codes, and the JUnit report."""

import argparse
import json
import warnings
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import UTC, datetime
from math import inf, nan

import numpy as np
import pytest

import fastfid
from fastfid.cli.main import main
from fastfid.cli.parser import silence
from fastfid.conditions import PARTS, WITH_CERTAINTY, Condition
from fastfid.flat import OF_CERTAINTY, numbers_of
from fastfid.gate import VOID, VOID_FOR_PROTOCOL
from fastfid.junit import report
from fastfid.messages import CODES
from fastfid.metrics.certainty import Certainty
from fastfid.metrics.fid_certainty import Pair
from fastfid.metrics.registry import METRICS
from fastfid.protocols import PROTOCOLS
from fastfid.verdicts import FAILED, PASSED, UNSURE
from given_rows import X, Y
from pictures import folder, pictures
from stand_in import stand_in

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")
D = 5
TIME = datetime(2026, 1, 2, tzinfo=UTC)


def rows(*shifts, n=300):
    rng = np.random.RandomState(0)
    return [rng.standard_normal((n, D)) + shift for shift in (*shifts, 0.0)]


def compared(*sides, **options):
    return fastfid.compare(*sides, features=True, **options)


@pytest.fixture(scope="module")
def result():
    return compared(*rows(0.5), metrics=["fid", "kid", "prdc"])


@pytest.fixture(scope="module")
def sure():
    return compared(*rows(0.5), metrics=["fid", "kid", "prdc"], certainty=True)


# Conditions


@pytest.mark.parametrize(
    ("text", "passing", "failing"),
    [
        ("fid > 2", [2, 1, -inf], [2.0000001, inf]),
        ("fid>=2", [1.9999999], [2, 3]),
        ("fid < .5", [0.5, 1], [0.4999, -1]),
        ("fid<=-1e-3", [0], [-1e-3, -1]),
        ("fid outside 2:3", [2, 2.5, 3], [1.999, 3.001]),
        (" fid  outside  -1 : 1e1 ", [-1, 10], [-1.1, 10.1]),
    ],
)
def test_bounds(result, text, passing, failing):
    def verdict(value):
        scores = {"fid": replace(result.scores["fid"], value=value)}
        return fastfid.gate(replace(result, scores=scores), text).verdict

    assert {verdict(value) for value in passing} == {PASSED}
    assert {verdict(value) for value in [*failing, nan]} == {FAILED}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "fid",
        "fid >",
        "> 2",
        "fid = 2",
        "fid == 2",
        "fid > two",
        "fid > nan",
        "fid > inf",
        "fid > 1e999",
        "fid > 2 > 1",
        "fid outside 2",
        "fid outside 3:2",
        "fid outside 2:",
        "fidoutside 1:2",
        "fid > 2, kid > 1",
        "fid > \u0663",
        "fid >> 2",
        5,
        None,
    ],
)
def test_what_is_no_condition(result, text):
    with pytest.raises(fastfid.InputError, match=r"is no condition such as 'fid > 12\.5'|must be finite|comes first"):
        fastfid.gate(result, [text])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fod > 1", "fod is not asked for; the metrics are fid, kid, prdc"),
        ("prdc.recal < 1", "prdc has no recal; its numbers are precision, recall, density, coverage"),
        ("fid.corrected > 1", "corrected needs certainty=True"),
        ("prdc.corrected > 1", "the noise of prdc is not known"),
        ("kid.subset_std > 1", "its numbers are standard_error"),
    ],
)
def test_numbers_that_there_are_not(result, text, said):
    with pytest.raises(fastfid.InputError, match=said):
        fastfid.gate(result, text)


def test_a_gate_needs_a_condition(result):
    with pytest.raises(fastfid.InputError, match="needs a condition"):
        fastfid.gate(result)
    with pytest.raises(fastfid.InputError, match="needs a baseline"):
        fastfid.gate(result, max_delta=1)


def test_the_table_of_numbers_is_that_of_the_metrics():
    assert PARTS.keys() == METRICS.keys()
    made = [METRICS[name]() for name in METRICS if name not in ("is", "sfid")]  # these need other features
    made += [kind(convention) for kind, convention in ((fastfid.KID, "clean-fid"), (fastfid.PRDC, "torch-fidelity"))]
    found = {name: set() for name in METRICS}
    for metric in made:
        (score,) = compared(X, Y, metrics=[metric]).scores.values()
        found[metric.name] |= {name for name in numbers_of(score) if name != metric.name}
    found["sfid"], found["is"] = found["fid"], {"std"}  # the same distance; and see the next test
    assert found == {name: set(parts) for name, parts in PARTS.items()}
    assert {name for name, kind in METRICS.items() if hasattr(kind, "certainty")} == set(WITH_CERTAINTY)
    assert {*OF_CERTAINTY} <= Certainty.__dataclass_fields__.keys()


def test_an_own_metric_can_be_gated(result):
    score = fastfid.Score(0.5, {"part": 0.25, "none": None, "many": [1, 2]})
    own = replace(result, scores={"a.b-c": score})
    assert fastfid.gate(own, ["a.b-c > 0.4"]).verdict == FAILED
    with pytest.raises(fastfid.InputError, match="a is not asked for"):
        fastfid.gate(own, "a.b > 1")
    plain = replace(result, scores={"own": score})
    assert [fastfid.gate(plain, f"own{dot}part > 0.2").verdict for dot in "./"] == [FAILED, FAILED]
    with pytest.raises(fastfid.InputError, match="its numbers are part"):
        fastfid.gate(plain, "own.none > 1")


# Noise


def test_with_certainty_the_limits_decide(sure):
    for name in ("fid", "kid"):
        score = sure.scores[name]
        half = 1.959963984540054 * score.certainty.standard_error
        low, high = score.value - half, score.value + half
        if name == "kid":  # which has no bias
            low, high = score.certainty.low, score.certainty.high
        for bound, verdict in (
            (low - 1e-9, FAILED),
            (low + 1e-9, UNSURE),
            (high - 1e-9, UNSURE),
            (high + 1e-9, PASSED),
        ):
            (check,) = fastfid.gate(sure, f"{name} > {bound!r}").checks
            assert check.verdict == verdict
            assert check.sentence.startswith(f"{verdict}: {name} ")
            assert (check.low, check.high) == pytest.approx((low, high), rel=1e-12)
        between = f"{low + 0.2 * half}:{high - 0.2 * half}"
        assert fastfid.gate(sure, f"{name} outside {between}").verdict == UNSURE
        assert fastfid.gate(sure, f"{name} outside {high + 1}:{high + 2}").verdict == FAILED


def test_without_bias_the_limits_are_those_of_the_certainty(sure):
    known = sure.certainty
    assert known.low < known.corrected < known.high
    assert known.corrected < sure.fid
    for bound, verdict in ((known.low - 1e-9, FAILED), (known.low + 1e-9, UNSURE), (known.high + 1e-9, PASSED)):
        assert fastfid.gate(sure, f"fid.corrected > {bound!r}").verdict == verdict


def test_metrics_whose_noise_is_not_known_are_compared_as_they_are(sure, result):
    value = result.scores["prdc"].parts["recall"]
    for each in (sure, result):
        assert fastfid.gate(each, f"prdc.recall < {value!r}").verdict == PASSED
        assert fastfid.gate(each, f"prdc.recall <= {value!r}").verdict == FAILED
    assert fastfid.gate(result, f"fid >= {result.fid!r}").verdict == FAILED


def test_a_standard_error_that_cannot_be_computed_decides_nothing():
    few = compared(*rows(5.0, n=12), certainty=True)
    for text in ("fid > 0.001", "fid.corrected > 0.001"):
        (check,) = fastfid.gate(few, text).checks
        assert check.verdict == UNSURE
        assert "has 12 rows of 5 dims, and the corrections need" in check.sentence
    assert json.dumps(fastfid.gate(few, "fid.corrected > 1").as_dict(), allow_nan=False)


def test_the_worst_verdict_counts(sure):
    passed, unsure, failed = "fid > 1e9", f"fid > {sure.fid!r}", "kid > -1"
    assert fastfid.gate(sure, [passed]).passed
    assert fastfid.gate(sure, [passed, unsure]).verdict == UNSURE
    assert fastfid.gate(sure, [failed, unsure, passed]).verdict == FAILED
    assert not fastfid.gate(sure, [failed, passed]).passed


# Warnings that make a number void


@pytest.mark.parametrize("code", VOID)
def test_a_void_number_does_not_pass(result, code):
    void = replace(result, warnings=("few-images: too few", f"{code}: this and that"))
    passing, failing = fastfid.gate(void, ["fid > 1e9", "fid > 0"]).checks
    assert (passing.verdict, failing.verdict) == (UNSURE, FAILED)
    assert passing.sentence.startswith("inconclusive: fid ")
    assert passing.sentence.endswith(f"the number decides nothing, because of {code}: this and that")
    assert fastfid.gate(void, "fid > 1e9", silence=[code]).passed
    assert fastfid.gate(replace(result, warnings=("few-images: x",)), "fid > 1e9").passed


@pytest.mark.parametrize("code", VOID_FOR_PROTOCOL)
def test_what_a_protocol_wants_is_void_for_its_own_bounds_only(result, code):
    scores = {"fid": replace(result.scores["fid"], value=23.5)}
    found = replace(result, scores=scores, protocol=PROTOCOLS["mlperf-sdxl"], warnings=(f"{code}: x",))
    assert [check.verdict for check in fastfid.gate(found, "fid > 30").checks] == [UNSURE, PASSED]
    assert fastfid.gate(replace(found, warnings=())).passed


def test_the_codes_exist():
    assert {*VOID, *VOID_FOR_PROTOCOL} <= CODES.keys()
    with pytest.raises(fastfid.InputError, match="silence must be one of"):
        fastfid.gate(compared(*rows(0.5)), "fid > 1", silence="no-such")


@pytest.mark.parametrize("certainty", [False, True])
def test_a_set_beside_itself_is_void(certainty):
    (x,) = rows()
    found = compared(x, x.copy(), certainty=certainty)
    assert found.fid == pytest.approx(0, abs=1e-9)
    assert any(text.startswith("same-images: ") for text in found.warnings)
    assert fastfid.gate(found, "fid > 1").verdict == UNSURE


def test_mirrored_sets_and_sets_of_other_sizes_are_not_the_same():
    x, y = rows(0.5)
    for one, other in ((x, -x), (x[:, ::-1], x), (x, np.vstack([x, y])), (x, x + 1e-9)):
        assert not any(text.startswith("same-images") for text in compared(one, other).warnings)


def test_images_beside_themselves_or_their_statistics_are_void(images, capsys):
    main(["--save-stats", "a", "a.npz", "--model", "own.onnx", "--quiet"])
    for other in ("a", "a.npz"):
        assert main(["a", other, "--model", "own.onnx", "--quiet", "--fail-above", "1"]) == 4
        assert "the number decides nothing, because of same-images: " in capsys.readouterr().err
    assert status("--fail-above", "1e6", "--silence", "same-images") == 0


def test_many_images_left_out_are_void(images, capsys):
    for i in range(4):
        (images / "a" / f"{i:03}.png").write_bytes(b"no image")
    assert status("--on-error", "skip", "--fail-above", "1e6") == 0
    assert "left-out: a: 4 images left out" in capsys.readouterr().err
    (images / "a" / "004.png").write_bytes(b"no image")
    assert status("--on-error", "skip", "--fail-above", "1e6") == 4
    assert "because of many-left-out: a: 5 images left out: " in capsys.readouterr().err


def test_a_warning_can_fail_a_gate(result, images, capsys):
    warned = replace(result, warnings=("few-images: x", "of no kind"))
    (check,) = fastfid.gate(warned, fail_on_warning=True).checks
    assert (check.verdict, check.value) == (FAILED, 2.0)
    assert check.sentence == "failed: 2 warnings: few-images: x; of no kind; fails if there is a warning"
    assert fastfid.gate(replace(result, warnings=("few-images: x",)), fail_on_warning=True, silence="few-images").passed
    assert fastfid.gate(replace(result, warnings=()), fail_on_warning=True).passed
    (check,) = fastfid.gate(warned, fail_on_warning=True, silence=["other"]).checks
    assert check.sentence.startswith("failed: 1 warning: few-images: x; ")
    with pytest.raises(fastfid.InputError, match="fail_on_warning must be True or False"):
        fastfid.gate(result, fail_on_warning="duplicates")
    (images / "a" / "001.png").write_bytes((images / "a" / "000.png").read_bytes())
    assert status("--fail-on-warning", "--junit", "o.xml") == 3
    assert "fastfid: failed: 1 warning: duplicates: a: 1 of 40 images" in capsys.readouterr().err
    assert ET.parse("o.xml").getroot()[0][0].attrib["name"] == "there is a warning"
    assert status("--fail-on-warning", "--silence", "duplicates") == 0


def test_warnings_without_a_kind_can_be_silenced(recwarn):
    silence(argparse.Namespace(silence=["other", "size"]))
    for text in ("a: no kind", "few-images: x", "size: y", "no colon"):
        warnings.warn(text, fastfid.FastFIDWarning, stacklevel=1)
    assert [str(one.message) for one in recwarn] == ["few-images: x"]


# Classes


@pytest.fixture(scope="module")
def classed():
    """Three classes, one far off, and certainty."""
    made = {}
    for name, shift in (("a cat", 0.3), ("dog", 0.5), ("x.y", 3.0)):
        made[name] = compared(*rows(shift), metrics=["fid", "kid", "prdc"], certainty=True).scores
    whole = compared(*rows(0.5), metrics=["fid", "kid", "prdc"], certainty=True)
    return replace(whole, classes=made)


def test_a_class_can_be_gated(classed):
    plain = replace(classed, sure=False)
    for name, written in (("a cat", "a_cat"), ("dog", "dog"), ("x.y", "x.y"), ("x.y", "x_y")):
        value = classed.classes[name]["fid"].value
        (check,) = fastfid.gate(plain, f"classes/{written}/FID > {value!r}").checks
        assert (check.verdict, check.value, check.standard_error) == (PASSED, value, None)
        assert not fastfid.gate(plain, f"classes/{written}/fid >= {value!r}")
        (check,) = fastfid.gate(classed, f"classes/{written}/fid > {value!r}").checks
        assert (check.verdict, check.standard_error) == (UNSURE, classed.classes[name]["fid"].certainty.standard_error)
    recall = classed.classes["x.y"]["prdc"].parts["recall"]
    assert fastfid.gate(classed, f"classes/x.y/prdc.recall <= {recall!r}").verdict == FAILED


def test_the_worst_class(classed):
    plain = replace(classed, sure=False)
    values = {name: scores["fid"].value for name, scores in classed.classes.items()}
    (check,) = fastfid.gate(plain, "classes/worst/fid > 4").checks
    assert (check.verdict, check.value) == (FAILED, values["x.y"])
    assert check.sentence.startswith("failed: classes/worst/fid (x.y) ")
    assert fastfid.gate(plain, "classes/worst/fid < 0").checks[0].value == min(values.values())
    for bound in ("0", "1e6"):  # of several failing or passing classes the farthest out is named
        assert fastfid.gate(plain, f"classes/worst/fid > {bound}").checks[0].value == values["x.y"]
    assert fastfid.gate(plain, "classes/worst/fid > 1e6").passed
    assert fastfid.gate(plain, "classes/worst/prdc.recall < 0.5").verdict == FAILED
    dog = values["dog"]  # the one that fails for sure counts, not one that only may
    assert fastfid.gate(classed, f"classes/worst/fid outside {dog!r}:1e9").verdict == FAILED
    assert fastfid.gate(classed, f"classes/worst/fid > {values['x.y']!r}").verdict == UNSURE


def test_the_mean_of_the_classes(classed):
    plain, scores = replace(classed, sure=False), [scores["fid"] for scores in classed.classes.values()]
    mean = classed.over_classes("fid")[0]
    (check,) = fastfid.gate(plain, f"classes/mean/fid > {mean!r}").checks
    assert (check.verdict, check.value, check.low) == (PASSED, mean, None)
    (check,) = fastfid.gate(classed, f"classes/mean/fid > {mean!r}").checks
    errors = np.array([score.certainty.standard_error for score in scores])
    assert check.verdict == UNSURE
    assert check.standard_error == pytest.approx(np.sqrt((errors**2).sum()) / 3, rel=1e-12)
    (check,) = fastfid.gate(classed, "classes/mean/fid.corrected > 1e9").checks
    assert check.value == pytest.approx(np.mean([score.certainty.corrected for score in scores]), rel=1e-12)
    few = {**classed.classes, "few": compared(*rows(0.5, n=12), certainty=True, metrics=["fid", "kid", "prdc"]).scores}
    (check,) = fastfid.gate(replace(classed, classes=few), "classes/mean/fid > 1e9").checks
    assert check.verdict == UNSURE
    assert "because of class few, the first side has 12 rows" in check.sentence


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("classes/bird/fid > 1", "there is no such class; the classes are a cat, dog, x.y"),
        ("classes/dog/is > 1", "is is not asked for"),
        ("classes/dog/fid.recall > 1", "fid has no recall"),
        ("classes//fid > 1", "the metric is missing, as in classes/cat/fid"),
        ("classes/dog > 1", "the metric is missing, as in classes/cat/fid"),
    ],
)
def test_classes_that_there_are_not(classed, text, said):
    with pytest.raises(fastfid.InputError, match=said):
        fastfid.gate(classed, text)
    with pytest.raises(fastfid.InputError, match="per_class=True|is not asked for|has no recall|is missing"):
        fastfid.gate(replace(classed, classes={}), text)


def test_names_of_classes_that_mean_several_things(classed):
    scores = classed.classes["dog"]
    twice = replace(classed, classes={"a.b": scores, "a-b": scores, "mean": scores})
    with pytest.raises(fastfid.InputError, match="means several classes; the classes are a.b, a-b"):
        fastfid.gate(twice, "classes/a_b/fid > 1")
    assert fastfid.gate(twice, "classes/a-b/fid > 1e9").passed
    with pytest.raises(fastfid.InputError, match="a class is called mean"):
        fastfid.gate(twice, "classes/mean/fid > 1")


# Baselines


@pytest.mark.parametrize("paired", [False, True])
def test_the_difference_is_that_of_a_ranking(paired):
    a, b, real = rows(0.5, 0.4)
    b = a - 0.1 if paired else b
    other = compared(a, real, baseline=b, paired=paired, metrics=["fid", "kid"]).baseline
    best, behind = fastfid.rank(real, a, b, features=True, paired=paired).standings
    assert behind.name.startswith("generator 1")
    assert (other.difference, other.standard_error) == (behind.difference, behind.difference_error)
    assert (other.low, other.high) == (behind.difference_low, behind.difference_high)
    assert other.fid == best.fid == pytest.approx(fastfid.score(b, real, features=True), rel=1e-12)
    assert (other.n, other.paired, other.reason) == (300, paired, "")


def test_the_level_is_that_of_the_limits():
    a, b, real = rows(0.5, 0.3)
    wide, usual = (compared(a, real, baseline=b, **options).baseline for options in ({"level": 0.99}, {}))
    assert (wide.high - wide.low) / (usual.high - usual.low) == pytest.approx(2.5758293 / 1.9599640, rel=1e-6)
    assert (wide.level, usual.level) == (0.99, 0.95)


def test_the_limits_of_the_difference_decide():
    a, b, real = rows(0.5, 0.3)
    result = compared(a, real, baseline=b)
    other = result.baseline
    for most, verdict in ((other.low - 1e-9, FAILED), (other.difference, UNSURE), (other.high + 1e-9, PASSED)):
        assert fastfid.gate(result, max_delta=most).verdict == verdict
    better = compared(b, real, baseline=a).baseline
    assert better.difference == pytest.approx(-other.difference, rel=1e-12)
    assert result.as_dict()["baseline"]["difference"] == other.difference
    for wrong in (nan, inf, "1", True):
        with pytest.raises(fastfid.InputError, match="max_delta must be a finite number"):
            fastfid.gate(result, max_delta=wrong)


def test_other_options_leave_the_score_as_it_is():
    a, b, real = rows(0.5, 0.3)
    alone, beside = compared(a, real, certainty=True), compared(a, real, certainty=True, baseline=b)
    assert alone.as_metrics() == beside.as_metrics()
    assert alone.baseline is None


def test_a_baseline_that_is_the_candidate_gets_a_hint():
    a, b, real = rows(0.5, 0.3)
    itself, other = compared(a, real, baseline=a.copy()), compared(a, real, baseline=b)
    assert [text for text in itself.warnings if text.startswith("baseline: ")] == [
        "baseline: the baseline (ndarray) has the very images of the first side (ndarray): they cannot differ"
    ]
    assert itself.baseline.difference == 0
    assert not any(text.startswith("baseline: ") for text in other.warnings)


def test_the_certainty_of_the_candidate_is_computed_once(monkeypatch):
    a, b, real = rows(0.5, 0.3)
    alone = compared(a, real, baseline=b).baseline, compared(a, real, certainty=True).certainty
    seen, plain = [], Pair.parts
    monkeypatch.setattr(Pair, "parts", lambda pair: seen.append(pair) or plain(pair))
    both = compared(a, real, baseline=b, certainty=True)
    assert len(seen) == 2
    assert both.baseline == alone[0]
    assert both.certainty.as_dict() == alone[1].as_dict()
    assert not any("parts" in name for name in both.as_dict()["certainty"])


def test_a_difference_that_cannot_be_known(tmp_path):
    a, b, real = rows(0.5, 0.3)
    a[:, 1] = b[:, 1] = real[:, 1] = 0
    result = compared(a, real, baseline=b)
    (check,) = fastfid.gate(result, max_delta=1).checks
    assert check.verdict == UNSURE
    assert "1 of the 5 dims" in result.baseline.reason
    assert "1 of the 5 dims" in check.sentence
    assert result.baseline.fid == pytest.approx(fastfid.score(b, real, features=True), rel=1e-12)


def test_a_baseline_that_cannot_be_told_is_refused_before_anything_is_read(images):
    (images / "b" / "039.png").unlink()
    for missing in range(25):
        (images / "b" / f"{missing:03}.png").unlink()
    with pytest.raises(
        fastfid.InputError, match="a baseline needs 30 images of each side, 3 for each dim, and b has 14"
    ):
        fastfid.compare("a", "real", baseline="b", model="own.onnx", progress=lambda *_: pytest.fail("it was read"))
    known = fastfid.statistics("a", model="own.onnx")
    with pytest.raises(fastfid.InputError, match="is statistics without them: save it with --with kid"):
        fastfid.compare("a", "real", baseline=known, model="own.onnx", progress=lambda *_: pytest.fail("it was read"))
    assert fastfid.compare("a", known, baseline="real", model="own.onnx").baseline.difference is not None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"paired": True}, "paired is about the baseline"),
        ({"baseline": "b", "metrics": ["kid"]}, "a baseline is about the FID, and the metrics are kid"),
        ({"baseline": "nowhere"}, "nowhere"),
        ({"baseline": "b", "paired": True}, "not paired: image 7 is 007.png in a, and 007b.png in b"),
    ],
)
def test_what_a_baseline_needs(images, options, said):
    (images / "b" / "007.png").rename(images / "b" / "007b.png")
    with pytest.raises(fastfid.InputError, match=said):
        fastfid.compare("a", "real", model="missing.onnx", **options)


def test_models_of_a_baseline_must_agree(images):
    stand_in("other.onnx", seed=1)
    other = fastfid.fit("b", model="other.onnx", metrics=["kid"])
    with pytest.raises(fastfid.StatisticsMismatch, match="model other.onnx"):
        fastfid.compare("a", "real", baseline=other, model="own.onnx")


def test_the_real_side_is_read_once_and_a_run_is_resumed(images):
    def run():
        seen = []
        found = fastfid.compare(
            "a",
            "real",
            baseline="b",
            paired=True,
            model="own.onnx",
            resume="pieces",
            progress=lambda done, total: seen.append((done, total)),
        )
        return found, sum(done == total for done, total in seen)

    first, times = run()
    assert times == 3
    assert run()[0].baseline == first.baseline
    assert first.baseline.paired


# Flat numbers


def test_flat_numbers(sure):
    found = sure.as_metrics()
    assert all(type(value) is float for value in found.values())
    assert found["fid"] == sure.fid
    assert found["fid_low"] == sure.certainty.low
    assert found["kid_standard_error"] == sure.scores["kid"].certainty.standard_error
    assert found["prdc_recall"] == sure.scores["prdc"].parts["recall"]
    assert not any("rank" in name or "interval" in name or "influence" in name for name in found)


def test_names_that_trackers_refuse_are_changed_and_stay_apart(result):
    scores = {
        "a b": fastfid.Score(1.0),
        "a-b": fastfid.Score(2.0),
        "1\u00e9": fastfid.Score(3.0),
        "": fastfid.Score(nan),
        "classes": fastfid.Score(4.0),
    }
    found = replace(result, scores=scores, classes={"../x\n": scores, "x/y": {"fid": fastfid.Score(4.0)}}).as_metrics()
    assert list(found)[:5] == ["a_b", "a_b_2", "_1_", "_", "classes_2"]
    assert found["classes/___x_/a_b_2"] == 2.0
    assert found["classes/x_y/fid"] == 4.0
    assert len(found) == 11
    for name in found:  # a tracker that keeps each in a file of its own must not need a folder of the same name
        assert not any(other.startswith(f"{name}/") for other in found)


# The command


@pytest.fixture
def images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stand_in("own.onnx")
    for name, seed, low in (("real", 0, 0), ("a", 1, 0), ("b", 2, 20)):
        folder(tmp_path / name, pictures(40, 8, seed, low))
    return tmp_path


COMMAND = ["a", "real", "--model", "own.onnx", "--quiet"]


def status(*flags):
    try:
        return main([*COMMAND, *flags])
    except SystemExit as exit_:
        return exit_.code


def test_exit_codes(images, capsys):
    assert status("--fail-above", "1e6") == 0
    assert status("--fail-above", "0") == 3
    assert status("--fail-outside", "1e6:2e6") == 3
    assert status("--metrics", "fid,kid", "--fail-if", "kid>-9", "--fail-if", "fid>1e6") == 3
    capsys.readouterr()
    assert status("--fail-above", "0", "--json") == 3
    out, err = capsys.readouterr()
    value = json.loads(out)
    assert value["gate"]["verdict"] == FAILED
    assert f"fastfid: failed: fid {value['fid']!r}; fails if fid > 0\n" in err
    assert status("--certainty", "--fail-above", repr(value["fid"])) == 4
    out, err = capsys.readouterr()
    assert out.endswith(f"FID:  {value['fid']!r}\n")
    assert "fastfid: inconclusive: fid " in err


def test_the_command_with_a_baseline(images, capsys):
    assert status("--baseline", "b", "--paired") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("baseline b: FID ")
    assert "(standard error, paired)" in out[1]
    assert status("--baseline", "b", "--max-delta", "1e6") == 0
    assert status("--baseline", "b", "--max-delta", "-1e6") == 3
    difference = fastfid.compare("a", "real", baseline="b", model="own.onnx").baseline.difference
    assert status("--baseline", "b", f"--max-delta={difference!r}") == 4


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--fail-above", "x"], "is no condition"),
        (["--fail-outside", "2:1"], "the lower bound comes first"),
        (["--fail-if", "fid"], "a shell needs the quotes"),
        (["--fail-if", "kid>1"], "kid is not asked for; the metrics are fid"),
        (["--fail-if", "fid.low>1"], "low needs --certainty"),
        (["--max-delta", "1"], "--max-delta is about --baseline"),
        (["--baseline", "b", "--max-delta", "nan"], "max_delta must be a finite number"),
        (["--baseline", "b", "--max-delta", "x"], "must be a number"),
        (["--junit", "o.xml"], "--junit reports conditions"),
        (["--junit", "o", "--append", "./o", "--fail-above", "1"], "write a file each: give them different names"),
        (["--note", "x"], "--note says what --append calls the run"),
        (["--save-stats", "--fail-above", "1"], "has no effect with --save-stats"),
        (["--save-stats", "--append", "h.jsonl"], "--append has no effect with --save-stats"),
        (["--protocol", "cmmd", "--fail-above", "1"], "fid is not asked for; the metrics are cmmd"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_read(images, capsys, flags, said):
    (images / "own.onnx").unlink()
    assert status(*flags) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags",
    [
        ["--paired"],
        ["--level", "0.9"],
        ["--no-thumbnails"],
        ["--metrics", "fid,fid"],
        ["--metrics", "kid", "--baseline", "b"],
        ["--metrics", "is", "--method", "schur"],
        ["--protocol", "adm", "--mode", "clean"],
        ["--protocol", "adm", "--certainty"],
        ["--reference", "b"],
        ["--engine-options", '{"workers": 2}', "--engine", "local"],
        ["--engine", "local", "--device", "cpu,cpu"],
        ["--fail-if", "classes/cat/fid>1"],
        ["--fail-if", "classes/worst/fod>1", "--per-class"],
    ],
)
def test_options_that_do_not_fit_end_with_2(images, flags, capsys):
    assert status(*flags) == 2
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize(("index", "of"), [("2", "2"), ("-1", "2"), ("0", "0")])
def test_a_part_that_there_is_not(images, capsys, index, of):
    with pytest.raises(SystemExit) as raised:
        main(["shard", "a", "parts", f"--index={index}", f"--of={of}"])
    assert raised.value.code == 2
    assert "parts have the numbers 0 to N-1" in capsys.readouterr().err


# A protocol with bounds


def test_the_bounds_of_mlperf():
    """submission_checker.py of mlcommons/inference accepts 23.48046692 ± 2 %."""
    low, high = PROTOCOLS["mlperf-sdxl"].bounds["fid"]
    assert (low, high) == pytest.approx((23.48046692 * 0.98, 23.48046692 * 1.02), abs=5e-9)


@pytest.mark.parametrize(("value", "code"), [(23.48, 0), (23.01085758, 0), (23.01085757, 3), (23.95007627, 3)])
def test_a_protocol_is_a_gate_of_its_own(result, tmp_path, monkeypatch, capsys, value, code):
    scores = {"fid": replace(result.scores["fid"], value=value)}
    found = replace(result, scores=scores, protocol=PROTOCOLS["mlperf-sdxl"])
    assert fastfid.gate(found).passed == (code == 0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fastfid.compare", lambda *_, **options: found)
    assert main(["log.json", "val.npz", "--protocol", "mlperf-sdxl", "--junit", "o.xml"]) == code
    assert capsys.readouterr().out.startswith(f"FID_SCORE: {value}\n")
    assert ET.parse("o.xml").getroot()[0][0].attrib["name"] == "fid outside 23.01085758:23.95007626"
    assert main(["log.json", "val.npz", "--protocol", "mlperf-sdxl", "--fail-above", "1"]) == 3


# JUnit


def test_the_report_of_a_gate(images):
    flags = ["--metrics", "fid,kid", "--certainty", "--junit", "out.xml"]
    value = fastfid.score("a", "real", model="own.onnx")
    conditions = ["fid>1e6", "kid>-9", f"fid>{value!r}"]
    assert status(*flags, *(word for text in conditions for word in ("--fail-if", text))) == 3
    suites = ET.parse("out.xml").getroot()
    (suite,) = suites
    assert (suites.tag, suite.tag) == ("testsuites", "testsuite")
    counts = {name: suite.attrib[name] for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "3", "failures": "1", "errors": "0", "skipped": "1"}
    assert [case.attrib["name"] for case in suite] == conditions
    assert [case.attrib["classname"] for case in suite] == ["a real"] * 3
    assert [case[0].tag for case in suite] == ["system-out", "failure", "skipped"]
    assert suite[1][0].attrib["message"].startswith("failed: kid ")
    assert all(float(case.attrib["time"]) >= 0 for case in suite)


def test_each_case_has_the_warnings():
    checks = [fastfid.Check("fid > 1", verdict, f"{verdict}: x", 1.0) for verdict in (PASSED, FAILED, UNSURE)]
    warnings = ("duplicates: <a>", "second\x1b")
    content = report(fastfid.Gate(tuple(checks)), [], "a b", 3600.5, TIME, warnings=warnings)
    (suite,) = ET.fromstring(content)
    assert [case[0].text for case in suite] == [
        f"{check.sentence}\nwarning: duplicates: <a>\nwarning: second\ufffd" for check in checks
    ]
    assert suite[1][0].attrib["message"] == "failed: x"


def test_a_report_has_the_form_of_the_schema_of_jenkins():
    """xunit-plugin's junit-10.xsd: attributes and elements, and what may be in them."""
    check = fastfid.Check("fid > 1", FAILED, "failed: x", 1.0)
    counts = {"name", "tests", "failures", "errors", "time"}
    allowed = {
        "testsuites": (counts, {"testsuite"}),
        "testsuite": (counts | {"skipped", "timestamp"}, {"testcase"}),
        "testcase": ({"name", "classname", "time"}, {"failure", "error", "skipped", "system-out"}),
        **dict.fromkeys(("failure", "error", "skipped"), ({"message", "type"}, set())),
        "system-out": (set(), set()),
    }
    every = [replace(check, verdict=verdict) for verdict in (PASSED, FAILED, UNSURE)]
    for content in (
        report(fastfid.Gate(tuple(every)), [], "a", 1.0, TIME, warnings=["x"]),
        report(None, ["fid > 1"], "a", 1e6, TIME, error="broken"),
    ):
        for element in ET.fromstring(content).iter():
            attributes, inside = allowed[element.tag]
            assert element.attrib.keys() <= attributes
            assert {child.tag for child in element} <= inside


def test_a_report_replaces_only_a_report(images, capsys):
    (images / "out.xml").write_text("mine")
    assert status("--fail-above", "1e9", "--junit", "out.xml") == 1
    assert "out.xml exists and is no JUnit report of fastfid" in capsys.readouterr().err
    assert (images / "out.xml").read_text() == "mine"


def test_no_report_of_an_earlier_run_is_left_after_wrong_usage(images):
    assert status("--fail-above", "1e9", "--junit", "out.xml") == 0
    assert status("--fail-if", "kid>1", "--junit", "out.xml") == 2
    assert not (images / "out.xml").exists()


def test_a_report_of_a_comparison_does_not_change_the_verdict():
    a, b = np.random.RandomState(0).standard_normal((2, 200, 3))
    a += 0.5
    plain, sure = (fastfid.compare(a, b, features=True, **how) for how in ({"report": True}, {"certainty": True}))
    bound = f"fid > {plain.fid + 1e-9!r}"
    assert fastfid.gate(plain, bound).checks[0].standard_error is None
    assert [bool(fastfid.gate(one, bound)) for one in (plain, sure)] == [True, False]
    assert fastfid.gate(sure, bound).verdict == UNSURE
    assert fastfid.gate(plain, bound.upper()).passed


def test_a_number_is_shown_and_reported_even_if_a_condition_cannot_be_checked(images, capsys):
    for name in ("real", "a"):
        for i in range(40):
            target = images / name / ("cat" if i < 20 else "dog")
            target.mkdir(exist_ok=True)
            (images / name / f"{i:03}.png").rename(target / f"{i:03}.png")
    assert status("--per-class", "--fail-if", "classes/cat/fid>1e6", "--fail-if", "classes/worst/fid>1e6") == 0
    capsys.readouterr()
    assert status("--per-class", "--fail-if", "classes/bird/fid>1", "--junit", "out.xml") == 2
    out, err = capsys.readouterr()
    assert "FID:  " in out
    assert "there is no such class; the classes are cat, dog" in err
    assert ET.parse("out.xml").getroot()[0][0][0].tag == "error"


def test_the_verdict_is_on_the_report(images, result):
    assert status("--report", "out.html", "--no-thumbnails", "--fail-above", "0") == 3
    page = (images / "out.html").read_text()
    assert "Gate: <strong>failed</strong>" in page
    assert "; fails if fid &gt; 0</li>" in page
    assert status("--report", "out.html", "--no-thumbnails") == 0
    assert "Gate:" not in (images / "out.html").read_text()
    for text, verdict in (("fid > 1e9", PASSED), ("fid > 0", FAILED)):
        assert f"<strong>{verdict}</strong>" in result.to_html(gate=fastfid.gate(result, text))


def test_an_error_of_the_run_is_in_the_report(images):
    assert status("--fail-above", "1e9", "--junit", "out.xml") == 0
    (images / "real" / "000.png").write_bytes(b"no image")
    assert status("--fail-above", "1", "--junit", "out.xml") == 1
    (suite,) = ET.parse("out.xml").getroot()
    assert (suite.attrib["errors"], suite.attrib["tests"]) == ("1", "1")
    assert "000.png" in suite[0][0].attrib["message"]
    assert suite[0][0].tag == "error"


@pytest.mark.parametrize("target", ["a", "missing/out.xml"])
def test_a_report_that_cannot_be_written_is_told_first(images, capsys, target):
    (images / "own.onnx").unlink()
    assert status("--fail-above", "1", "--junit", target) == 1
    assert "cannot write" in capsys.readouterr().err


def test_a_result_is_printed_even_if_it_cannot_be_kept(images, capsys, monkeypatch):
    def full(*_):
        raise fastfid.InputError("no space left")

    monkeypatch.setattr("fastfid.cli.gate.write", full)
    assert status("--fail-above", "1", "--junit", "out.xml") == 1
    out, err = capsys.readouterr()
    assert out.startswith("FID:  ")
    assert "no space left" in err


def test_hostile_names_in_a_report():
    name = "a\x00<b>\x1b[2J&\"'\ud800\ufffe\n]]>"
    check = fastfid.Check(name, FAILED, name, 1.0)
    content = report(fastfid.Gate((check,)), [name], name, 1.5, TIME)
    (suite,) = ET.fromstring(content)
    case = suite[0]
    assert "<b>" in case.attrib["name"]
    assert not set(case.attrib["name"]) & {"\x00", "\x1b", "\ufffe"}
    assert suite.attrib["timestamp"] == "2026-01-02T00:00:00"


def test_conditions_know_where_a_value_is():
    condition = Condition.of("fid outside 1:2")
    assert [condition.side(value) for value in (0.5, 1, 1.5, 2, 2.5)] == [-1, 0, 0, 0, 1]
