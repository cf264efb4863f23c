"""Rankings: differences of FIDs against simulation, verdicts, pairs, and the command."""

import json
import warnings
from dataclasses import asdict

import numpy as np
import pytest

import fastfid
from fastfid.cli.main import main
from fastfid.metrics import fid_difference, same_population
from fastfid.metrics.feature_blocks import Given
from fastfid.metrics.fid_certainty import Pair
from fastfid.metrics.fid_difference import Difference, Measured, images_to_tell
from fastfid.metrics.moments import Statistics
from fastfid.ranking import Ranking, Standing
from pictures import folder, pictures
from stand_in import stand_in

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")
D = 6


def sets(*shifts, n=200, seed=0):
    """Return real rows, and those of a generator for each shift."""
    rng = np.random.RandomState(seed)
    return rng.standard_normal((n, D)), *(rng.standard_normal((n, D)) + shift for shift in shifts)


def ranked(*sides, **options):
    return fastfid.rank(*sides, features=True, **options)


def measured(real, *generators, paired=False):
    return [Measured.of(Given.of(rows, "g"), Given.of(real, "r"), paired=paired) for rows in generators]


# The difference


def jackknife(of, *sides):
    """Return the jackknife variance of a function of some sides, from its values without each row."""
    total = 0.0
    for i, rows in enumerate(sides):
        values = [of(*sides[:i], np.delete(rows, row, 0), *sides[i + 1 :]) for row in range(len(rows))]
        total += (len(rows) - 1) ** 2 / len(rows) * np.var(values, ddof=1)
    return total


def difference_of_fids(a, b, real):
    return fastfid.frechet_distance_from_features(a, real) - fastfid.frechet_distance_from_features(b, real)


@pytest.mark.parametrize("paired", [False, True])
def test_the_jackknife_half_is_that_of_the_difference_itself(paired):
    real, a, b = sets(1.0, 1.4, n=40)
    b = b + a if paired else b
    found = Difference.of(*measured(real, a, b, paired=paired), paired=paired)
    if paired:  # both images of a seed are left out together
        both = np.stack([a, b], axis=1)
        wanted = jackknife(lambda ab, r: difference_of_fids(ab[:, 0], ab[:, 1], r), both, real)
    else:
        wanted = jackknife(difference_of_fids, a, b, real)
    pairs = [Pair(Given.of(rows, "g"), Given.of(real, "r")).parts() for rows in (a, b)]
    unit = [4.0**parts.exponent for parts in pairs]
    held = [[v.held_out * u for v in parts.values] for parts, u in zip(pairs, unit, strict=True)]
    own = [held[0][0] - held[1][0]] if paired else [held[0][0], held[1][0]]
    by_influence = sum(v.var(ddof=1) / 40 for v in (*own, held[0][1] - held[1][1]))
    gauged = 2 * np.mean([parts.inflation for parts in pairs]) ** 0.25
    assert found.first + gauged * found.second == pytest.approx((wanted + by_influence) / 2, rel=1e-6)


@pytest.fixture
def quick(monkeypatch):
    """Draw fewer pairs of rows, for simulations."""
    monkeypatch.setattr(same_population, "_DRAWS", 512)
    monkeypatch.setattr(fid_difference, "_DRAWS", 1024)


def simulated(draw, paired=False, count=100):
    """Return claimed over true deviation of the difference, and its mean in true deviations."""
    found = []
    for seed in range(count):
        found.append(Difference.of(*measured(*draw(np.random.RandomState(seed)), paired=paired), paired=paired))
    values = [each.value for each in found]
    deviation = np.std(values, ddof=1)
    return np.mean([each.error**2 for each in found]) ** 0.5 / deviation, np.mean(values) / deviation


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("apart", [0.0, 0.5])
def test_claimed_deviation_of_the_difference_is_the_true_one(paired, apart, quick):
    def draw(rng):
        real, base, a, b = rng.standard_normal((4, 90, D))
        if paired:
            a, b = base + 0.4 * a, base + 0.4 * b
        return real, a + apart, b + apart

    ratio, mean = simulated(draw, paired)
    assert ratio == pytest.approx(1, abs=0.2)  # of which the simulation's own error is 0.07
    assert abs(mean) < 0.35  # 0.1


def test_pairs_and_the_shared_reference_make_the_difference_surer():
    real, base = sets(0.0)
    a, b = base + 0.5, base * 1.1 + 0.5
    alone = sum(fastfid.certainty(rows, real).standard_error ** 2 for rows in (a, b)) ** 0.5
    unpaired, paired = (Difference.of(*measured(real, a, b, paired=p), paired=p) for p in (False, True))
    assert unpaired.value == paired.value
    assert paired.error < 0.5 * unpaired.error < 0.5 * alone


def test_a_generator_and_itself():
    real, a = sets(0.5)
    same = Difference.of(*measured(real, a, a, paired=True), paired=True)
    assert (same.value, same.error) == (0, pytest.approx(0, abs=1e-9))
    assert images_to_tell(same, 2.0, 200) is None


@pytest.mark.parametrize("scale", [2.0**-200, 2.0**200])
def test_scales(scale):
    real, a, b = sets(0.5, 0.7)
    found = Difference.of(*measured(real, a, b), paired=False)
    other = Difference.of(*measured(scale * real, scale * a, scale * b), paired=False)
    assert other.value == pytest.approx(scale**2 * found.value, rel=1e-12)
    mixed = measured(real, a)[0], measured(real, 64 * b)[0]
    assert Difference.of(*mixed, paired=False).value == pytest.approx(mixed_value(real, a, 64 * b), rel=1e-9)


def mixed_value(real, a, b):
    return fastfid.certainty(a, real).corrected - fastfid.certainty(b, real).corrected


def test_images_to_tell_gives_a_chance_of_80_percent():
    difference = Difference(0.3, 0.02, 0.004)
    n = images_to_tell(difference, 1.96, 1000)
    t = n / 1000
    error = (difference.first / t + difference.second / t**2) ** 0.5
    assert (difference.value / error - 1.96) == pytest.approx(0.8416, abs=0.01)
    assert images_to_tell(Difference(0.4, 0.02, 0.004), 1.96, 1000) is None  # told already
    assert images_to_tell(Difference(1e-5, 0.02, 0.0), 1.96, 1000) is None  # 8e11


def test_a_small_difference_takes_more_images_than_its_second_order_part_says():
    hidden = Difference(0.002, 0.0, 0.0006)
    assert hidden.growth_to_tell(1.96) > 1.05 * (0.0006**0.5 / (0.002 / (1.96 + 0.8416)))


def test_so_many_images_tell(quick):
    def drawn(n, seed):
        real, a, b = sets(0.5, 0.6, n=n, seed=seed)
        return Difference.of(*measured(real, b, a), paired=False)

    pilots = [drawn(50, 1000 + seed) for seed in range(20)]
    first, second = (np.mean([getattr(one, name) for one in pilots]) for name in ("first", "second"))
    n = images_to_tell(Difference(D * (0.6**2 - 0.5**2), first, second), 1.959964, 50)
    found = [drawn(n, seed) for seed in range(60)]
    told = np.mean([one.value > 1.959964 * one.error for one in found])
    assert 100 < n < 1000
    assert told == pytest.approx(0.8, abs=0.16)  # three standard errors


def test_very_unequal_sets():
    real, generated = sets(0.3, n=400)
    for seed in range(12):  # new labels often give a side none of the rows of the smaller set
        few = sets(0.3, n=31, seed=seed)[1]
        assert fastfid.certainty(few, real).reason in ("", "a covariance is singular without one row")
        assert ranked(real, generated, few).best.n in (31, 400)


# Verdicts


def test_standings_are_sorted_by_corrected_fid_and_judged():
    real, far, near, mid = sets(1.0, 0.2, 0.5, n=400)
    result = ranked(real, far, near, mid)
    assert [one.name.split()[1] for one in result.standings] == ["2", "3", "1"]
    assert [one.verdict for one in result.standings] == ["best", "worse", "worse"]
    assert [one.images_to_tell for one in result.standings] == [None] * 3
    best, *others = result.standings
    assert (best.difference, best.difference_low) == (0, None)
    for one, rows in zip(result.standings, (near, mid, far), strict=True):
        sure = fastfid.certainty(rows, real)
        for name in ("fid", "corrected", "bias", "standard_error", "low", "high"):
            assert getattr(one, name) == pytest.approx(getattr(sure, name), rel=1e-6)  # its rows are float32
        assert one.corrected == pytest.approx(one.fid - one.bias)
    for one in others:
        assert one.difference == pytest.approx(one.corrected - best.corrected)
        z = (one.difference_high - one.difference) / one.difference_error
        assert z == pytest.approx(2.2414, abs=1e-4)  # two comparisons at 5 %: 97.5 %
    assert "is better than all others" in result.conclusion[0]


def test_raw_fids_of_different_numbers_of_images_are_not_compared():
    real, better, worse = sets(0.0, 0.15, n=2000)
    result = ranked(real, better[:60], worse)
    few, many = sorted(result.standings, key=lambda one: one.n)
    assert few.fid > many.fid
    assert result.best is few


def test_equal_generators_are_seldom_called_worse(quick):
    verdicts = []
    for seed in range(50):
        result = ranked(*sets(*[0.3] * 3, n=100, seed=seed), paired=False)
        first = next(one for one in result.standings if one.name.startswith("generator 1"))
        verdicts.append(first.verdict == "worse")
    assert np.mean(verdicts) <= 0.05 + 2 * (0.05 * 0.95 / 50) ** 0.5


def test_cannot_tell():
    result = ranked(*sets(0.3, 0.3, 2.0))
    assert [one.verdict for one in result.standings] == ["lowest", "cannot tell", "worse"]
    assert "cannot be told from" in result.conclusion[0]
    assert "Worse than" in result.conclusion[1]
    assert result.standings[1].images_to_tell > 200


def test_a_fixed_reference():
    real, a, b = sets(0.5, 0.7)
    result = fastfid.rank(
        Statistics(D).update(real), *(fastfid.fit(rows, features=True, metrics=["kid"]) for rows in (a, b))
    )
    assert result.fixed
    assert "counts as exactly known" in result.conclusion[-1]
    assert "exact statistics" in result.citation
    free = ranked(real, a, b)
    assert result.standings[1].difference_error < free.standings[1].difference_error


def test_what_has_no_certainty_is_listed_with_its_fid_and_the_reason():
    real, a, b, c = sets(0.5, 1.5, 0.1)
    result = fastfid.rank(real, a, b, c[:10], Statistics(D).update(c), features=True)
    assert [one.name.split()[1] for one in result.standings] == ["1", "2", "4", "3"]
    assert [one.verdict for one in result.standings] == ["lowest", "worse", "no verdict", "no verdict"]
    by_hand, few = result.standings[2:]
    assert by_hand.fid == pytest.approx(fastfid.compare(Statistics(D).update(c), real, features=True).fid)
    assert "without the images' features" in by_hand.reason
    assert "has 10 rows of 6 dims" in few.reason
    assert few.corrected is few.difference is few.images_to_tell is None
    assert sum("No verdict about" in line for line in result.conclusion) == 2
    nothing = ranked(real[:10], a, b)
    assert all(one.reason for one in nothing.standings)
    assert nothing.best.fid < nothing.standings[1].fid
    assert {one.verdict for one in nothing.standings} == {"no verdict"}
    assert "sorted by the FID itself" in nothing.conclusion[0]
    assert sum("No verdict about" in line for line in nothing.conclusion) == 1  # one reason for both
    alone = ranked(real, a, c[:10])
    assert [one.verdict for one in alone.standings] == ["no verdict", "no verdict"]
    assert "is the only one whose FID without bias is known" in alone.conclusion[0]


def test_the_same_images_given_twice():
    real, a, b = sets(0.3, 1.0)
    once = ranked(real, b, a)
    for paired in (False, True):
        result = ranked(real, a, b, b.copy(), a, paired=paired)
        assert [one.verdict for one in result.standings] == ["best", "same images", "worse", "same images"]
        names = [one.name for one in result.standings]
        assert [one.same_as for one in result.standings] == ["", names[0], "", names[2]]
        assert sum("and counts once" in line for line in result.conclusion) == 2
        assert f"| same images as {names[2]} |" in result.table()
        assert result.difference(0, 1).verdict == "same images"
        assert len(result.pairs()) == 1
    again = ranked(real, b, a, a)
    assert again.standings[2].difference_low == once.standings[1].difference_low  # a copy is no further comparison
    assert again.standings[1].difference == 0
    assert [one.verdict for one in ranked(real, a, a).standings] == ["no verdict", "same images"]


def test_one_path_is_one_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, rows in zip("rab", sets(0.3, 1.0), strict=True):
        np.save(f"{name}.npy", rows)
    (tmp_path / "c.npy").symlink_to("b.npy")
    result = ranked("r.npy", "a.npy", "b.npy", "c.npy", "./b.npy")
    assert [one.same_as for one in result.standings] == ["", "", "b.npy", "b.npy"]
    assert "b.npy was given more than once, and counts once." in ranked("r.npy", "b.npy", "b.npy").conclusion
    with pytest.warns(fastfid.FastFIDWarning, match=r"^same-images: r\.npy has the very images of r\.npy") as seen:
        ranked("r.npy", "a.npy", "b.npy", "r.npy")
    assert not [str(one.message) for one in seen if "no record" in str(one.message)]
    fastfid.Statistics(D, fastfid.Provenance("m", "a" * 64, "pytorch", D)).update(np.load("r.npy")).save("s.npz")
    with pytest.warns(fastfid.FastFIDWarning, match="no record") as seen:
        ranked("s.npz", "a.npy", "b.npy")
    assert (
        str(seen[0].message) == "no-record: a.npy and b.npy: no record of the model and mode that made these features"
    )


def test_rounding_does_not_set_the_decimals():
    real, a, b = sets(0.5, 1.0)
    turned = np.roll(a, 1, axis=0)  # the same rows in another order, so that the bits differ
    plain, result = ranked(real, a, b), ranked(real, a, b, a * (1 + 1e-15) + 1e-12, paired=True)
    assert result.standings[1].difference_error < 1e-6
    assert result.table().splitlines()[2].split("|")[3] == plain.table().splitlines()[2].split("|")[3]
    assert ranked(real, a, b, turned).standings[1].verdict in ("cannot tell", "same images")


# Every two


def test_every_two_are_judged_together():
    real, *generators = sets(0.2, 0.5, 1.0, n=300)
    result = ranked(real, *generators)
    gaps = result.pairs()
    assert [(gap.a, gap.b) for gap in gaps] == [
        (result.standings[i].name, result.standings[j].name) for i, j in ((0, 1), (0, 2), (1, 2))
    ]
    by_hand = Difference.of(
        *measured(real.astype(np.float32), *(g.astype(np.float32) for g in generators[1:])), paired=False
    )
    gap = result.difference(2, 1)
    assert gap.verdict == "worse"
    assert gap.standard_error == pytest.approx(by_hand.error, rel=1e-5)
    assert (gap.high - gap.difference) / gap.standard_error == pytest.approx(2.39398, abs=1e-4)  # 1 - 0.05 / 3
    other = result.difference(1, 2)
    assert (other.difference, other.verdict) == (-gap.difference, "better")
    to_best = result.difference(1, 0)
    assert to_best.standard_error == result.standings[1].difference_error
    assert to_best.low < result.standings[1].difference_low
    assert (
        ranked(real, *generators[:2]).difference(1, 0).low == ranked(real, *generators[:2]).standings[1].difference_low
    )
    assert "| better |" in result.table_of_pairs()
    few = ranked(real, generators[0], generators[1], generators[2][:10])
    with pytest.raises(fastfid.InputError, match="nothing is known about generator 3 .* has 10 rows"):
        few.difference(0, 2)
    for bad in ((0, 3), (-1, 0)):
        with pytest.raises(fastfid.InputError, match="the rows are 0 to 2, got"):
            result.difference(*bad)


def test_levels_and_json():
    real, a, b = sets(0.5, 0.7)
    narrow, wide = (ranked(real, a, b, level=level).standings[1] for level in (0.5, 0.999))
    assert wide.difference_low < narrow.difference_low < narrow.difference_high < wide.difference_high
    result = ranked(real, a, b)
    told = json.loads(json.dumps(result.as_dict()))
    assert [one["corrected"] for one in told["standings"]] == [one.corrected for one in result.standings]
    assert told["citation"] == result.citation
    assert isinstance(result, Ranking)
    assert isinstance(result.best, Standing)


# What is refused


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"level": 2}, "level must be a number between 0.5 and 0.9999"),
        ({"paired": "yes"}, "paired must be True or False"),
        ({"metrics": ["kid"]}, "rank does not take metrics"),
        ({"bootstrap": 20}, "rank does not take bootstrap"),
        ({"method": "schur"}, "rank does not take method"),
        ({"limit": 1}, "limit must be at least 2"),
    ],
)
def test_bad_options(options, text):
    with pytest.raises(fastfid.InputError, match=text):
        ranked(*sets(0, 0), **options)


def test_other_bad_input():
    real, a, b = sets(0, 0)
    with pytest.raises(fastfid.InputError, match="at least two generators with the real images, got 1"):
        ranked(real, a)
    with pytest.raises(TypeError, match="unexpected keyword argument 'modle'"):
        ranked(real, a, b, modle="x")
    with pytest.raises(fastfid.InputError, match="dims 5 in generator 2 .*, 6 in the real side"):
        ranked(real, a, b[:, :5])
    with pytest.raises(fastfid.InputError, match=r"not paired: .* has 200 images, and .* has 199"):
        ranked(real, a, b[:-1], paired=True)


def test_features_that_are_too_large():
    real, a, b = (1e100 * rows for rows in sets(0, 1))
    with pytest.raises(fastfid.InputError, match="too large for float64"):
        Difference.of(*measured(real, a, b), paired=False)


# Images and the command


@pytest.fixture
def images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stand_in("own.onnx")
    for name, seed, low in (("real", 0, 0), ("a", 1, 0), ("b", 2, 100)):
        folder(tmp_path / name, pictures(40, 8, seed, low))
    return tmp_path


def test_the_real_side_is_read_once_and_the_result_is_that_of_its_features(images):
    seen = []
    result = fastfid.rank("real", "a", "b", model="own.onnx", progress=lambda done, total: seen.append((done, total)))
    assert sum(done == total for done, total in seen) == 3
    fits = [fastfid.fit(name, model="own.onnx", metrics=["kid"]) for name in ("real", "a", "b")]
    again = fastfid.rank(*fits)
    assert [one.corrected for one in again.standings] == [one.corrected for one in result.standings]
    assert result.best.name == "a"
    assert result.real.n == 40
    assert "SHA-256" in result.citation


def test_the_command(images, capsys):
    command = ["rank", "real", "a", "b", "--model", "own.onnx", "--quiet", "--level", ".9"]
    assert main(command) == 0
    header, line, first, second, *said = capsys.readouterr().out.splitlines()
    assert header.startswith("| generator | images | FID | without bias | 90 % limits | above the best by |")
    assert set(line) <= set("|-: ")
    result = fastfid.rank("real", "a", "b", model="own.onnx", level=0.9)
    assert (first, second) == tuple(result.table().splitlines()[2:])
    assert first.startswith("| a | 40 |")
    assert said == [*result.conclusion, result.citation]
    assert str(result).splitlines() == [*result.table().splitlines(), *result.conclusion, result.citation]
    assert main([*command, "--paired", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert "pairs" not in told
    assert main([*command, "--all-pairs"]) == 0
    assert capsys.readouterr().out.splitlines()[-3:] == result.table_of_pairs().splitlines()
    assert main([*command, "--all-pairs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pairs"] == [asdict(gap) for gap in result.pairs()]
    assert told["paired"]
    assert told["level"] == 0.9
    with pytest.raises(SystemExit):
        main(["rank", "real", "a"])
    assert "at least two generators" in capsys.readouterr().err
    for level in ("2", "x"):
        with pytest.raises(SystemExit):
            main(["rank", "real", "a", "b", "--level", level])
        assert "level must be a number between 0.5 and 0.9999" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["rank", "plan", "fdr", "shard"])
def test_the_help_is_about_the_command_itself(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    text = capsys.readouterr().out
    assert not [flag for flag in ("--bootstrap", "--save-stats", "--certainty", " mind") if flag in text]


def test_pairs_of_statistics_are_known_by_their_order_only(images):
    fastfid.save(fastfid.fit("b", model="own.onnx", metrics=["fid", "kid"]), "b.npz")
    with pytest.warns(fastfid.FastFIDWarning, match="paired by order: b.npz has no names of images"):
        told = fastfid.rank("real", "a", "b.npz", model="own.onnx", paired=True)
    with warnings.catch_warnings(record=True):  # "error" is the default here
        folders = fastfid.rank("real", "a", "b", model="own.onnx", paired=True)
    assert [one.difference_error for one in told.standings] == [one.difference_error for one in folders.standings]
    assert not any("paired by order" in text for text in folders.warnings)


def test_pairs_are_known_by_their_names(images):
    (images / "b" / "007.png").rename(images / "b" / "007b.png")
    with pytest.raises(fastfid.InputError, match=r"not paired: image 7 is 007.png in a, and 007b.png in b"):
        fastfid.rank("real", "a", "b", model="missing.onnx", paired=True)  # before the network is opened
    (images / "b" / "007b.png").rename(images / "b" / "007.png")
    (images / "b" / "039.png").unlink()
    with pytest.raises(fastfid.InputError, match=r"a has 40 images, and b has 39; only one of them has 039.png"):
        fastfid.rank("real", "a", "b", model="missing.onnx", paired=True)
    (images / "b" / "039.png").write_bytes(b"no image")
    with pytest.raises(fastfid.InputError, match=r"not paired: 039.png was left out of a or of b only"):
        fastfid.rank("real", "a", "b", model="own.onnx", paired=True, on_error="skip")
    (images / "a" / "039.png").write_bytes(b"no image")
    assert fastfid.rank("real", "a", "b", model="own.onnx", paired=True, on_error="skip").best.n == 39


def test_warnings_are_given_once(images):
    folder(images / "real", np.repeat(pictures(20, 8, 5), 2, 0))
    with pytest.warns(fastfid.FastFIDWarning, match="duplicates") as seen:
        result = fastfid.rank("real", "a", "b", model="own.onnx")
    assert sum("real: 20 of 40" in str(w.message) for w in seen) == 1
    assert sum("real: 20 of 40" in text for text in result.warnings) == 1


def test_models_of_fits_must_agree(images):
    stand_in("other.onnx", seed=1)
    real = fastfid.statistics("real", model="own.onnx")
    fits = [fastfid.fit(name, model=model, metrics=["kid"]) for name, model in (("a", "own.onnx"), ("b", "other.onnx"))]
    with pytest.raises(fastfid.StatisticsMismatch):
        fastfid.rank(real, *fits)
