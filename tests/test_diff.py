"""Why two numbers differ: each difference is named, figures are those of the documents, and files may be hostile."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fastfid
from fastfid import effects
from fastfid.cli.main import main
from fastfid.effects import Effect
from fastfid.identity import Identity
from fastfid.images.modes import MODES
from fastfid.images.observed import Seen, Tally
from fastfid.provenance import Provenance
from pictures import folder, pictures
from stand_in import stand_in

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")
ROOT = Path(__file__).parents[1]
MADE = Provenance("inception-v3", "0" * 64, "pytorch", 2048, versions={"pillow": "1", "numpy": "2"})


@pytest.fixture(scope="module")
def result():
    x, y = np.random.RandomState(0).standard_normal((2, 200, 5))
    found = fastfid.compare(x + 1, y, features=True, metrics=["fid", "kid"], certainty=True)
    return replace(found, provenance=MADE)


def causes(one, other):
    return {cause.what: cause for cause in fastfid.diff(one, other).causes}


@pytest.mark.parametrize(
    ("change", "what", "size"),
    [
        ({"mode": "clean"}, "mode", "large"),
        ({"mode": "own"}, "mode", "incomparable"),
        ({"sha256": "1" * 64}, "weights", "incomparable"),
        ({"dims": 64}, "dims", "incomparable"),
        ({"precision": "fp16"}, "precision", "small"),
        ({"precision": "tf32"}, "precision", "small"),
        ({"device": "cuda:0"}, "device", "small"),
        ({"batch_size": 50}, "batch size", "small"),
        ({"versions": {"pillow": "2", "numpy": "2"}}, "version of pillow", "small"),
        ({"versions": {"pillow": "1"}}, "version of numpy", "small"),
    ],
)
def test_a_difference_in_provenance(result, change, what, size):
    found = causes(result, replace(result, provenance=replace(MADE, **change)))
    assert {name: cause.size for name, cause in found.items()} == {what: size}
    assert found[what].effect
    assert found[what].remedy


@pytest.mark.parametrize(
    ("change", "what", "size"),
    [
        (lambda r: {"a": replace(r.a, n=100)}, "images", "large"),
        (lambda r: {"a": replace(r.a, n=199)}, "images", "small"),
        (lambda r: {"method": "schur"}, "method", "small"),
        (lambda r: {"forced": True}, "forced", "incomparable"),
        (lambda r: {"warnings": ("size: 32 and 64",)}, "warnings", "none"),
        (lambda r: {"scores": {**r.scores, "kid": fastfid.Score(0.1, convention="adm")}}, "convention of kid", "large"),
        (lambda r: {"settings": {"features": True, "limit": 50}}, "limit", "large"),
        (lambda r: {"settings": {"features": True, "on_error": "skip"}}, "on_error", "small"),
        (lambda r: {"settings": {"features": True, "quantise": "edm"}}, "quantise", "large"),
        (lambda r: {"b": replace(r.b, name="other", identity=None)}, "name of the second side", "large"),
        (lambda r: {"b": replace(r.b, identity=Identity(trace=1.0, mean=2.0))}, "images of the second side", "large"),
        (lambda r: {"b": replace(r.b, rejected=("x.png",))}, "rejected of the second side", "small"),
    ],
)
def test_a_difference_between_results(result, change, what, size):
    found = causes(result, replace(result, **change(result)))
    assert {name: cause.size for name, cause in found.items()} == {what: size}


def test_one_set_under_two_names_is_no_difference(result):
    assert fastfid.diff(result, replace(result, b=replace(result.b, name="other"))).causes == ()


def test_the_seed_matters_with_a_limit_only(result):
    one, other = (replace(result, settings={"seed": seed}) for seed in (1, 2))
    assert causes(one, other) == {}
    one, other = (replace(result, settings={"seed": seed, "limit": 100}) for seed in (1, 2))
    assert set(causes(one, other)) == {"seed"}


def test_the_largest_effect_comes_first_and_options_remove_it(result):
    other = replace(result, provenance=replace(MADE, mode="clean", dims=64, device="cuda"), method="schur")
    found = fastfid.diff(result, replace(other, settings={**result.settings, "limit": 9}))
    assert [cause.what for cause in found.causes] == ["dims", "mode", "limit", "device", "method"]
    assert found.options == (
        *("with --dims 2048", "with --mode pytorch", "without --limit", "with --device cpu", "with --method auto"),
    )
    assert found.conclusion == "The two do not compare, because of dims. Remove that first."


def test_formats_and_settings_of_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stand_in("own.onnx")
    for ending in ("png", "jpg"):
        folder(tmp_path / ending / "real", pictures(20, 8), ending)
        folder(tmp_path / ending / "a", pictures(20, 8, 1), ending)

    def run(ending, **options):
        monkeypatch.chdir(tmp_path / ending)
        return fastfid.compare("a", "real", model=tmp_path / "own.onnx", **options)

    png, jpg, limited = run("png"), run("jpg"), run("png", limit=10, seed=3, endings=["png", "bmp"])
    found = causes(png, jpg)
    assert (found["formats of the first side"].first, found["formats of the first side"].second) == ("PNG", "JPEG")
    assert png.as_dict()["a"]["formats"] == {"PNG": 20}
    assert limited.settings == {"limit": 10, "seed": 3, "endings": "bmp,png"}
    assert set(causes(png, limited)) >= {"images", "limit", "endings"}
    assert fastfid.diff(png, run("png")).conclusion == "Nothing that is recorded differs, and the FID is the same."


# Nothing differs but the number


def changed(result, by, sure=True):
    score = result.scores["fid"]
    score = replace(score, value=score.value + by, certainty=score.certainty if sure else None)
    return replace(result, scores={"fid": score})


def test_a_number_that_nothing_explains(result):
    twice = 2 * 2**0.5 * result.certainty.standard_error
    for by, word in ((0.9 * twice, "less"), (1.1 * twice, "more")):
        text = fastfid.diff(result, changed(result, by)).conclusion
        assert text.startswith(f"Nothing that is recorded differs, but the FID does, by {by:+.6g}: files")
        assert text.endswith(f"(by both standard errors); this is {word}.")
    assert "that is rounding" in fastfid.diff(result, changed(result, 1e-9)).conclusion
    one, other = changed(result, 0, sure=False), changed(result, 0.01, sure=False)
    assert "by the rule of thumb" in fastfid.diff(one, other).conclusion
    small = [replace(each, provenance=replace(MADE, dims=64)) for each in (one, other)]
    assert "--certainty" in fastfid.diff(*small).conclusion


def test_the_noise_is_that_of_the_page_on_certainty():
    text = (ROOT / "docs" / "certainty.md").read_text()
    table = re.findall(r"^\| (\d+) \| (0\.\d+) \| (0\.\d+) \|$", text, re.MULTILINE)
    assert len(table) == 5
    for fid, deviation, _ in table:
        assert f"{effects.noise(float(fid), 50_000, 50_000):.2f}" == deviation


def test_the_biases_are_those_of_the_page_on_certainty():
    effect = effects.of_n((10_000, 10_000), (1000, 1000), 2048)
    text = (ROOT / effect.where).read_text()
    assert "by 4.21 in the first and 38.2 in the second" in effect.text
    assert "| 10000 | 10000 | 6.37 | 0.14 | 4.21 |" in text
    assert "| 1000 | 1000 | 40.36 | 0.67 | 38.20 |" in text


# Figures


def every_effect():
    for one in MODES:
        for other in MODES:
            yield effects.of_mode(one, other)
    for one in ("round", "truncate", "edm"):
        for other in ("round", "truncate", "edm"):
            yield effects.of_quantise(one, other)
    yield effects.of_weights("a", "b")
    yield effects.of_precision("fp32", "fp16")
    yield effects.of_precision("fp16", "fp32")
    yield effects.of_device("cpu", "cuda:0")
    yield effects.of_batch_size("1", "2")
    yield from (value for value in vars(effects).values() if isinstance(value, Effect))


def test_every_figure_is_in_the_document_that_it_names():
    found = 0
    for effect in every_effect():
        assert effect.size in effects.SIZES
        for figure in effect.figures:
            assert figure in effect.text
            assert re.search(rf"(?<![\d.]){re.escape(figure)}(?!\d)", (ROOT / effect.where).read_text()), figure
            found += 1
    assert found > 40


def test_every_pair_of_modes_has_a_measured_effect():
    for one in MODES:
        for other in MODES:
            assert effects.of_mode(one, other).figures


def test_the_tables_have_the_row_that_is_quoted():
    readme, tests = (ROOT / "README.md").read_text(), (ROOT / "tests" / "README.md").read_text()
    for mode, ours in effects._ALL.items():
        assert re.search(rf"^\| `{mode}`.*, {ours} \|$", readme, re.MULTILINE), mode
    for mode, ours in effects._SOME.items():
        assert re.search(rf"^\| one size, 64 \+ 64 \| {mode} \|.*\| {ours} \|", tests, re.MULTILINE), mode


# Files


@pytest.fixture
def files(tmp_path, monkeypatch, result):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.json").write_text(json.dumps(result.as_dict()))
    other = replace(result, provenance=replace(MADE, mode="clean"))
    (tmp_path / "b.json").write_text(json.dumps(other.as_dict()))
    rows = np.random.RandomState(0).standard_normal((20, 5))
    for name, mode in (("real", "pytorch"), ("clean", "clean")):
        fastfid.Statistics(5, replace(MADE, dims=5, mode=mode)).update(rows).save(f"{name}.npz")
    fastfid.Statistics(5, replace(MADE, dims=5)).update(rows + 1).save("moved.npz")
    for name in ("foreign", "other"):
        np.savez(f"{name}.npz", mu=np.zeros(5), sigma=np.eye(5))
    return tmp_path


def test_results_in_files(files, result, capsys):
    assert main(["diff", "a.json", "b.json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == ["first:  a.json", "second: b.json", f"fid: {result.fid!r} and {result.fid!r}", lines[3]]
    assert lines[4] == "mode: pytorch in the first, clean in the second"
    assert "0.935421233 against 0.743354187 (-20.5%)" in lines[5]
    assert lines[5].endswith("[README.md]")
    assert lines[-1] == "Most likely because of mode."
    assert main(["diff", "a.json", "b.json", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads(json.dumps(fastfid.diff("a.json", "b.json").as_dict()))
    assert found["causes"][0]["what"] == "mode"


def test_statistics_files(files):
    assert set(causes("real.npz", "clean.npz")) == {"mode"}
    assert fastfid.diff("real.npz", "clean.npz").conclusion == "They differ in mode."
    assert "are the same to the last bit" in fastfid.diff("real.npz", "real.npz").conclusion
    assert "but mean and covariance do" in fastfid.diff("real.npz", "moved.npz").conclusion
    assert set(causes("real.npz", "foreign.npz")) == {"record of the model"}
    assert "nothing says which model" in fastfid.diff("foreign.npz", "other.npz").conclusion


def test_one_of_each(files):
    assert set(causes("real.npz", "a.json")) == {"dims", "images"}
    assert set(causes("a.json", "clean.npz")) == {"dims", "mode", "images"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with results and statistics of sets of images."""
    path = tmp_path_factory.mktemp("images")
    model = fastfid.Extractor(stand_in(path / "own.onnx"), batch_size=4)
    for name, seed in (("generated", 0), ("real", 1), ("other", 2)):
        drawn = folder(path / name, pictures(12, seed=seed))
        model.fit(drawn).save(path / f"{name}.npz")
    (path / "other").rename(path / "away")
    (path / "renamed").mkdir()
    (path / "away").rename(path / "renamed" / "real")
    for name, b in (("first", "real"), ("second", "renamed/real"), ("third", "real.npz")):
        found = fastfid.compare(path / "generated", path / b, model=model)
        (path / f"{name}.json").write_text(json.dumps(found.as_dict()))
    return path


def diffed(made, one, other):
    found = fastfid.diff(made / one, made / other)
    return found, {cause.what for cause in found.causes}


def test_statistics_are_compared_with_the_side_that_they_are_of(made):
    found, differ = diffed(made, "real.npz", "first.json")
    assert not differ
    assert re.search(r"real\.npz has the very images of the second side of .*first\.json\.", found.conclusion)
    assert len(found.not_compared) == 2
    found, differ = diffed(made, "first.json", "generated.npz")
    assert not differ
    assert re.search(r"generated\.npz has the very images of the first side of .*first\.json\.", found.conclusion)
    found, differ = diffed(made, "other.npz", "first.json")
    assert differ == {"images of the second side"}
    assert found.conclusion == "They differ in images of the second side."
    lines = [line for line in found.lines() if line.startswith("Not compared: ")]
    assert "mean and covariance, which" in lines[0]


def test_other_images_under_the_same_name_and_the_same_under_another(made):
    _, differ = diffed(made, "first.json", "second.json")
    assert differ == {"images of the second side", "name of the second side"}
    _, differ = diffed(made, "first.json", "third.json")
    assert not differ
    _, differ = diffed(made, "real.npz", "other.npz")
    assert differ == {"images"}


def test_what_no_hash_tells_is_said(made, files):
    known = json.loads((made / "first.json").read_text())
    for side in "ab":
        del known[side]["identity"]
    (files / "old.json").write_text(json.dumps(known))
    found = fastfid.diff(made / "real.npz", "old.json")
    assert "nothing says whether" in found.conclusion
    assert found.not_compared[-1] == "whether the images are the same, which the two do not record in one way"
    found = fastfid.diff(made / "first.json", "old.json")
    assert found.conclusion == "Nothing that is recorded differs, and the FID is the same."
    changed = {**json.loads((made / "first.json").read_text()), "fid": 5.0}
    (files / "changed.json").write_text(json.dumps(changed))
    assert "the images are the same, so that" in fastfid.diff(made / "first.json", "changed.json").conclusion


def test_results_of_an_earlier_version(files, result):
    old = {key: value for key, value in result.as_dict().items() if key not in ("settings", "certainty", "scores")}
    (files / "old.json").write_text(json.dumps(old))
    assert set(causes("a.json", "old.json")) == {"features"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "it is"),
        ("{", "damaged JSON"),
        ("[]", "it is no result"),
        ("[" * 100_000, "damaged JSON"),
        ('{"fid": 1}\n{"fid": 2}', "several results in one file"),
        ('{"standings": [], "citation": ""}', "it is no result of `fastfid A B --json`"),
        ('{"citation": "", "a": 5, "b": null, "provenance": null}', "5 is where several values belong"),
        ('{"citation": "", "a": {"n": "5", "name": ""}, "b": null, "provenance": null}', "number of images"),
        ('{"citation": "", "a": {"n": 9007199254740992}, "b": null, "provenance": null}', "number of images"),
        ('{"citation": "", "a": {"n": 5}, "b": null, "provenance": {"model": 1}}', "provenance cannot be read"),
        ('{"citation": "", "a": {"n": 5}, "b": null, "provenance": null, "fid": "1"}', "'1' is where a number belongs"),
        ('{"citation": "", "a": {"n": 5}, "b": null, "provenance": null, "warnings": [5]}', "a text belongs"),
    ],
)
def test_files_that_are_no_results(files, capsys, content, said):
    (files / "x.json").write_text(content)
    for pair in (["a.json", "x.json"], ["x.json", "a.json"]):
        assert main(["diff", *pair]) == 1
        assert said in capsys.readouterr().err


def test_values_that_are_no_numbers(files, result):
    told = {**result.as_dict(), "fid": float("nan")}
    (files / "nan.json").write_text(json.dumps(told))
    found = fastfid.diff("a.json", "nan.json")
    assert found.numbers["fid"] == (result.fid, None)
    assert found.conclusion == "Nothing that is recorded differs."


@pytest.mark.parametrize("given", [5, None, [], fastfid.Statistics(3)])
def test_what_is_no_file(given, result):
    with pytest.raises(fastfid.InputError, match="diff takes results and statistics files"):
        fastfid.diff(result, given)


def test_a_set_of_which_not_all_images_are_hashed_has_no_hash(monkeypatch):
    seen = Tally()
    seen.add([Seen(size=(8, 8), digest=digest) for digest in (1, 2, 3, 2**64 - 1)])
    rows = np.zeros(3), 1.0
    whole = Identity.of_moments(seen, *rows)
    assert len(whole.images) == 64
    monkeypatch.setattr("fastfid.images.observed_data.MOST_DIGESTS", 3)
    assert Identity.of_moments(seen, *rows) == replace(whole, images="")
