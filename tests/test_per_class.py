"""Scores per class: the same as those of the classes alone, and the same whole."""

import json
import os
import shutil
import zipfile
from functools import partial

import numpy as np
import pytest

import fastfid
from fastfid import Extractor, InputError, Item, Source, compare
from fastfid.cli.main import main
from fastfid.numbers_shown import decimals
from fastfid.sources.classes import class_pieces, classes_of
from pictures import folder, pictures
from stand_in import small_inception, stand_in

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")


@pytest.fixture(scope="module")
def extractor():
    return Extractor("inception-v3-random", dims=64, batch_size=4)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two sides with the classes cat and dog; the first has also an eel."""
    root = tmp_path_factory.mktemp("classes")
    for seed, (name, n) in enumerate((("a/cat", 5), ("a/dog", 7), ("a/eel", 3), ("b/cat", 6), ("b/dog", 4))):
        folder(root / name, pictures(n, seed=seed))
    return root / "a", root / "b"


class Named(Source):
    """Images whose paths are given, in memory."""

    def __init__(self, paths):
        super().__init__("named", len(paths))
        self.paths = paths

    def read(self, indices):
        for index in indices:
            yield Item(self.paths[index], partial(np.full, (8, 8, 3), index))

    def folder_of(self, index):
        return self.paths[index].rpartition("/")[0]


@pytest.mark.parametrize(
    ("paths", "classes"),
    [
        (["cat/1", "cat/2", "dog/1"], {"cat": [0, 1], "dog": [2]}),
        (["dog/1", "cat/1", "dog/2"], {"cat": [1], "dog": [0, 2]}),
        (["train/cat/1", "train/dog/1"], {"cat": [0], "dog": [1]}),
        (["train/cat/1", "train/cat/small/2", "train/dog/1"], {"cat": [0, 1], "dog": [2]}),
        (["train/cat/1", "train/cat/2"], {"cat": [0, 1]}),
        (["cat/1"], {"cat": [0]}),
        (["cat/small/1", "cat/2"], {"cat": [0, 1]}),
    ],
)
def test_the_class_of_an_image(paths, classes):
    found = classes_of(Named(paths))
    assert {name: list(indices) for name, indices in found.items()} == classes
    pieces = list(class_pieces(Named(paths), found))
    assert [piece.label for piece in pieces] == list(classes)
    assert [piece.number for piece in pieces] == list(range(len(classes)))
    assert {piece.of for piece in pieces} == {len(paths)}


@pytest.mark.parametrize("paths", [["1"], ["cat/1", "2"]])
def test_an_image_without_a_class(paths):
    with pytest.raises(InputError, match="is in no subfolder, and the subfolders are the classes"):
        classes_of(Named(paths))


def test_only_the_images_that_the_limit_chooses():
    source = Named([f"{name}/{i}" for name in "ab" for i in range(50)])
    found = classes_of(source, 10, 3)
    chosen = np.sort(np.random.RandomState(3).permutation(100)[:10])
    assert sorted(np.concatenate(list(found.values()))) == list(chosen)


def test_scores_are_those_of_the_classes_alone(pair, extractor):
    a, b = pair
    result = compare(a, b, per_class=True, metrics=["fid", "kid"], model=extractor)
    assert list(result.classes) == ["cat", "dog"]
    for name, scores in result.classes.items():
        alone = compare(a / name, b / name, metrics=["fid", "kid"], model=extractor)
        for metric in ("fid", "kid"):
            assert scores[metric].value == alone.scores[metric].value
            assert scores[metric].n == (alone.a.n, alone.b.n)
    assert any(text.startswith("classes: only") and "eel" in text for text in result.warnings)
    assert any(text.startswith("small-classes: 2 of 2 classes") for text in result.warnings)


def test_the_whole_is_what_it_is_without_classes(pair, extractor):
    """The eel counts, and only the cuts between the pieces differ."""
    a, b = pair
    with_classes = compare(a, b, per_class=True, model=extractor)
    without = compare(a, b, model=extractor)
    assert (with_classes.a.n, with_classes.b.n) == (15, 10)
    assert with_classes.fid == pytest.approx(without.fid, rel=1e-6)  # batches have other images
    assert without.classes == {}


def test_mean_and_worst(pair, extractor):
    result = compare(*pair, per_class=True, metrics=["fid", "kid"], model=extractor)
    values = {name: scores["fid"].value for name, scores in result.classes.items()}
    mean, worst = result.over_classes()
    assert mean == pytest.approx(np.mean(list(values.values())), rel=1e-15)
    assert values[worst] == max(values.values())
    plain = json.loads(json.dumps(result.as_dict()))
    assert plain["over_classes"]["fid"] == {"mean": mean, "worst": worst}
    assert plain["classes"]["cat"]["kid"]["value"] == result.classes["cat"]["kid"].value
    with pytest.raises(InputError, match="there are no classes: compare with per_class=True"):
        compare(*pair, model=extractor).over_classes()
    with pytest.raises(InputError, match="is was not asked for"):
        result.over_classes("is")


def test_an_archive_and_two_processes(pair, extractor, tmp_path):
    a, b = pair
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for path in sorted(a.rglob("*.png")):
            file.write(path, f"set/{path.relative_to(a).as_posix()}")
    expected = compare(a, b, per_class=True, model=extractor)
    found = compare(tmp_path / "a.zip", b, per_class=True, model=extractor, device="cpu,cpu")
    assert {name: scores["fid"].value for name, scores in found.classes.items()} == {
        name: scores["fid"].value for name, scores in expected.classes.items()
    }
    assert found.fid == expected.fid


def test_errors_before_any_image_is_read(pair, extractor, tmp_path):
    a, b = pair
    both = partial(compare, per_class=True, model=extractor, progress=lambda *_: pytest.fail("an image was read"))
    saved = fastfid.statistics(b, model=extractor)
    with pytest.raises(InputError, match="holds statistics, which have no classes"):
        both(a, saved)
    with pytest.raises(InputError, match="cannot be read class by class"):
        both(a, iter([np.zeros((8, 8, 3), np.uint8)] * 3))
    other = tmp_path / "other"
    folder(other / "cow" / "deep", pictures(3))
    with pytest.raises(InputError, match=r"no class is in both .*a \(cat, dog, eel\) and .*other \(deep\)"):
        both(a, other)
    shutil.copytree(b, tmp_path / "one")
    for path in sorted((tmp_path / "one" / "cat").iterdir())[1:]:
        path.unlink()
    with pytest.raises(InputError, match="one: the class cat has 1 image"):
        both(a, tmp_path / "one")


def test_the_command(pair, capsys):
    assert main([*map(str, pair), "--per-class", "--model", "inception-v3-random", "--dims", "64"]) == 0
    *classes, mean, bias, last = capsys.readouterr().out.splitlines()
    assert "bias of its few images" in bias
    assert sorted(line.split(":")[0] for line in classes) == ["cat", "dog"]
    values = [float(line.split("FID ")[1].split()[0]) for line in classes]
    assert values == sorted(values, reverse=True)
    assert mean.startswith("mean of 2 classes: FID ")
    assert last.startswith("FID:  ")


def test_the_command_shows_classes_without_bias(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for seed, (name, n) in enumerate((("a/cat", 40), ("a/dog", 9), ("b/cat", 40), ("b/dog", 9))):
        folder(tmp_path / name, pictures(n, seed=seed))
    stand_in(tmp_path / "own.onnx")
    assert main(["a", "b", "--per-class", "--model", "own.onnx", "--certainty"]) == 0
    lines = {line.split(":")[0]: line for line in capsys.readouterr().out.splitlines()}
    result = compare("a", "b", per_class=True, model="own.onnx", certainty=True)
    sure = result.classes["cat"]["fid"].certainty
    assert f"(without bias {sure.corrected:.{decimals(sure.standard_error)}f})" in lines["cat"]
    assert "without bias" not in lines["dog"]  # 9 images are too few to say


def test_the_limit_does_not_change_what_the_classes_are(tmp_path):
    source = Named([f"{top}/{below}/{i}" for top in "xy" for below in "pq" for i in range(2)])
    for seed in range(20):
        assert set(classes_of(source, 4, seed)) <= {"x", "y"}


def test_too_few_images_of_a_class_are_named_before_any_is_read(pair, extractor):
    silent = {"model": extractor, "per_class": True, "progress": lambda *_: pytest.fail("an image was read")}
    with pytest.raises(InputError, match="class cat: prdc: k=5 needs at least 6 images of each side, got 5"):
        compare(*pair, metrics=["prdc"], **silent)
    with pytest.raises(InputError, match="class cat: the Inception Score needs an image for each"):
        compare(pair[0], metrics=["is"], **silent)


def test_a_class_that_loses_its_images(pair, extractor, tmp_path):
    shutil.copytree(pair[0], tmp_path / "a")
    for path in sorted((tmp_path / "a" / "dog").iterdir())[1:]:
        path.write_bytes(b"damaged")
    with pytest.raises(InputError, match="class dog: .*a has fewer than 2 readable images"):
        compare(tmp_path / "a", pair[1], per_class=True, on_error="skip", model=extractor)


def test_the_closest_pairs_of_a_class_have_names(pair, extractor):
    result = compare(*pair, per_class=True, metrics=["authpct"], model=extractor)
    for name, scores in result.classes.items():
        for generated, real, _ in scores["authpct"].parts["copies"]:
            assert generated.startswith(str(pair[0] / name))
            assert real.startswith(str(pair[1] / name))


class Plain(fastfid.Metric):
    """A metric from outside that states nothing but a value, which is no number, and has a part called like ours."""

    name = "plain"
    needs = ()

    def value(self, a, b):
        return fastfid.Score(float("nan"), parts={"copies": 5})


def test_a_metric_from_outside(pair, extractor):
    result = compare(*pair, per_class=True, metrics=["fid", Plain()], model=extractor)
    assert result.classes["cat"]["plain"].parts["copies"] == 5
    assert "not a number (NaN): plain of cat, plain of dog" in result.warnings
    assert result.as_dict()["over_classes"]["plain"]["mean"] is None


def test_what_classes_say_is_told(pair, extractor):
    with small_inception():
        result = compare(*pair, per_class=True, metrics=["sfid"], batch_size=4)
    assert [text for text in result.warnings if text.startswith("class cat: few-images: sfid: 5 images")]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_class_cannot_add_lines_to_the_output(tmp_path, capsys):
    for side in "ab":
        folder(tmp_path / side / "x\nFID:  0.0", pictures(3))
        folder(tmp_path / side / "y", pictures(3))
    sides = [str(tmp_path / side) for side in "ab"]
    assert main([*sides, "--per-class", "--model", "inception-v3-random", "--dims", "64"]) == 0
    assert len([line for line in capsys.readouterr().out.splitlines() if line.startswith("FID:  ")]) == 1
