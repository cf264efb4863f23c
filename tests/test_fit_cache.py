"""`cache=True`: a second run reads none of the real images, and a change of anything is a miss."""

import errno
import hashlib
import importlib
import io
import os
import shutil
import tarfile
import threading
import time
import types
import zipfile

import numpy as np
import pytest
from PIL import Image

import fastfid
from fastfid.cli.main import main
from fastfid.engines import fit_cache
from fastfid.engines.local import Local
from fastfid.errors import ModelError
from fastfid.files import mounts
from fastfid.files.reading import proof_of_file
from fastfid.metrics.moments import MOMENTS
from fastfid.sources import open_source
from fastfid.sources.folder import Folder
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
    monkeypatch.setattr("fastfid.extraction.recipe._versions", lambda device: versions)
    assert not is_hit(fastfid.compare(generated, real, model=model, cache=True, **QUIET))


@pytest.mark.parametrize(
    ("setting", "value"), [("ImageFile.LOAD_TRUNCATED_IMAGES", True), ("Image.MAX_IMAGE_PIXELS", 300)]
)
def test_settings_of_pillow_that_say_what_is_an_error_count(model, generated, real, monkeypatch, setting, value):
    fastfid.statistics(real, model=model, cache=True, **QUIET)
    monkeypatch.setattr(f"PIL.{setting}", value)
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


def _zip(path, images):
    """Write a zip of uncompressed images, of the same size and times whatever they show."""
    with zipfile.ZipFile(path, "w") as file:
        for number, image in enumerate(images):
            file.writestr(zipfile.ZipInfo(f"in/it/{number}.ppm"), _ppm(image))


def _ppm(image):
    data = io.BytesIO()
    Image.fromarray(image).save(data, "ppm")
    return data.getvalue()


def _table(path, cells):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = pa.table({"image": pa.array(cells, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))})
    pq.write_table(table, path, compression="none", use_dictionary=False, write_statistics=False)


def _write(kind, root, images):
    if kind == "zips":
        _zip(root / "a.zip", images[:10])
        _zip(root / "b.zip", images[10:])
    elif kind == "tables":
        for name, some in (("a", images[:10]), ("b", images[10:])):
            _table(root / f"{name}.parquet", [{"bytes": _ppm(image), "path": None} for image in some])
    else:  # a table of paths, or a list
        for number, image in enumerate(images):
            (root / f"{number:02}.ppm").write_bytes(_ppm(image))
        if (root / "t.parquet").exists() or (root / "t.txt").exists():
            pass  # the images alone are others
        elif kind == "paths":
            _table(root / "t.parquet", [{"bytes": None, "path": f"{number:02}.ppm"} for number in range(20)])
        else:
            (root / "t.txt").write_text("".join(f"{number:02}.ppm\n" for number in range(20)))
    return root / {"paths": "t.parquet", "list": "t.txt"}.get(kind, "")


@pytest.mark.skipif(os.name == "nt", reason="the time of an inode is that of its creation there")
@pytest.mark.parametrize("kind", ["zips", "tables", "paths", "list"])
def test_files_whose_times_are_set_back_are_read_again(model, generated, tmp_path, kind):
    (tmp_path / "in").mkdir()
    given = _write(kind, tmp_path / "in", pictures(20, 16))
    assert [is_hit(_run(model, generated, given)) for _ in range(2)] == [False, True]
    before = {path: path.stat() for path in (tmp_path / "in").iterdir()}
    _write(kind, tmp_path / "in", pictures(20, 16, 5))
    for path, status in before.items():
        assert path.stat().st_size == status.st_size
        if path.stat().st_mtime_ns != status.st_mtime_ns:
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    _check_read_again(model, generated, given)


@pytest.mark.skipif(os.name == "nt", reason="the time of an inode is that of its creation there")
@pytest.mark.parametrize("kind", ["zips", "tables", "npy"])
def test_files_that_may_have_changed_since_they_were_opened_are_not_kept(tmp_path, kind):
    """What is known of their inside, such as where each image is, may be of what was there before."""
    if kind == "npy":
        np.save(tmp_path / "x.npy", pictures(20, 16))
        given = tmp_path / "x.npy"
    else:
        given = _write(kind, tmp_path, pictures(20, 16))
    source = open_source(given)
    assert all(source.proofs(range(20), content=True))
    for path in tmp_path.iterdir():
        path.chmod(0o600)  # a change of the inode alone looks like one whose times were set back
    assert set(source.proofs(range(20), content=True)) == {""}
    assert all(open_source(given).proofs(range(20), content=True))


def test_rows_that_name_a_missing_file_are_not_kept(tmp_path):
    given = _write("paths", tmp_path, pictures(20, 16))
    (tmp_path / "07.ppm").unlink()
    assert [number for number, proof in enumerate(open_source(given).proofs(range(20))) if not proof] == [7]


def _run(model, generated, given, **options):
    return fastfid.compare(generated, given, model=model, cache=True, **options, **QUIET)


def _check_read_again(model, generated, given, **options):
    result = _run(model, generated, given, **options)
    assert not is_hit(result)
    assert result.fid == fastfid.score(generated, given, model=model, **options, **QUIET)


def _arrow(path):
    pa = pytest.importorskip("pyarrow")
    with pa.ipc.new_file(path / "x.arrow", pa.schema({"image": pa.binary()})) as file:
        file.write_table(pa.table({"image": [_ppm(image) for image in pictures(20, 16)]}))
    return path / "x.arrow"


MAPPED = {
    "npy": SOURCES["npy"],
    "npz": lambda path: np.savez(path / "x.npz", pictures(20, 16)) or path / "x.npz",
    "npys": lambda path: [np.save(path / f"{i}.npy", image) for i, image in enumerate(pictures(9, 16))] and path,
    "arrow": _arrow,
}


@pytest.mark.parametrize("kind", MAPPED)
def test_a_change_through_a_memory_map_is_noticed(model, tmp_path, kind, monkeypatch):
    """Such a change may leave all times as they are, here always."""
    (tmp_path / "in").mkdir()
    given = MAPPED[kind](tmp_path / "in")
    path = given if given.is_file() else given / "3.npy"
    status = path.stat()
    stat_as(monkeypatch, lambda _: status)
    source = open_source(given)
    before = list(source.proofs(range(source.size), content=True))
    assert all(before)
    data = path.read_bytes()
    values = pictures(9 if kind == "npys" else 20, 16)[3]
    at = data.index(values.tobytes())
    path.write_bytes(data[:at] + bytes(values.size) + data[at + values.size :])
    after = list(source.proofs(range(source.size), content=True))
    changed = [index for index in range(source.size) if before[index] != after[index]]
    assert changed == ([3] if kind == "npys" else list(range(20)))


def like(status, **changes):
    named = {name: getattr(status, name) for name in dir(status) if name.startswith("st_")}
    return types.SimpleNamespace(**{**named, **changes})


def stat_as(monkeypatch, stat):
    monkeypatch.setattr("fastfid.files.reading.os", types.SimpleNamespace(**{**vars(os), "stat": stat}))


@pytest.mark.parametrize(("nanoseconds", "sure"), [(0, False), (1, True)])
def test_times_in_whole_seconds_tell_no_changes(tmp_path, monkeypatch, nanoseconds, sure):
    """As where a file system has no other ones, or gives out the time that programs set."""
    path = tmp_path / "x"
    path.write_bytes(b"x")
    found = like(path.stat(), st_ctime_ns=10**18 + nanoseconds)
    stat_as(monkeypatch, lambda _: found)
    assert bool(proof_of_file(path)) == sure


def test_a_file_that_was_just_written_is_known_after_a_moment(tmp_path, monkeypatch):
    """The clock of a file system has steps; two changes in one of them have one time."""
    path, stat = tmp_path / "x", os.stat
    path.write_bytes(b"x")
    later = time.time_ns() + 10**9
    monkeypatch.setattr("fastfid.files.reading.time", types.SimpleNamespace(time_ns=lambda: later, sleep=slept.append))
    slept.clear()
    assert proof_of_file(path) != ""
    assert not slept
    times = iter([later - 10**6, later - 10**9 - 1])
    stat_as(monkeypatch, lambda path: like(stat(path), st_ctime_ns=next(times)))
    assert proof_of_file(path) != ""
    assert slept == [0.02]
    stat_as(monkeypatch, lambda path: like(stat(path), st_ctime_ns=later - 10**6))  # it is being written
    assert proof_of_file(path) == ""
    stat_as(monkeypatch, lambda path: like(stat(path), st_ctime_ns=later + 10**12 + 1))  # a clock was set back
    assert proof_of_file(path) != ""
    assert len(slept) == 2


slept = []
MOUNTS = """22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
31 27 7:0 / /data ro,relatime shared:3 - {kind} /dev/loop0 ro
"""


@pytest.mark.skipif(not hasattr(os, "makedev"), reason="devices have no numbers there")
@pytest.mark.parametrize(
    ("kind", "sure"), [("squashfs", False), ("fuse.sshfs", False), ("vfat", False), ("ext4", True), ("nfs4", True)]
)
def test_file_systems_that_do_not_keep_the_time_of_a_change(tmp_path, monkeypatch, kind, sure):
    (tmp_path / "mountinfo").write_text(MOUNTS.format(kind=kind))
    (tmp_path / "x").write_bytes(b"x")
    monkeypatch.setattr(mounts, "_TABLE", tmp_path / "mountinfo")
    mounts._tells.cache_clear()
    found = like((tmp_path / "x").stat(), st_ctime_ns=10**18 + 1)
    for device, expected in ((os.makedev(7, 0), sure), (os.makedev(254, 0), True), (os.makedev(9, 9), True)):
        found.st_dev = device
        stat_as(monkeypatch, lambda _: found)
        assert bool(proof_of_file(tmp_path / "x")) == expected
    monkeypatch.setattr(mounts, "_TABLE", tmp_path / "none")
    mounts._tells.cache_clear()
    assert mounts.tells_changes(os.makedev(7, 0))
    mounts._tells.cache_clear()


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_link_to_another_folder_is_another_set(model, generated, tmp_path, monkeypatch):
    """Also if the files of both were written at the same time."""
    for name, seed in (("a", 1), ("b", 2)):
        (tmp_path / name).mkdir()
        for number, image in enumerate(pictures(9, 16, seed)):
            (tmp_path / name / f"{number}.ppm").write_bytes(_ppm(image))
    stat = os.stat

    def same_times(path, *more, **options):
        found = stat(path, *more, **options)
        return like(found, st_mtime_ns=1, st_ctime_ns=1)

    (tmp_path / "current").symlink_to("a")
    stat_as(monkeypatch, same_times)
    assert [is_hit(_run(model, generated, tmp_path / "current")) for _ in range(2)] == [False, True]
    (tmp_path / "current").unlink()
    (tmp_path / "current").symlink_to("b")
    _check_read_again(model, generated, tmp_path / "current")


# --- behind addresses


@pytest.fixture
def objects(tmp_path, monkeypatch):
    """Stores of objects in memory, for ``gs://``: one for each `project`. `say` is what they say of the content."""
    fsspec = pytest.importorskip("fsspec")
    memory = type(fsspec.filesystem("memory"))

    class Objects(memory):
        protocol, stores = "gs", {}
        say = staticmethod(lambda data: {"ETag": f'"{hashlib.md5(data).hexdigest()}"'})

        def __init__(self, project="a", **options):
            super().__init__(**options)
            self.store, self.pseudo_dirs = self.stores.setdefault(project, {}), [""]

        @classmethod
        def _strip_protocol(cls, path):
            return memory._strip_protocol(str(path).removeprefix("gs://"))

        def info(self, path, **options):
            return self._said(super().info(path, **options))

        def ls(self, path, detail=True, **options):
            found = super().ls(path, detail=True, **options)
            return list(map(self._said, found)) if detail else [each["name"] for each in found]

        def _said(self, info):
            kept = {name: info[name] for name in ("name", "size", "type")}
            return kept if info["type"] == "directory" else {**kept, **self.say(self.store[info["name"]].getvalue())}

        def fill(self, seed=0, name="d"):
            for number, image in enumerate(pictures(9, 16, seed)):
                self.pipe_file(f"/{name}/{number}.ppm", _ppm(image))

    monkeypatch.setitem(importlib.import_module("fsspec.registry")._registry, "gs", Objects)
    return Objects


def test_an_object_behind_an_address(model, generated, objects):
    objects().fill()
    assert [is_hit(_run(model, generated, "gs://d")) for _ in range(2)] == [False, True]
    objects().pipe_file("/d/3.ppm", _ppm(pictures(9, 16)[4]))
    _check_read_again(model, generated, "gs://d")


@pytest.mark.parametrize("given", ["gs://d", "gs://z/a.zip", "gs://d/*.ppm", "gs://d/l.txt"])
@pytest.mark.parametrize(
    "said", [{"ETag": 'W/"1"'}, {"Last-Modified": "Thu, 26 Nov 2026 11:00:00 GMT"}, {"mtime": 1.5}, {"created": 1}, {}]
)
def test_what_a_server_does_not_surely_say_is_not_kept(objects, tmp_path, monkeypatch, given, said):
    fs = objects()
    fs.fill()
    _zip(tmp_path / "a.zip", pictures(9, 16))
    fs.pipe_file("/z/a.zip", (tmp_path / "a.zip").read_bytes())
    fs.pipe_file("/d/l.txt", "".join(f"{number}.ppm\n" for number in range(9)).encode())
    assert all(open_source(given).proofs(range(9)))
    monkeypatch.setattr(objects, "say", lambda _, data: said)
    assert set(open_source(given).proofs(range(9))) == {""}


def test_storage_options_say_which_objects_there_are(model, generated, objects, home):
    """Here the objects of two stores say the same of themselves."""
    objects.say = staticmethod(lambda data: {"ETag": '"1"'})
    for seed, project in enumerate(("secret-a", "secret-b")):
        objects(project).fill(seed)
    a, b = ({"storage_options": {"project": project}} for project in ("secret-a", "secret-b"))
    assert [is_hit(_run(model, generated, "gs://d", **a)) for _ in range(2)] == [False, True]
    _check_read_again(model, generated, "gs://d", **b)
    assert all(b"secret" not in path.read_bytes() for path in home.iterdir())
    opened = object()  # its text says only where it is in memory
    objects(opened).fill()
    assert set(open_source("gs://d", storage_options={"project": opened}).proofs(range(9))) == {""}


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ("tar://*.ppm::{}/t.tar", {}),
        ("tar://::{}/t.tar", {}),
        ("tar://*.ppm", {"fo": "{}/t.tar"}),
        ("zip://in/it", {"fo": "{}/a.zip"}),
        ("zip://in/it/*.ppm::{}/a.zip", {}),
        ("simplecache::gs://d", {}),
        ("memory://d", {}),
    ],
)
def test_what_is_inside_of_a_file_or_a_cache_is_not_kept(model, generated, objects, home, tmp_path, given, options):
    objects().fill()
    pytest.importorskip("fsspec").filesystem("memory").pipe_file("/d/0.ppm", _ppm(generated[0]))
    pytest.importorskip("fsspec").filesystem("memory").pipe_file("/d/1.ppm", _ppm(generated[1]))
    _zip(tmp_path / "a.zip", pictures(9, 16))
    with tarfile.open(tmp_path / "t.tar", "w") as file:
        for number, image in enumerate(pictures(9, 16)):
            info = tarfile.TarInfo(f"{number}.ppm")
            info.size = len(_ppm(image))
            file.addfile(info, io.BytesIO(_ppm(image)))
    options = {name: value.format(tmp_path) for name, value in options.items()}
    result = _run(model, generated, given.format(tmp_path), storage_options=options or None)
    assert "changes of it cannot be noticed" in " ".join(result.notes)
    assert not home.exists()


def test_a_data_set_is_told_by_its_content(tmp_path):
    """Its fingerprint may be that of the paths from which it was made."""
    datasets = pytest.importorskip("datasets")
    made = []
    for seed in (1, 1, 2):
        cells = [{"bytes": _ppm(image), "path": None} for image in pictures(9, 16, seed)]
        dataset = datasets.Dataset.from_dict({"image": cells}, datasets.Features({"image": datasets.Image()}))
        dataset._fingerprint = "same"
        made.append(list(open_source(dataset).proofs(range(9), content=True)))
    assert all(made[0])
    assert made[0] == made[1]
    assert not set(made[0]) & set(made[2])


class OwnFolder(Folder):
    """A source of fastfid that does something else with the images."""


def test_a_source_derived_from_one_of_fastfid_is_not_kept(model, generated, real, home):
    source = open_source(real)
    source.__class__ = OwnFolder
    result = _run(model, generated, source)
    assert "OwnFolder is from outside fastfid" in " ".join(result.notes)
    assert not home.exists()


class Own(fastfid.Source):
    def read(self, indices):
        for index in indices:
            yield fastfid.Item(f"image {index}", lambda index=index: pictures(20, 16)[index])

    def stamp_of(self, index):
        return str(index)


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
        (lambda real: Own("own", 20), {}, "test_fit_cache.Own is from outside fastfid"),
        (lambda real: real, {"engine": OwnEngine()}, "test_fit_cache.OwnEngine is from outside fastfid"),
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
