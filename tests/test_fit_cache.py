"""`cache=True`: a second run reads none of the real images, and a change of anything is a miss."""

import errno
import os
import shutil
import threading

import numpy as np
import pytest
from PIL import Image

import fastfid
from fastfid.cli.main import main
from fastfid.engines import fit_cache
from fastfid.engines.local import Local
from fastfid.errors import ModelError
from fastfid.metrics.moments import MOMENTS
from pictures import folder, pictures
from stand_in import stand_in

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")
QUIET = {"progress": False}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(stand_in(tmp_path_factory.mktemp("network") / "own.onnx"))


@pytest.fixture(scope="module")
def generated():
    return pictures(20, 16, 1)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTFID_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "fits"


@pytest.fixture
def real(tmp_path):
    """A folder with a copy, an image with transparency, and one that is not compressed."""
    images = pictures(24, 16, 2)
    images[-1] = images[0]
    made = folder(tmp_path / "real", images)
    Image.new("RGBA", (16, 16), (9, 99, 199, 9)).save(made / "003.png")
    (made / "022.png").unlink()
    Image.fromarray(images[22]).save(made / "022.bmp")
    return made


@pytest.fixture
def unread(monkeypatch):
    """Make files unreadable, from when it is called."""

    def refuse(*_):
        raise AssertionError("an image is read")

    return lambda: monkeypatch.setattr("fastfid.sources.folder.load_image.__code__", refuse.__code__)


def is_hit(result):
    return any("is in the cache" in note for note in result.notes)


def plain(comparison):
    return {name: (score.value, score.parts) for name, score in comparison.scores.items()}


@pytest.mark.parametrize("options", [{}, {"limit": 15, "seed": 3}, {"certainty": True}])
@pytest.mark.parametrize("resume", [False, True])
def test_a_second_run_reads_no_real_image(model, generated, real, unread, tmp_path, options, resume):
    metrics = ["fid", "kid", "prdc", "vendi", "authpct", "mind"]
    if resume:
        options = {**options, "resume": tmp_path / "pieces"}
    first = fastfid.compare(generated, real, model=model, metrics=metrics, cache=True, **options, **QUIET)
    if resume:
        shutil.rmtree(tmp_path / "pieces")
    unread()
    second = fastfid.compare(generated, real, model=model, metrics=metrics, cache=True, **options, **QUIET)
    assert (is_hit(first), is_hit(second)) == (False, True)
    assert not (tmp_path / "pieces" / "b").exists()
    np.testing.assert_equal(plain(second), plain(first))
    assert sorted(second.warnings) == sorted(first.warnings)
    assert "limit" in options or any("transparency" in text for text in first.warnings)
    assert (second.a, second.b, second.provenance) == (first.a, first.b, first.provenance)


def test_functions_share_what_is_kept(model, generated, real, unread, home):
    one = fastfid.statistics(real, model=model, cache=True, **QUIET)
    unread()
    assert np.array_equal(fastfid.fit(real, model=model, cache=True, **QUIET)[MOMENTS].sigma, one.sigma)
    assert fastfid.score(generated, real, model=model, cache=True, **QUIET) == fastfid.score(
        generated, one, model=model, **QUIET
    )
    assert len(list(home.iterdir())) == 1


def test_without_it_nothing_is_kept(model, generated, real, home):
    fastfid.compare(generated, real, model=model, **QUIET)
    assert not home.exists()


def _same_size_and_time(real):
    path = real / "022.bmp"
    before, data = path.stat(), bytearray(path.read_bytes())
    data[-20] ^= 99
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


CHANGES = {
    "touched": lambda real: os.utime(real / "005.png", (1, 1)),
    "other content": lambda real: Image.new("RGB", (16, 16)).save(real / "005.png"),
    "same size and time": _same_size_and_time,
    "one less": lambda real: (real / "005.png").unlink(),
    "one more": lambda real: shutil.copy(real / "005.png", real / "more.png"),
    "renamed": lambda real: (real / "005.png").rename(real / "zzz.png"),
    "in another order": lambda real: (real / "005.png").rename(real / "000a.png"),
    "swapped": lambda real: [
        (real / old).rename(real / new) for old, new in (("005.png", "x"), ("006.png", "005.png"), ("x", "006.png"))
    ],
}


@pytest.mark.skipif(os.name == "nt", reason="the time of an inode is that of its creation there")
@pytest.mark.parametrize("change", CHANGES)
def test_changed_images_are_read_again(model, generated, real, change):
    fastfid.statistics(real, model=model, cache=True, **QUIET)
    CHANGES[change](real)
    result = fastfid.compare(generated, real, model=model, cache=True, **QUIET)
    assert not is_hit(result)
    assert result.fid == fastfid.score(generated, real, model=model, **QUIET)


def test_another_folder_of_the_same_names_sizes_and_times_is_another_set(model, generated, real, tmp_path):
    fastfid.statistics(real, model=model, cache=True, **QUIET)
    other = shutil.copytree(real, tmp_path / "other")
    assert not is_hit(fastfid.compare(generated, other, model=model, cache=True, **QUIET))
    os.chdir(tmp_path)
    assert is_hit(fastfid.compare(generated, "real", model=model, cache=True, **QUIET))


@pytest.mark.parametrize(
    "options",
    [
        {"limit": 12},
        {"limit": 12, "seed": 5},
        {"batch_size": 4},
        {"on_error": "skip"},
        {"endings": "png,bmp"},
        {"recursive": False},
        {"precision": "fp16"},
        {"metrics": ["kid"]},
        {"mode": "size=8 resize=box"},
        {"model": 1},
    ],
)
def test_another_option_is_another_set(generated, real, tmp_path, options):
    def network(seed):  # of one name, and with a mode of its own only where none is asked for
        return stand_in(tmp_path / "own.onnx", seed=seed, mode=None)

    usual = {"model": network(0), "mode": "size=8 resize=bilinear", "limit": 12, "seed": 4}
    fastfid.compare(generated, real, cache=True, **usual, **QUIET)
    assert is_hit(fastfid.compare(generated, real, cache=True, **usual, **QUIET))
    changed = {**usual, **options, **({"model": network(1)} if "model" in options else {})}
    if options == {"limit": 12}:
        del changed["seed"]
    result = fastfid.compare(generated, real, cache=True, **changed, **QUIET)
    assert not is_hit(result)
    np.testing.assert_equal(plain(result), plain(fastfid.compare(generated, real, **changed, **QUIET)))


def test_another_version_is_another_set(model, generated, real, monkeypatch):
    fastfid.statistics(real, model=model, cache=True, **QUIET)
    versions = {"fastfid": "0.0.1", "onnxruntime": "1", "pillow": "1"}
    monkeypatch.setattr("fastfid.extraction.recipe._versions", lambda: versions)
    assert not is_hit(fastfid.compare(generated, real, model=model, cache=True, **QUIET))


def test_what_pillow_does_with_truncated_files_counts(model, generated, real, monkeypatch):
    fastfid.statistics(real, model=model, cache=True, **QUIET)
    monkeypatch.setattr("PIL.ImageFile.LOAD_TRUNCATED_IMAGES", True)
    assert not is_hit(fastfid.compare(generated, real, model=model, cache=True, **QUIET))


def test_how_floats_are_read_counts(model, generated, tmp_path):
    np.save(tmp_path / "real.npy", pictures(20, 16) / 255)
    fids = set()
    for quantise in ("round", "truncate", "round"):
        options = {"value_range": (0, 1), "quantise": quantise, "model": model, **QUIET}
        result = fastfid.compare(generated, str(tmp_path / "real.npy"), cache=True, **options)
        fids.add((quantise, result.fid))
    assert is_hit(result)
    assert len(fids) == 2


SOURCES = {
    "array": lambda path: pictures(20, 16),
    "npy": lambda path: np.save(path / "x.npy", pictures(20, 16)) or path / "x.npy",
    "zip": lambda path: shutil.make_archive(str(path / "x"), "zip", folder(path / "in", pictures(20, 16))),
    "tars": lambda path: (
        shutil.make_archive(str(path / "sub" / "x"), "tar", folder(path / "in", pictures(20, 16))) and path / "sub"
    ),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_other_kinds_of_sources(model, generated, tmp_path, kind):
    source = SOURCES[kind](tmp_path)
    runs = [fastfid.compare(generated, source, model=model, cache=True, **QUIET) for _ in range(2)]
    assert list(map(is_hit, runs)) == [False, True]
    assert plain(runs[0]) == plain(runs[1])
    if kind == "array":
        source[3, 5, 5, 1] ^= 1
    else:
        path = next(tmp_path.rglob("x.*"))
        before = path.stat()
        data = bytearray(path.read_bytes())
        data[-1] ^= 0 if kind != "npy" else 1
        path.write_bytes(data)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not is_hit(fastfid.compare(generated, source, model=model, cache=True, **QUIET))


def test_an_object_behind_an_address(model, generated, tmp_path):
    fsspec = pytest.importorskip("fsspec")
    fs = fsspec.filesystem("memory")
    for path in folder(tmp_path / "in", pictures(20, 16)).iterdir():
        fs.pipe_file(f"/cached/{path.name}", path.read_bytes())
    runs = [fastfid.compare(generated, "memory://cached", model=model, cache=True, **QUIET) for _ in range(2)]
    assert list(map(is_hit, runs)) == [False, True]
    fs.pipe_file("/cached/003.png", (tmp_path / "in" / "004.png").read_bytes())
    assert not is_hit(fastfid.compare(generated, "memory://cached", model=model, cache=True, **QUIET))


class Own(fastfid.Source):
    def read(self, indices):
        for index in indices:
            yield fastfid.Item(f"image {index}", lambda index=index: pictures(20, 16)[index])


class OwnEngine(Local):
    pass


class OwnRows(fastfid.Statistics):
    __module__ = "elsewhere"


class OwnMetric(fastfid.Metric):
    name = "own"
    needs = (fastfid.Need("features", OwnRows),)

    def value(self, a, b):
        return fastfid.Score(float(a[self.needs[0]].mu[0]))


@pytest.mark.parametrize(
    ("make", "options", "why"),
    [
        (lambda real: iter(pictures(20, 16)), {}, "shows only when they are read"),
        (lambda real: sorted(real.iterdir()), {}, "give a folder, an archive"),
        (lambda real: Own("own", 20), {}, "changes of it cannot be noticed"),
        (lambda real: real, {"engine": OwnEngine()}, "test_fit_cache is from outside fastfid"),
        (lambda real: real, {"metrics": ["fid", OwnMetric()]}, "elsewhere.OwnRows of features is from outside"),
    ],
)
def test_what_is_not_kept_is_said(model, generated, real, home, make, options, why):
    result = fastfid.compare(generated, make(real), model=model, cache=True, **options, **QUIET)
    assert why in " ".join(result.notes)
    assert not home.exists()


def test_classes_are_not_kept(model, tmp_path, home):
    for side in ("a", "b"):
        for name in ("cat", "dog"):
            folder(tmp_path / side / name, pictures(5, 16, ord(side) + ord(name[0])))
    options = {"model": model, "per_class": True, "cache": True, **QUIET}
    result = fastfid.compare(tmp_path / "a", tmp_path / "b", **options)
    assert "per_class keeps the classes one by one" in " ".join(result.notes)
    assert not home.exists()


def test_images_that_change_while_they_are_read_are_not_kept(model, real, home):
    def change(done, total):
        os.utime(real / "000.png", (1, 1))

    fastfid.statistics(real, model=model, cache=True, progress=change)
    assert not home.exists()


# --- what can go wrong with the files


def _full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _homeless():
    raise ModelError("no home folder is known")


@pytest.mark.parametrize(
    ("broken", "by", "text"),
    [
        ("pack", _full, "No space left on device"),
        ("atomic_write", _full, "No space left on device"),
        ("cache_folder", _homeless, "no home folder is known"),
    ],
)
def test_a_failure_to_keep_is_a_warning(model, generated, real, home, monkeypatch, broken, by, text):
    expected = fastfid.score(generated, real, model=model, **QUIET)
    monkeypatch.setattr(fit_cache, broken, by)
    result = fastfid.compare(generated, real, model=model, cache=True, **QUIET)
    assert result.fid == expected
    assert text in " ".join((*result.warnings, *result.notes))
    assert not home.exists() or not list(home.iterdir())


def test_a_home_that_is_a_file(model, generated, real, home):
    home.parent.write_text("x")
    with pytest.warns(fastfid.FastFIDWarning, match="the cache cannot keep .*; the score does not depend on it"):
        fastfid.score(generated, real, model=model, cache=True, **QUIET)


@pytest.mark.parametrize("damage", [lambda data: data[:-30], lambda data: b"", lambda data: data[:200] + b"\0" * 900])
def test_a_damaged_file_is_made_again(model, generated, real, home, damage):
    first = fastfid.compare(generated, real, model=model, cache=True, **QUIET)
    (kept,) = home.iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(damage(whole))
    again = fastfid.compare(generated, real, model=model, cache=True, **QUIET)
    assert "is damaged" in " ".join(again.notes)
    assert again.fid == first.fid
    assert is_hit(fastfid.compare(generated, real, model=model, cache=True, **QUIET))


def test_a_file_of_other_images_under_the_name_is_no_hit(model, generated, real, home, tmp_path):
    fastfid.statistics(real, model=model, cache=True, **QUIET)
    (kept,) = home.iterdir()
    moved = kept.rename(tmp_path / "moved.npz")
    fastfid.statistics(folder(tmp_path / "other", pictures(20, 16, 7)), model=model, cache=True, **QUIET)
    (other,) = home.iterdir()
    moved.rename(other)
    result = fastfid.compare(generated, tmp_path / "other", model=model, cache=True, **QUIET)
    assert not is_hit(result)
    assert "it is of other images" in " ".join(result.notes)


def test_writers_at_the_same_time(model, real, home):
    extractor, found = fastfid.Extractor(model), []

    def run():
        found.append(fastfid.statistics(real, model=extractor, cache=True, **QUIET))

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len(list(home.iterdir())) == 1
    assert all(np.array_equal(one.sigma, found[0].sigma) for one in found)


def test_those_that_were_not_used_for_longest_are_removed(model, tmp_path, home, monkeypatch):
    sides = [folder(tmp_path / name, pictures(300, 16, i)) for i, name in enumerate("abcd")]
    options = {"model": model, "metrics": ["kid"], "cache": True, **QUIET}
    for side in sides[:2]:
        fastfid.fit(side, **options)
    for number, file in enumerate(sorted(home.iterdir(), key=lambda file: file.stat().st_mtime_ns)):
        os.utime(file, (number, number))
    fastfid.fit(sides[0], **options)  # now the other one was not used for longest
    size = max(file.stat().st_size for file in home.iterdir())
    monkeypatch.setattr(fit_cache, "most_bytes", lambda: 2 * size + 100)
    fastfid.fit(sides[2], **options)
    assert len(list(home.iterdir())) == 2
    monkeypatch.setattr("fastfid.sources.folder.load_image", None)
    fastfid.fit(sides[0], **options)
    fastfid.fit(sides[2], **options)


@pytest.mark.parametrize(
    ("size", "text"), [("0", "MiB; FASTFID_CACHE_SIZE allows 0"), ("x", "FASTFID_CACHE_SIZE must be a whole number")]
)
def test_a_bound_that_allows_nothing(model, generated, real, home, monkeypatch, size, text):
    monkeypatch.setenv("FASTFID_CACHE_SIZE", size)
    result = fastfid.compare(generated, real, model=model, cache=True, **QUIET)
    assert text in " ".join(result.warnings)
    assert not home.exists() or not list(home.iterdir())


def test_the_command(model, generated, real, home, tmp_path, capsys):
    np.save(tmp_path / "generated.npy", generated)
    paths = [str(tmp_path / "generated.npy"), str(real), "--model", model, "--quiet", "--cache"]
    assert main(paths) == 0
    fid = capsys.readouterr().out
    assert main(paths) == 0
    told = capsys.readouterr()
    assert told.out == fid
    assert "real is in the cache and not read again" in told.err
    (home / "damaged.npz").write_bytes(b"x")
    assert main(["cache"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    (line,) = (line for line in lines if f"{real}: 24 images, own.onnx, size=8" in line)
    assert line.endswith("(Statistics of features)")
    assert any(line.endswith("damaged") for line in lines)
    assert main(["cache", "clear"]) == 0
    assert main(["cache", "list"]) == 0
    assert capsys.readouterr().out == "removed 2 files\n0 files, 0.0 of at most 4096 MiB\n"
