"""Plans: what they predict against simulation, what they refuse, and the command."""

import json
import sys

import numpy as np
import pytest

import fastfid
from fastfid.cli.main import main
from fastfid.metrics import same_population
from fastfid.metrics.feature_blocks import Given
from fastfid.metrics.fid_certainty import Pair
from fastfid.metrics.fid_growth import Growth
from fastfid.metrics.inception_noise import RuleOfThumb
from fastfid.metrics.moments import Statistics
from pictures import folder, pictures
from stand_in import stand_in

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")
D = 6
distance = fastfid.frechet_distance_from_features


def sets(n=200, m=None, shift=0.4, scale=1.2, seed=0):
    rng = np.random.RandomState(seed)
    return rng.standard_normal((n, D)) * scale + shift, rng.standard_normal((m or n, D))


def planned(*sides, **options):
    return fastfid.plan(*sides, features=True, **options)


def growth_of(a, b):
    pair = Pair(Given.of(a, "a"), Given.of(b, "b"))
    return Growth.of(pair, pair.parts())


# Against simulation


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.4, 1.2)])
def test_prediction_is_what_then_happens(shift, scale, monkeypatch):
    monkeypatch.setattr(same_population, "_DRAWS", 512)
    pilots = [growth_of(*sets(60, 90, shift, scale, seed)) for seed in range(60)]
    for n, m in ((60, 90), (150, 150), (40, 400)):
        fids = [distance(*sets(n, m, shift, scale, 1000 + seed)) for seed in range(400)]
        predicted = np.mean([one.distance + one.bias(n, m) for one in pilots])
        noise = np.mean([one.variance(n, m) for one in pilots]) ** 0.5
        own = np.std([one.distance for one in pilots]) / 60**0.5 + np.std(fids) / 20
        assert predicted == pytest.approx(np.mean(fids), abs=3 * own)
        ratio = noise / np.std(fids, ddof=1)
        assert 0.85 < ratio < (1.15 if shift else 2)  # near "same population", a pilot cannot tell the parts apart


def test_each_side_has_its_own_part_of_the_noise(monkeypatch):
    monkeypatch.setattr(same_population, "_DRAWS", 512)
    shift, scale = 0.25, 1.1
    pilots = [growth_of(*sets(30, 300, shift, scale, seed)) for seed in range(60)]
    # Of one dim, the map between the two normal distributions is x -> x / scale, so the influence is known.
    few, many = (D * (4 * shift**2 * s + 2 * (1 - t) ** 2 * s**2) for s, t in ((scale**2, 1 / scale), (1.0, scale)))
    first = np.mean([one.first for one in pilots], axis=0)
    assert first[1] == pytest.approx(many, rel=0.3)
    assert few < first[0] < 2 * few  # five rows for each dim are few


def test_growth_is_that_of_the_pilot_at_its_own_size():
    a, b = sets(60, 90)
    sure, growth = fastfid.certainty(a, b), growth_of(a, b)
    assert growth.variance(60, 90) == pytest.approx(sure.standard_error**2, rel=1e-9)
    assert growth.bias(60, 90) == pytest.approx(sure.bias, rel=1e-9)
    assert growth.distance == pytest.approx(sure.corrected, rel=1e-9)
    scaled = growth_of(1024 * a, 1024 * b)
    assert scaled.variance(500, 600) == pytest.approx(2.0**40 * growth.variance(500, 600), rel=1e-9)
    assert scaled.bias(500, 600) == pytest.approx(2.0**20 * growth.bias(500, 600), rel=1e-9)


def test_the_number_is_the_least_that_suffices():
    a, b = sets()
    growth = growth_of(*(rows.astype(np.float32) for rows in (a, b)))
    result = planned(a, b, sd=0.05)
    assert growth.variance(result.n, result.n) <= 0.05**2 < growth.variance(result.n - 1, result.n - 1)
    half = planned(a, b, half_width=0.05 * 1.959964)
    assert half.n == pytest.approx(result.n, rel=1e-4)
    assert half.standard_deviation == pytest.approx(0.05, rel=1e-6)
    other = planned(a, b, sd=0.06, reference=3000)
    assert growth.variance(other.n, 3000) <= 0.06**2 < growth.variance(other.n - 1, 3000)
    assert other.readings[0].m == 3000


def test_a_reference_that_is_too_small():
    result = planned(*sets(), sd=0.01, reference=500)
    assert result.n is None
    assert "the real images alone leave a standard deviation of 0.0" in result.reason
    assert "No number of images gives" in result.conclusion[1]


def test_a_fixed_side():
    a, b = sets()
    known = Statistics(D).update(b)
    result = planned(a, known, sd=0.05)
    assert {reading.m for reading in result.readings} == {None}
    assert result.n < planned(a, b, sd=0.05).n
    assert "exact" in result.table()
    assert f"{result.readings[0].n}" in result.table()
    assert "real images; the generated side" in planned(known, a, sd=0.05).conclusion[1]
    with pytest.raises(fastfid.InputError, match="counts as exactly known: leave reference=100 out"):
        planned(a, known, reference=100)
    with pytest.raises(fastfid.InputError, match="both sides are statistics"):
        planned(known, known, sd=0.05)


def test_few_images_are_measured_on_subsets_of_the_pilot(monkeypatch):
    monkeypatch.setattr(sys.modules["fastfid.plan"], "SIZES", (8, 12, 100))
    a, b = (rows.astype(np.float32) for rows in sets(60, 50))
    result = planned(a, b)
    few, more, many = result.readings
    expected = np.mean([distance(*sets(8, 8, seed=1000 + seed)) for seed in range(500)])
    assert few.fid == pytest.approx(expected, rel=0.35)  # of four subsets
    assert few.fid > more.fid > many.fid
    assert many.fid == pytest.approx(result.fid + growth_of(a, b).bias(100, 100), rel=1e-9)
    drawn = [np.random.RandomState(0).permutation(n) for n in (60, 50)]
    chosen = [[np.sort(order[12 * i : 12 * i + 12]) for order in drawn] for i in range(4)]
    assert more.fid == pytest.approx(np.mean([distance(a[one], b[other]) for one, other in chosen]), rel=1e-9)
    whole = planned(a, b, reference=50).readings[0]
    halves = [distance(a[np.sort(drawn[0][8 * i : 8 * i + 8])], b) for i in range(4)]
    assert whole.fid == pytest.approx(np.mean(halves), rel=1e-9)
    more, growth = planned(a, b, reference=700).readings[0], growth_of(a, b)
    assert more.fid == pytest.approx(np.mean(halves) + growth.bias(8, 700) - growth.bias(8, 50), rel=1e-9)


# The record and what is refused


def test_record():
    a, b = sets()
    result = planned(a, b)
    assert (result.n, result.standard_deviation, result.reason) == (None, None, "")
    assert result.standard_error == pytest.approx(fastfid.certainty(a, b).standard_error, rel=1e-5)
    assert [reading.n for reading in result.readings] == [1000, 2000, 5000, 10_000, 50_000]
    assert result.citation.endswith("pilot of 200 images and 200 images; 6 dims")
    told = json.loads(json.dumps(planned(a, b, half_width=0.1, level=0.9).as_dict()))
    assert (told["half_width"], told["level"], told["a"]["n"]) == (0.1, 0.9, 200)
    assert "90 % limits of ± 0.1" in told["conclusion"][1]
    few = planned(a, b, sd=1.2)
    assert few.n < 18
    assert "Use at least 18" in few.conclusion[2]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"sd": 1, "half_width": 1}, "sd or half_width, not both"),
        ({"sd": 0}, "sd must be a number above 0, got 0"),
        ({"half_width": "1"}, "half_width must be a number above 0"),
        ({"level": 95}, "level must be a number between 0.5 and 0.9999"),
        ({"reference": 1}, "reference must be at least 2"),
        ({"level": 0.9}, "level=0.9 is the confidence level of half_width: give half_width as well"),
        ({"level": 0.95, "sd": 1}, "level=0.95 is the confidence level of half_width"),
        ({"fid": 3}, "give two sets of images as a pilot, or fid"),
        ({"metrics": ["kid"]}, "plan does not take metrics"),
    ],
)
def test_bad_arguments(arguments, text):
    with pytest.raises(fastfid.InputError, match=text):
        planned(*sets(), **arguments)


def test_other_bad_input():
    a, b = sets()
    for sides in ((), (a,), (None, b)):
        with pytest.raises(fastfid.InputError, match="give two sets of images as a pilot"):
            planned(*sides)
    with pytest.raises(fastfid.InputError, match=r"no plan from this pilot: .* has 10 rows of 6 dims.*rule of thumb"):
        planned(a[:10], b)
    with pytest.raises(fastfid.InputError, match="limit is about the images of a pilot"):
        fastfid.plan(fid=3, limit=5)
    with pytest.raises(fastfid.InputError, match="fid must be a number above 0, got -3"):
        fastfid.plan(fid=-3)


def test_the_same_set_twice_is_no_pilot(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    a, b = sets()
    np.save("a.npy", a)
    with pytest.raises(fastfid.InputError, match=r"a\.npy has the very images of \./a\.npy, and a pilot needs two"):
        planned("a.npy", "./a.npy", sd=1)
    with pytest.raises(fastfid.InputError, match="has the very images of"):
        planned(b, b.copy(), sd=1)
    with pytest.raises(fastfid.InputError, match=r"none\.npy has the very images"):  # before it is read
        planned("none.npy", "none.npy", sd=1)
    assert planned(a, b, sd=1).n


def test_features_that_are_too_large():
    with pytest.raises(fastfid.InputError, match="too large for float64"):
        growth_of(*(1e100 * rows for rows in sets()))


# The rule of thumb


def test_the_rule_of_thumb():
    result = fastfid.plan(fid=3, sd=0.1)
    assert result.rule_of_thumb
    assert result.readings[-1].fid == pytest.approx(3)
    rule = RuleOfThumb.of(3)
    assert rule.variance(result.n, result.n) <= 0.01 < rule.variance(result.n - 1, result.n - 1)
    fids = [reading.fid for reading in result.readings]
    assert fids == sorted(fids, reverse=True)
    assert fids[0] > 30  # the known trap: a FID of 1,000 images
    assert any("rule of thumb" in line for line in result.conclusion)
    assert fastfid.plan(fid=3, sd=0.1, reference=50_000).n < result.n
    for bad, text in ((0.1, "from one source have a FID of 0.84, so 0.1 is too small"), (1e9, "at most 1e.06")):
        with pytest.raises(fastfid.InputError, match=text):
            fastfid.plan(fid=bad)
    with pytest.raises(fastfid.InputError, match="must be at most 1e.06"):
        fastfid.plan(fid=3, sd=1e300)
    assert fastfid.plan(fid=1e6, sd=1e-9).reason == "it would take more than a million million images"
    biases = [rule.bias(n, n) * n for n in (1e5, 1e6)]
    assert biases[0] == pytest.approx(biases[1])  # beyond the table in proportion


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    stand_in("own.onnx")
    for name, seed in (("real", 0), ("made", 1)):
        folder(tmp_path / name, pictures(40, 8, seed))
    command = ["plan", "made", "real", "--model", "own.onnx", "--quiet", "--half-width", "0.1", "--reference", "500"]
    assert main(command) == 0
    result = fastfid.plan("made", "real", model="own.onnx", half_width=0.1, reference=500)
    out = capsys.readouterr().out.splitlines()
    assert out == [*result.table().splitlines(), *result.conclusion, result.citation]
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n"] == result.n
    assert main(["plan", "--fid", "3", "--sd", ".1"]) == 0
    assert "rule of thumb" in capsys.readouterr().out
    for typed, text in (
        (["made"], "not 1 paths"),
        (["--fid", "x"], "must be a number"),
        (["--fid", "3", "--sd", "x"], ""),
    ):
        with pytest.raises(SystemExit):
            main(["plan", *typed])
        assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "text", "status"),
    [
        (
            ["--fid", "3", "--level", ".9"],
            "--level 0.9 is the confidence level of --half-width: give",
            2,
        ),
        (["--sd", "1", "--half-width", "2"], "give --sd or --half-width, not both", 2),
        (["--half-width", "-1"], "--half-width must be a number above 0", 2),
        (["--fid", "3", "--reference", "1"], "--reference must be at least 2", 2),
        (["--fid", "3", "--batch-size", "8"], "--batch-size is about the images of a pilot, and --fid takes none", 2),
        ([], "or --fid alone for a rule of thumb", 2),
        (["few.npy", "real.npy", "--features"], "--fid alone gives a rule of thumb", 1),
        (["real.npy", "known.npz", "--features", "--reference", "50"], "leave --reference 50 out", 1),
    ],
)
def test_errors_of_the_command_name_its_flags(tmp_path, monkeypatch, capsys, typed, text, status):
    monkeypatch.chdir(tmp_path)
    few, real = sets(10, 100)
    np.save("few.npy", few)
    np.save("real.npy", real)
    Statistics(D).update(real).save("known.npz")
    try:
        found = main(["plan", *typed])
    except SystemExit as exit_:
        found = exit_.code
    assert found == status
    err = capsys.readouterr().err
    assert text in err
    assert "=" not in err.splitlines()[-1]


def test_a_plan_is_printed_as_the_command_prints_it():
    result = fastfid.plan(fid=3, sd=0.1)
    assert str(result).splitlines() == [*result.table().splitlines(), *result.conclusion, result.citation]
