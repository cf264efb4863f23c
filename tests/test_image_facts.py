"""What a statistics file says of its images: a comparison with it warns as one with the folder does."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import fastfid
from fastfid import Fit, InputError, Statistics, compare
from fastfid.cli.main import main
from fastfid.fit import Facts, Side
from fastfid.images.observed import Tally
from fastfid.messages import Messages, tell_of_sides
from fastfid.metrics.image_facts import DIGESTS, TEXT
from fuzz import mutants
from pictures import folder, pictures
from stand_in import DIMS, stand_in

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")
N = 12


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return fastfid.Extractor(stand_in(tmp_path_factory.mktemp("model") / "own.onnx"), batch_size=4)


def drawn(tmp_path, name, seed, n=N, size=32, ending="png"):
    return folder(tmp_path / name, pictures(n, size, seed), ending)


def of_qualities(tmp_path, *qualities):
    for name, quality, seed in zip(("a", "b"), qualities, (0, 1), strict=True):
        (tmp_path / name).mkdir()
        for i, image in enumerate(pictures(N, seed=seed)):
            Image.fromarray(image).save(tmp_path / name / f"{i}.jpg", quality=quality)


def damaged(tmp_path):
    drawn(tmp_path, "a", 0)
    whole = drawn(tmp_path, "b", 1) / "003.png"
    whole.write_bytes(whole.read_bytes()[:-12])  # without its end


def left_out(tmp_path):
    drawn(tmp_path, "a", 0)
    (drawn(tmp_path, "b", 1) / "003.png").write_bytes(b"no image")


def lossy(tmp_path):
    drawn(tmp_path, "a", 0)
    rgba = Image.fromarray(pictures(1, seed=5)[0])
    rgba.putalpha(100)
    rgba.save(drawn(tmp_path, "b", 1) / "alpha.png")


def copies(tmp_path):
    drawn(tmp_path, "a", 0)
    Image.fromarray(pictures(N)[0]).save(drawn(tmp_path, "b", 1) / "of_a.png")
    Image.fromarray(pictures(N, seed=1)[0]).save(tmp_path / "b" / "twice.png")


def dark(tmp_path):
    drawn(tmp_path, "a", 0)
    np.save(tmp_path / "b", pictures(N, seed=1) // 255)


CASES = {
    "format:": lambda path: (drawn(path, "a", 0), drawn(path, "b", 1, ending="jpg")),
    "jpeg-quality:": lambda path: of_qualities(path, 60, 95),
    "size:": lambda path: (drawn(path, "a", 0), drawn(path, "b", 1, size=64)),
    "damaged:": damaged,
    "duplicates: b": copies,
    "duplicates: 1 image is in both a and b": copies,
    "few-images: b": lambda path: (drawn(path, "a", 0), drawn(path, "b", 1, n=DIMS - 1)),
    "unequal-n:": lambda path: (drawn(path, "a", 0, n=6 * N), drawn(path, "b", 1)),
    "left-out: b: 1 image left out": left_out,
    "b: 1 image has transparency": lossy,
    "b.npy: the largest pixel is 1": dark,
}


@pytest.mark.parametrize("start", CASES)
def test_every_warning_of_a_folder_is_one_of_its_statistics(tmp_path, monkeypatch, model, start):
    monkeypatch.chdir(tmp_path)
    CASES[start](tmp_path)
    (tmp_path / "s").mkdir()
    b = "b.npy" if (tmp_path / "b.npy").exists() else "b"
    fit = fastfid.fit(b, model=model, on_error="skip")
    saved = str(fastfid.save(fit, f"s/{b}.npz"))
    expected = compare("a", b, model=model, on_error="skip")
    assert any(text.startswith(start) for text in expected.warnings), expected.warnings
    statistics = fastfid.statistics(b, model=model, on_error="skip")
    for given in (fit, saved, statistics.save(f"s/{b}"), statistics, fastfid.load(saved), Statistics.load(saved)):
        result = compare("a", given, model=model, on_error="skip")
        told = [text.replace(result.b.name, b) for text in result.warnings]
        assert sorted(told) == sorted(expected.warnings), given
        assert result.fid == pytest.approx(expected.fid)
        left_out = [text.replace(b, result.b.name) for text in expected.b.rejected]
        assert [text.replace(b, result.b.name) for text in result.b.rejected] == left_out
        assert (result.b.formats, result.b.identity.images) == (expected.b.formats, expected.b.identity.images)
    assert compare(saved, saved).warnings  # of two files, too


def tally(n=N, **changed):
    known = Tally(sizes=Counter({(9, 8): n}), accepted=n, largest=255, encodings=Counter(PNG=n), digests={*range(N)})
    return replace(known, **changed)


def fit_of(seen, n=N):
    rows = np.random.RandomState(0).randn(n, 2)
    return replace(fastfid.fit(rows, features=True), seen=seen)


def test_clean_enlarges_what_a_file_says_is_small(tmp_path):
    seen = fastfid.load(fastfid.save(fit_of(tally()), tmp_path / "f")).seen
    told = Messages()
    made = fastfid.Provenance("m", "a" * 64, "clean", 2)
    tell_of_sides([Side("f.npz", N, seen=seen, provenance=made)], Facts({"features": 2}), told)
    assert [text.partition(":")[0] for text in told.warnings] == ["upscaled"]


def test_what_is_written_is_what_is_read_and_other_arrays_stay(tmp_path):
    seen = tally(
        rejected=["x.png: damaged"], gaps=[3], qualities=Counter({90: 2}), repeated=1, damaged=1, damages=["y"]
    )
    plain, full = fit_of(Tally()), fit_of(seen)
    paths = [fastfid.save(fit, tmp_path / name) for fit, name in ((plain, "plain"), (full, "full"))]
    assert fastfid.load(paths[1]).seen == seen
    assert fastfid.load(paths[0]).seen == Tally()
    with np.load(paths[0]) as one, np.load(paths[1]) as other:
        assert set(other) - set(one) == {TEXT, DIGESTS}
        for key in one:
            assert one[key].tobytes() == other[key].tobytes()


@pytest.mark.parametrize("form", ["torch-fidelity-fork", "imf", "edm2"])
def test_files_for_other_tools_keep_it(tmp_path, form):
    seen = tally()
    assert fastfid.load(fastfid.save(fit_of(seen), tmp_path / "f", format=form)).seen == seen


def test_how_the_images_were_run_is_not_kept(tmp_path):
    again = fastfid.load(fastfid.save(fit_of(tally(chunk=2, sampled=True)), tmp_path / "f")).seen
    assert (again.chunk, again.sampled) == (0, False)


def test_rows_that_were_added_have_no_facts(tmp_path, model):
    statistics = model.fit(pictures(9))
    statistics.update(np.zeros((3, DIMS)))
    with np.load(statistics.save(tmp_path / "f")) as held:
        assert TEXT not in held
    assert compare(statistics, model.fit(pictures(9))).a.identity.images == ""


def test_merged_statistics_have_the_facts_of_both(tmp_path, model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    both = np.concatenate([pictures(9), pictures(8, seed=1), pictures(1)])
    parts = [model.fit(both[:9]), model.fit(both[9:])]
    own = replace(fastfid.fit(both, model=model).seen, chunk=0)
    merged = Statistics(DIMS).merge(parts[0]).merge(parts[1])
    assert fastfid.load(merged.save("merged")).seen == own
    assert own.repeated == 1
    for i, part in enumerate(parts):
        part.save(f"{i}")
    assert main(["merge", "all.npz", "0.npz", "1.npz"]) == 0
    assert fastfid.load("all.npz").seen == own
    assert (parts[0].n, compare(parts[0], parts[1]).a.n) == (9, 9)
    unknown = Statistics(DIMS, model.provenance).update(np.zeros((2, DIMS)))
    with np.load(unknown.merge(parts[0]).save("unknown")) as held:
        assert TEXT not in held


def test_a_pickle_keeps_it(model):
    import pickle

    statistics = model.fit(pictures(9))
    again = pickle.loads(pickle.dumps(statistics))
    assert compare(again, statistics).a.identity.images == compare(statistics, statistics).a.identity.images != ""


def test_what_is_too_long_for_a_file_is_left_out(tmp_path):
    seen = tally(rejected=["x" * (1 << 22)], gaps=[0])
    assert fastfid.load(fastfid.save(fit_of(seen), tmp_path / "f")).seen == Tally()


def changed(path, text=None, digests=None, **fields):
    with np.load(path) as held:
        arrays = dict(held)
    plain = {**json.loads(str(arrays[TEXT])), **fields}
    arrays[TEXT] = np.array(text if text is not None else json.dumps(plain))
    arrays[DIGESTS] = arrays[DIGESTS] if digests is None else digests
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"text": "{"}, "what it says of its images cannot be read"),
        ({"text": "[" * 100_000}, "cannot be read"),
        ({"text": "5"}, "cannot be read"),
        ({"format": 0}, "format is 0"),
        ({"format": True}, "format is True"),
        ({"format": float("nan")}, "format is nan"),
        ({"accepted": 11}, "11 images have 12 sizes"),
        ({"accepted": 13, "sizes": [[[9, 8], 13]]}, "it is of 13 images, and the statistics are of 12"),
        ({"accepted": float("nan")}, "accepted is nan"),
        ({"accepted": 12.0}, "accepted is 12.0"),
        ({"accepted": True}, "accepted is True"),
        ({"sizes": [[[9, 8], 2**60]]}, "sizes is"),
        ({"sizes": [[[9], N]]}, "sizes is"),
        ({"sizes": [[[9, -8], N]]}, "sizes is"),
        ({"sizes": [[[9, 8], N], [[7, 7], 0]]}, "sizes is"),
        ({"sizes": {}}, "have 0 sizes"),
        ({"sizes": 5}, "cannot be read"),
        ({"encodings": [["PNG", N + 1]]}, "12 images have 13 encodings"),
        ({"encodings": [[5, N]]}, "encodings is"),
        ({"qualities": [[90, N + 1]]}, "have 13 qualities"),
        ({"qualities": [[float("inf"), 1]]}, "qualities is"),
        ({"rejected": ["x"]}, "1 images were left out, at 0 places"),
        ({"rejected": "x", "gaps": [0]}, "rejected is"),
        ({"damages": [5]}, "damages is"),
        ({"repeated": -1}, "repeated is -1"),
        ({"repeated": 10**400}, "repeated is"),
        ({"digests": np.zeros(N + 1, np.uint64)}, "digests are"),
        ({"digests": np.zeros(3)}, "digests are float64"),
        ({"digests": np.zeros((3, 1), np.uint64)}, "digests are"),
        ({"digests": np.zeros((1 << 20) + 1, np.uint64)}, "at most"),
    ],
)
def test_hostile_facts_are_refused(tmp_path, change, said):
    path = changed(fastfid.save(fit_of(tally()), tmp_path / "f"), **change)
    with pytest.raises(InputError, match=said) as refused:
        fastfid.load(path)
    assert str(refused.value).startswith(str(path))
    assert len(str(refused.value)) < len(str(path)) + 500


def test_a_part_that_is_missing_is_an_error(tmp_path):
    path = fastfid.save(fit_of(tally()), tmp_path / "f")
    with np.load(path) as held:
        arrays = dict(held)
    np.savez(path, **{key: array for key, array in arrays.items() if key != DIGESTS})
    with pytest.raises(InputError, match=DIGESTS):
        fastfid.load(path)
    plain = json.loads(str(arrays[TEXT]))
    del plain["losses"]
    np.savez(path, **{**arrays, TEXT: np.array(json.dumps(plain))})
    with pytest.raises(InputError, match="losses"):
        fastfid.load(path)
    np.savez(path, **{key: array for key, array in arrays.items() if key != TEXT})
    assert fastfid.load(path).seen == Tally()


def test_a_newer_format_is_not_used(tmp_path, caplog):
    caplog.set_level("INFO", "fastfid")
    path = changed(fastfid.save(fit_of(tally()), tmp_path / "f"), format=2, accepted="many")
    assert Statistics.load(path).n == N
    assert "was written by a newer fastfid" in caplog.text


def test_huge_counts_take_no_memory():
    """A file of any number of images is small, and nothing may be as long as that number."""
    many = 2**52
    sizes = Counter({(9, 8): many - 3, (8, 8): 3})
    one = tally(many, sizes=sizes, encodings=Counter(JPEG=many), qualities=Counter({90: many}), digests=set())
    other = tally(N, encodings=Counter(JPEG=N), qualities=Counter({50: 5, 60: N - 5}), sizes=Counter({(18, 8): N}))
    told = Messages()
    tell_of_sides([Side("a", many, seen=one), Side("b", N, seen=other)], Facts({"features": 2}), told, fid=False)
    assert told.warnings == [
        "jpeg-quality: quality about 90 in a, quality about 60 in b; lossy compression alone changes the FID",
        "size: 2 sizes, most often 8x9, in a, 8x18 pixels in b; resizing alone changes the FID",
    ]


def test_damaged_facts_are_refused_or_read(tmp_path):
    path = fastfid.save(fit_of(tally(rejected=["x"], gaps=[1], qualities=Counter({9: 1}))), tmp_path / "f")
    with np.load(path) as held:
        arrays = dict(held)
    for case, mutant in mutants("image facts", [str(arrays[TEXT]).encode()], 200):
        np.savez(path, **{**arrays, TEXT: np.array(mutant.decode("utf-8", "replace"))})
        try:
            again = fastfid.load(path)
        except InputError:
            continue
        told = Messages()
        tell_of_sides([Side("a", N, seen=again.seen)] * 2, Facts({"features": 2}), told)
        assert all(isinstance(text, str) for text in told.warnings), case


def test_a_fit_without_images_says_nothing(tmp_path):
    fit = fit_of(Tally())
    assert isinstance(fit, Fit)
    with np.load(fastfid.save(fit, tmp_path / "f")) as held:
        assert not {TEXT, DIGESTS} & set(held)
