"""Runs that keep the fits of their pieces: the same bits after any interruption, and no pieces of another run."""

import io
import json
import logging
import os
import pickle
import random
import shutil
import signal
import time
import zipfile
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from upath import UPath

import fastfid
from fastfid import InputError, Need
from fastfid import sides as sides_module
from fastfid.cli.main import main
from fastfid.engines.packed import DamagedError, packed
from fastfid.engines.piece_files import PieceFiles, proof_of_piece
from fastfid.engines.run_facts import text_of
from fastfid.files.npz import Npz, write_npz
from fastfid.files.store import Store
from fastfid.fit import Fit
from fastfid.images.observed import Seen, Tally
from fastfid.metrics.intervals import Blocks
from fastfid.metrics.moments import MOMENTS
from fastfid.metrics.rows import Rows
from fastfid.metrics.vendi import UnitMoments
from fastfid.provenance import Provenance
from fastfid.sources import GLANCE, Piece, open_source, pieces
from pictures import folder, pictures
from processes import run
from servers import moto_port, s3, served_s3  # noqa: F401 - fixtures
from stand_in import stand_in

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")
PIECE = 20
METRICS = ["fid", "kid", "prdc", "vendi", "mind"]


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setitem(pieces.__kwdefaults__, "size", PIECE)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return str(stand_in(tmp_path_factory.mktemp("network") / "own.onnx"))


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    root = tmp_path_factory.mktemp("sides")
    return folder(root / "a", pictures(70, 16)), folder(root / "b", pictures(50, 16, 1, 30))


def numbers(comparison):
    return {name: (score.value, score.parts) for name, score in comparison.scores.items()}


def equal(one, other):
    np.testing.assert_equal(numbers(one), numbers(other))
    assert (one.a, one.b) == (other.a, other.b)
    assert one.provenance == other.provenance
    assert one.warnings == other.warnings


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_what_is_kept(network, sides, tmp_path):
    options = {"model": network, "metrics": METRICS, "bootstrap": 20}
    plain = fastfid.compare(*sides, **options)
    kept = fastfid.compare(*sides, resume=tmp_path / "kept", **options)
    equal(plain, kept)
    assert files(tmp_path / "kept") == [
        *(f"a/piece-00000{i}.npz" for i in range(4)),
        "a/run.json",
        *(f"b/piece-00000{i}.npz" for i in range(3)),
        "b/run.json",
    ]
    equal(plain, fastfid.compare(*sides, resume=tmp_path / "kept", **options))


@settings(max_examples=15, deadline=None)
@given(missing=st.sets(st.sampled_from([*(f"a/{i}" for i in range(4)), *(f"b/{i}" for i in range(3))])))
def test_any_pieces_may_be_missing(network, sides, tmp_path_factory, missing):
    options = {"model": network, "metrics": METRICS}
    root = tmp_path_factory.mktemp("kept")
    plain = fastfid.compare(*sides, resume=root, **options)
    for name in missing:
        side, number = name.split("/")
        (root / side / f"piece-00000{number}.npz").unlink()
    seen = []
    equal(plain, fastfid.compare(*sides, resume=root, progress=lambda done, of: seen.append((done, of)), **options))
    assert len(files(root)) == 9
    for of in (70, 50):
        done = [n for n, total in seen if total == of]
        assert done == sorted(done)
        assert done[-1] == of


def test_pieces_that_are_there_are_not_computed_again(network, sides, tmp_path, caplog):
    fastfid.statistics(sides[0], model=network, resume=tmp_path)
    (tmp_path / "piece-000002.npz").unlink()
    times = {name: (tmp_path / name).stat().st_mtime_ns for name in files(tmp_path)}
    caplog.set_level(logging.INFO, "fastfid")
    fastfid.statistics(sides[0], model=network, resume=tmp_path)
    assert f"3 of 4 pieces are in {tmp_path} already" in caplog.messages
    assert times == {name: (tmp_path / name).stat().st_mtime_ns for name in times}


@pytest.mark.parametrize("engine", ["processes"])
def test_other_engines(network, sides, tmp_path, engine):
    script = (
        "import sys, fastfid; from fastfid.sources.pieces import pieces; pieces.__kwdefaults__['size'] = 20\n"
        "if __name__ == '__main__':\n"
        "    s = fastfid.statistics(sys.argv[1], model=sys.argv[2], device='cpu,cpu', resume=sys.argv[3])\n"
        "    print(s.sigma.tobytes().hex())"
    )
    path = tmp_path / "script.py"
    path.write_text(script)
    done = run(
        f"import runpy; runpy.run_path({str(path)!r}, run_name='__main__')", sides[0], network, tmp_path / "kept"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == fastfid.statistics(sides[0], model=network).sigma.tobytes().hex()
    (tmp_path / "kept" / "piece-000001.npz").unlink()
    again = fastfid.statistics(sides[0], model=network, resume=tmp_path / "kept")
    assert again.sigma.tobytes().hex() == done.stdout.strip()


class TestAnotherRun:
    @pytest.mark.parametrize(
        ("changed", "text"),
        [
            ({"mode": "size=8 resize=bicubic"}, "mode size=8 resize=bilinear .* there, size=8 resize=bicubic .* here"),
            ({"batch_size": 4}, "batch_size 16 there, 4 here"),
            (
                {"metrics": ["fid", "kid"]},
                "the metrics need Statistics of features there, .*, Rows of features here",
            ),
            ({"limit": 30}, "other images, or in another order: 70 of .*a there, 30 of .*a here"),
            ({"limit": 30, "seed": 1}, "other images, or in another order"),
        ],
    )
    def test_is_refused_by_name(self, sides, tmp_path, changed, text):
        model = stand_in(tmp_path / "own.onnx", mode="")
        usual = {"model": model, "mode": "size=8 resize=bilinear", "metrics": ["fid"]}
        fastfid.fit(sides[0], resume=tmp_path / "kept", **usual)
        before = files(tmp_path)
        with pytest.raises(InputError, match=f"kept keeps the pieces of another run: {text}"):
            fastfid.fit(sides[0], resume=tmp_path / "kept", **{**usual, **changed})
        assert files(tmp_path) == before

    def test_with_another_model(self, network, sides, tmp_path):
        fastfid.statistics(sides[0], model=network, resume=tmp_path / "kept")
        other = stand_in(tmp_path / "own.onnx", seed=1)
        with pytest.raises(InputError, match="of another run: sha256 [0-9a-f]{64} there, [0-9a-f]{64} here"):
            fastfid.statistics(sides[0], model=other, resume=tmp_path / "kept")

    def test_of_another_range_of_values(self, network, tmp_path):
        images = pictures(45, 16) / np.float32(255)
        usual = {"model": network, "value_range": (0, 1), "quantise": "round", "resume": tmp_path}
        fastfid.statistics(images, **usual)
        with pytest.raises(InputError, match=r"another run: value_range 0\.0, 1\.0 there, -1\.0, 1\.0 here"):
            fastfid.statistics(images, **{**usual, "value_range": (-1, 1)})
        with pytest.raises(InputError, match="another run: quantise round there, edm here"):
            fastfid.statistics(images, **{**usual, "quantise": "edm"})

    def test_of_another_version(self, network, sides, tmp_path, monkeypatch):
        fastfid.statistics(sides[0], model=network, resume=tmp_path)
        monkeypatch.setattr("PIL.__version__", "0.9")
        with pytest.raises(InputError, match=r"another run: versions .* there, .*pillow 0\.9 here"):
            fastfid.statistics(sides[0], model=network, resume=tmp_path)

    def test_of_another_source(self, network, sides, tmp_path):
        fastfid.statistics(sides[0], model=network, resume=tmp_path)
        with pytest.raises(InputError, match="other images, or in another order: 70 of .*a there, 50 of .*b here"):
            fastfid.statistics(sides[1], model=network, resume=tmp_path)

    def test_whose_images_have_the_same_names(self, network, sides, tmp_path):
        fastfid.statistics(sides[0], model=network, resume=tmp_path / "kept")
        other = folder(tmp_path / "other", pictures(70, 16, 5))
        with pytest.raises(InputError, match="images of the same names, but other ones: .*a there, .*other here"):
            fastfid.statistics(other, model=network, resume=tmp_path / "kept")

    def test_of_both_sides_is_found_before_an_image_is_read(self, network, sides, tmp_path):
        fastfid.compare(*sides, model=network, resume=tmp_path)
        shutil.rmtree(tmp_path / "a")
        with pytest.raises(InputError, match="b keeps the pieces of another run: other images"):
            fastfid.compare(sides[0], sides[0], model=network, resume=tmp_path)
        assert files(tmp_path / "a") == ["run.json"]

    def test_pieces_without_a_run(self, network, sides, tmp_path):
        fastfid.statistics(sides[0], model=network, resume=tmp_path)
        (tmp_path / "run.json").unlink()
        with pytest.raises(InputError, match=r"has pieces, but no run\.json that says what made them"):
            fastfid.statistics(sides[0], model=network, resume=tmp_path)

    def test_a_piece_of_another_run(self, network, sides, tmp_path, caplog):
        caplog.set_level(logging.INFO, "fastfid")
        wanted = fastfid.statistics(sides[0], model=network, resume=tmp_path / "one").sigma
        fastfid.statistics(sides[1], model=network, resume=tmp_path / "other")
        shutil.copy(tmp_path / "other" / "piece-000001.npz", tmp_path / "one")
        found = fastfid.statistics(sides[0], model=network, resume=tmp_path / "one").sigma
        assert found.tobytes() == wanted.tobytes()
        assert any("piece-000001.npz is damaged: it belongs to another run" in text for text in caplog.messages)


def stored(path, images):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(images.iterdir()):
            archive.writestr(zipfile.ZipInfo(file.name), file.read_bytes())


def to_another_folder(path, other):
    copy = shutil.copytree(path, path.with_name("copy"))  # with the times
    times = (copy / "024.bmp").stat()
    shutil.copy(other, copy / "024.bmp")
    os.utime(copy / "024.bmp", ns=(times.st_atime_ns, times.st_mtime_ns))
    path.with_name("current").unlink()
    path.with_name("current").symlink_to(copy)


def archive_again(path, other):
    shutil.copy(other, path / "024.bmp")
    stored(path.with_name("set.zip"), path)


CHANGES = {
    "in place": lambda path, other: (path / "024.bmp").write_bytes(other.read_bytes()),
    "by renaming": lambda path, other: other.rename(path / "024.bmp"),
    "through another name": lambda path, other: path.with_name("link.bmp").write_bytes(other.read_bytes()),
    "link to a folder": to_another_folder,
    "archive": archive_again,
}


class TestChanges:
    @pytest.mark.parametrize("kind", ["folder", "zip", "npy", "array", "list", "pairs"])
    def test_are_noticed(self, network, tmp_path, kind):
        images = pictures(45, 16)
        in_memory = {"array": np.copy, "list": list, "pairs": lambda images: [(image, 1) for image in images]}

        def make(images):
            path = folder(tmp_path / "set", images)
            if kind == "zip":
                path = shutil.make_archive(str(tmp_path / "set"), "zip", path)
            if kind == "npy":
                path = tmp_path / "set.npy"
                np.save(path, images)
            return in_memory[kind](images) if kind in in_memory else path

        fastfid.statistics(make(images), model=network, resume=tmp_path / "kept")
        images = images.copy()
        images[25] += 1
        time.sleep(0.01)
        with pytest.raises(InputError, match="on are others, or have changed since: give another folder, or remove"):
            fastfid.statistics(make(images), model=network, resume=tmp_path / "kept")

    def test_of_one_image_concern_its_piece_only(self, network, tmp_path):
        path = folder(tmp_path / "set", pictures(45, 16))
        fastfid.statistics(path, model=network, resume=tmp_path / "kept")
        shutil.copy(path / "026.png", path / "025.png")
        with pytest.raises(InputError, match=r"piece-000001\.npz was made from .* and 20 images from .*020\.png"):
            fastfid.statistics(path, model=network, resume=tmp_path / "kept")
        (tmp_path / "kept" / "piece-000001.npz").unlink()
        again = fastfid.statistics(path, model=network, resume=tmp_path / "kept")
        assert again.sigma.tobytes() == fastfid.statistics(path, model=network).sigma.tobytes()

    @pytest.mark.skipif(os.name == "nt", reason="the time of an inode is that of its creation there")
    @pytest.mark.parametrize("change", CHANGES)
    def test_that_leave_size_and_time_as_they_are(self, network, tmp_path, change):
        path, given = folder(tmp_path / "set", pictures(45, 16), "bmp"), tmp_path / "set"
        os.link(path / "024.bmp", tmp_path / "link.bmp")
        if change == "archive":
            given = tmp_path / "set.zip"
            stored(given, path)
        if change == "link to a folder":
            given = tmp_path / "current"
            given.symlink_to(path)
        kept = {"model": network, "resume": tmp_path / "kept"}
        fastfid.statistics(given, **kept)
        one = next(given.rglob("024.bmp")) if given.is_dir() else given
        before = one.stat()
        other = tmp_path / "other.bmp"
        shutil.copy(path / "025.bmp", other)
        CHANGES[change](path, other)
        if change != "link to a folder":
            os.utime(one, ns=(before.st_atime_ns, before.st_mtime_ns))
        after = one.stat()
        assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
        with pytest.raises(InputError, match=r"piece-000001\.npz was made from"):
            fastfid.statistics(given, **kept)

    def test_while_images_are_read_are_noticed_later(self, network, tmp_path):
        """What is kept belongs to the images that were read."""
        path = folder(tmp_path / "set", pictures(45, 16))

        def change(done, total):
            if done == 45:
                shutil.copy(path / "026.png", path / "025.png")

        fastfid.statistics(path, model=network, resume=tmp_path / "kept", progress=change)
        with pytest.raises(InputError, match=r"piece-000001\.npz was made from"):
            fastfid.statistics(path, model=network, resume=tmp_path / "kept")

    def test_after_an_image_was_glanced_at_are_noticed_later(self, network, tmp_path, monkeypatch):
        """A few images are decoded before the run, and used in it."""
        path, plain = folder(tmp_path / "set", pictures(45, 16)), sides_module.glanced
        looked_at = {*np.random.RandomState(0).permutation(45)[:GLANCE].tolist()}
        one = min(looked_at - {0, 7, 14, 20, 27, 34, 40, 42, 44})  # without those that the facts of the run have

        def glanced(side):
            found = plain(side)
            Image.fromarray(pictures(1, 16, 5)[0]).save(path / f"{one:03}.png")
            return found

        with monkeypatch.context() as patch:
            patch.setattr(sides_module, "glanced", glanced)
            fastfid.statistics(path, model=network, resume=tmp_path / "kept")
        with pytest.raises(InputError, match=r"piece-00000.\.npz was made from"):
            fastfid.statistics(path, model=network, resume=tmp_path / "kept")

    def test_copies_are_the_same_images(self, network, tmp_path, caplog):
        """As on another machine, or after the data were unpacked again: they are compared, and no network runs."""
        path = folder(tmp_path / "set", pictures(45, 16))
        (path / "030.png").write_bytes(b"none")
        kept = {"model": network, "resume": tmp_path / "kept", "on_error": "skip"}
        wanted = fastfid.statistics(path, **kept)
        times = {name: (tmp_path / "kept" / name).stat().st_mtime_ns for name in files(tmp_path / "kept")}
        shutil.copytree(path, tmp_path / "copy")
        caplog.set_level(logging.INFO, "fastfid")
        assert fastfid.statistics(tmp_path / "copy", **kept).sigma.tobytes() == wanted.sigma.tobytes()
        text = f"nothing proves that {tmp_path / 'copy'} is unchanged: its images are read again and compared"
        assert caplog.messages.count(text) == 1
        assert times == {name: (tmp_path / "kept" / name).stat().st_mtime_ns for name in times}
        (tmp_path / "copy" / "030.png").write_bytes((path / "031.png").read_bytes())
        with pytest.raises(InputError, match=r"piece-000001\.npz was made from .*set, and 20 images"):
            fastfid.statistics(tmp_path / "copy", **kept)

    def test_images_that_decode_and_are_left_out_all_the_same(self, tmp_path, monkeypatch):
        """Here one becomes too large when its shorter side is resized; it is compared like the others."""
        monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 400)
        path, odd = folder(tmp_path / "set", pictures(45, 16)), np.full((1, 9, 3), 7, np.uint8)
        Image.fromarray(odd).save(path / "030.png")
        model = stand_in(tmp_path / "own.onnx", mode="")
        kept = {"model": model, "mode": "size=8 resize=box shortest=10", "resume": tmp_path / "kept"}
        with pytest.raises(fastfid.errors.ImageError, match=r"030\.png: an image of 9x1 pixels .* becomes 90x10 when"):
            fastfid.statistics(path, **kept)
        kept["on_error"] = "skip"
        wanted = fastfid.fit(path, **kept)
        shutil.copytree(path, tmp_path / "copy")
        found = fastfid.fit(tmp_path / "copy", **kept)
        assert found[MOMENTS].sigma.tobytes() == wanted[MOMENTS].sigma.tobytes()
        assert (found.n, found.seen.rejected) == (44, wanted.seen.rejected)
        Image.fromarray(odd + 1).save(tmp_path / "copy" / "030.png")
        with pytest.raises(InputError, match=r"piece-000001\.npz was made from"):
            fastfid.fit(tmp_path / "copy", **kept)

    def test_two_images_that_change_places(self, network, tmp_path):
        path = folder(tmp_path / "set", pictures(45, 16), "bmp")
        fastfid.statistics(path, model=network, resume=tmp_path / "kept")
        for old, new in (("025", "x"), ("026", "025"), ("x", "026")):
            (path / f"{old}.bmp").rename(path / f"{new}.bmp")
        with pytest.raises(InputError, match=r"piece-000001\.npz was made from"):
            fastfid.statistics(path, model=network, resume=tmp_path / "kept")

    @pytest.mark.parametrize("stamps", [False, True])
    def test_of_a_source_from_outside(self, network, tmp_path, stamps):
        """If it gives stamps, it vouches for them; otherwise its images are compared."""
        read = []

        class Own(fastfid.Source):
            shift = 0

            def read(self, indices):
                for index in indices:
                    read.append(index)
                    yield fastfid.Item(str(index), partial(np.full, (8, 8, 3), index + self.shift * (index == 25)))

            def stamp_of(self, index):
                return f"{index}" if stamps else ""

        own = Own("own", 45)
        wanted = fastfid.statistics(own, model=network, resume=tmp_path)
        read.clear()
        assert fastfid.statistics(own, model=network, resume=tmp_path).sigma.tobytes() == wanted.sigma.tobytes()
        assert len(read) == 9 + (0 if stamps else 45)  # of a few the hash is among the facts of the run
        own.shift = 9
        if not stamps:
            with pytest.raises(InputError, match=r"piece-000001\.npz was made from"):
                fastfid.statistics(own, model=network, resume=tmp_path)


class TestAnEarlierVersion:
    """Its pieces tell of their images only sizes and times."""

    def write(self, network, path, kept):
        wanted = fastfid.statistics(path, model=network, resume=kept)
        facts = json.loads((kept / "run.json").read_text())
        (kept / "run.json").write_text(json.dumps({**facts, "format": 1}))
        for piece in kept.glob("piece-*"):
            rewrite(piece, changed_facts(format=1))
        return wanted

    def test_is_begun_anew(self, network, sides, tmp_path, caplog):
        wanted = self.write(network, sides[0], tmp_path)
        caplog.set_level(logging.INFO, "fastfid")
        for _ in range(2):
            assert (
                fastfid.statistics(sides[0], model=network, resume=tmp_path).sigma.tobytes() == wanted.sigma.tobytes()
            )
        assert caplog.messages.count(f"{tmp_path} was written by an earlier version of fastfid: begun anew") == 1
        assert f"4 of 4 pieces are in {tmp_path} already" in caplog.messages

    def test_is_not_merged(self, network, sides, tmp_path):
        self.write(network, sides[0], tmp_path)
        with pytest.raises(InputError, match="was written by an earlier version of fastfid: run its parts again"):
            fastfid.merge(tmp_path)


class TestDamage:
    @pytest.mark.parametrize("keep", [0, 100, 3000, -1])
    def test_of_half_a_file_is_repaired(self, network, sides, tmp_path, keep):
        wanted = fastfid.statistics(sides[0], model=network, resume=tmp_path).sigma
        path = tmp_path / "piece-000001.npz"
        path.write_bytes(path.read_bytes()[:keep])
        assert fastfid.statistics(sides[0], model=network, resume=tmp_path).sigma.tobytes() == wanted.tobytes()

    def test_inside_a_file_is_found(self, network, sides, tmp_path):
        fastfid.statistics(sides[0], model=network, resume=tmp_path)
        path = tmp_path / "piece-000001.npz"
        data = bytearray(path.read_bytes())
        data[data.index(b"0.m2.npy") + 400] ^= 1
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"piece-000001\.npz is damaged: .*CRC.*: remove it, and run again"):
            fastfid.statistics(sides[0], model=network, resume=tmp_path)

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "1"}', "\0"])
    def test_of_the_facts(self, network, sides, tmp_path, text):
        fastfid.statistics(sides[0], model=network, resume=tmp_path)
        (tmp_path / "run.json").write_text(text)
        with pytest.raises(InputError, match=r"cannot read .*run\.json: "):
            fastfid.statistics(sides[0], model=network, resume=tmp_path)

    def test_of_a_later_format(self, network, sides, tmp_path):
        fastfid.statistics(sides[0], model=network, resume=tmp_path)
        facts = json.loads((tmp_path / "run.json").read_text())
        (tmp_path / "run.json").write_text(json.dumps({**facts, "format": 3}))
        with pytest.raises(InputError, match="was written by a newer fastfid: upgrade to read it"):
            fastfid.statistics(sides[0], model=network, resume=tmp_path)


def test_an_image_that_is_left_out_is_listed_again(network, tmp_path):
    path = folder(tmp_path / "set", pictures(45, 16))
    (path / "030.png").write_bytes(b"none")
    options = {"model": network, "on_error": "skip", "resume": tmp_path / "kept", "metrics": ["authpct"]}
    first = fastfid.compare(path, path, **options)
    second = fastfid.compare(path, path, **options)
    equal(first, second)
    assert second.a.n == 44
    assert "030.png" in second.a.rejected[0]


class Estimated:
    def __len__(self):
        return 7

    def __iter__(self):
        return iter(pictures(5))


def test_a_run_that_ended_at_a_bad_image_goes_on_without_it(network, tmp_path):
    path = folder(tmp_path / "set", pictures(70, 16))
    (path / "050.png").write_bytes(b"none")
    options = {"model": network, "resume": tmp_path / "kept"}
    with pytest.raises(fastfid.ImageError, match=r"050\.png"):
        fastfid.statistics(path, **options)
    assert {"piece-000000.npz", "piece-000001.npz"} <= {*files(tmp_path / "kept")}
    times = {name: (tmp_path / "kept" / name).stat().st_mtime_ns for name in files(tmp_path / "kept")}
    wanted = fastfid.statistics(path, model=network, on_error="skip")
    assert fastfid.statistics(path, on_error="skip", **options).sigma.tobytes() == wanted.sigma.tobytes()
    assert times == {name: (tmp_path / "kept" / name).stat().st_mtime_ns for name in times}
    with pytest.raises(fastfid.ImageError, match=r"050\.png"):  # as without the pieces
        fastfid.statistics(path, **options)


def test_other_names_in_the_folder(network, sides, tmp_path):
    wanted = fastfid.statistics(sides[0], model=network, resume=tmp_path).sigma
    for name in ("piece-0.npz", "piece-x.npz", "piece-000099.npz", ".piece-000001.npz.0.part"):
        (tmp_path / name).touch()
    (tmp_path / "piece-000002.npz").unlink()
    (tmp_path / "piece-000002.npz").mkdir()
    with pytest.raises(InputError, match=r"cannot write .*piece-000002\.npz: "):
        fastfid.statistics(sides[0], model=network, resume=tmp_path)
    (tmp_path / "piece-000002.npz").rmdir()
    assert fastfid.statistics(sides[0], model=network, resume=tmp_path).sigma.tobytes() == wanted.tobytes()


def test_a_file_address_is_a_folder(network, sides, tmp_path):
    wanted = fastfid.statistics(sides[0], model=network, resume=f"file://{tmp_path}/kept").sigma
    path = tmp_path / "kept" / "piece-000001.npz"
    path.write_bytes(path.read_bytes()[:1000])
    for place in (UPath(f"file://{tmp_path}/kept"), tmp_path / "kept"):
        assert fastfid.statistics(sides[0], model=network, resume=place).sigma.tobytes() == wanted.tobytes()


def test_a_bucket_that_is_not_there_is_not_made(network, sides, s3):  # noqa: F811
    options = {"storage_options": s3.options, "resume": "s3://no-such-bucket/kept"}
    with pytest.raises(InputError, match="s3://no-such-bucket/kept"):
        fastfid.statistics(sides[0], model=network, **options)
    assert not s3.plain.exists("no-such-bucket")


@pytest.mark.parametrize("make", [Estimated, lambda: (image for image in pictures(5))])
def test_what_cannot_be_resumed(network, tmp_path, make):
    with pytest.raises(InputError, match="does not surely say how many images it has: its runs cannot be resumed"):
        fastfid.statistics(make(), model=network, resume=tmp_path)


def test_the_folder_is_a_file(network, sides, tmp_path):
    (tmp_path / "kept").touch()
    with pytest.raises(InputError, match="kept is a file; results are kept in a folder"):
        fastfid.statistics(sides[0], model=network, resume=tmp_path / "kept")


def test_an_address(network, sides):
    wanted = fastfid.statistics(sides[0], model=network)
    for _ in range(2):
        found = fastfid.statistics(sides[0], model=network, resume="memory://kept/here")
        assert found.sigma.tobytes() == wanted.sigma.tobytes()
    store = Store("memory://kept/here")
    assert store.names() == {"run.json", *(f"piece-00000{i}.npz" for i in range(4))}
    assert pickle.loads(pickle.dumps(store)).names() == store.names()


def test_pieces_in_s3_with_faults(network, sides, s3):  # noqa: F811
    """Busy answers, cut connections and half bodies, of a tenth of all requests."""
    s3.fill("pieces", sides[0])
    faults = {"GET": ["503", "cut", "reset", "short", "slow"], "PUT": ["503", "reset", "cut"], "HEAD": ["503", "reset"]}
    rng = random.Random(os.urandom(8))
    s3.proxy.fault = lambda method, path, number: rng.choice([*faults.get(method, [""]), *[""] * 36])
    wanted = fastfid.statistics(sides[0], model=network)
    options = {"model": network, "storage_options": s3.options, "resume": f"s3://pieces/kept-{rng.random()}"}
    for _ in range(3):
        found = fastfid.statistics("s3://pieces", **options)
        assert (found.n, found.sigma.tobytes()) == (70, wanted.sigma.tobytes())
        store = Store(options["resume"], s3.options)
        assert store.names() == {"run.json", *(f"piece-00000{i}.npz" for i in range(4))}
        s3.plain.rm(f"{store.place.removeprefix('s3://')}/piece-00000{rng.randrange(4)}.npz")
    assert len(s3.proxy.requests) > 150


def test_per_class(network, tmp_path):
    for name, seed in (("cat", 0), ("dog", 1)):
        for side in "ab":
            folder(tmp_path / side / name, pictures(30, 16, seed + ord(side)))
    options = {"model": network, "per_class": True, "metrics": ["fid", "kid"]}
    plain = fastfid.compare(tmp_path / "a", tmp_path / "b", **options)
    for _ in range(2):
        kept = fastfid.compare(tmp_path / "a", tmp_path / "b", resume=tmp_path / "kept", **options)
        equal(plain, kept)
        assert kept.classes == plain.classes


def test_a_killed_run_goes_on(network, tmp_path):
    path = folder(tmp_path / "set", pictures(300, 16))
    code = (
        "import sys, os, time, fastfid; from fastfid.sources.pieces import pieces; pieces.__kwdefaults__['size'] = 20\n"
        "def show(done, of):\n"
        "    if done >= int(sys.argv[4]):\n"
        "        os.kill(os.getpid(), 9)\n"
        "fastfid.statistics(sys.argv[1], model=sys.argv[2], resume=sys.argv[3], progress=show)"
    )
    for least in (100, 200):
        done = run(code, path, network, tmp_path / "kept", least)
        assert done.returncode == -signal.SIGKILL, done.stderr
    there = [name for name in files(tmp_path / "kept") if name.startswith("piece-")]
    assert 0 < len(there) < 15
    again = fastfid.statistics(path, model=network, resume=tmp_path / "kept")
    assert again.sigma.tobytes() == fastfid.statistics(path, model=network).sigma.tobytes()
    assert again.n == 300


class Own(fastfid.Accumulator):
    def __init__(self, dims):
        self.total, self.names = np.zeros(dims), "texts"

    def update(self, rows):
        self.total += rows.sum(axis=0)

    def merge(self, other):
        self.total += other.total


class WithAList(Own):
    def __init__(self, dims):
        super().__init__(dims)
        self.parts = []


ROWS = np.random.RandomState(0).randn(11, 3).astype(np.float32)
MADE_BY = Provenance("own", "0" * 64, "size=8", 3)


def files_of(path, *needs, run="run"):
    return PieceFiles(Store(path), needs, {"features": 3}, run, MADE_BY)


@pytest.mark.parametrize("accumulator", [fastfid.Statistics, Rows, Blocks, UnitMoments, Own])
def test_a_state_comes_back(tmp_path, accumulator):
    need = Need("features", accumulator)
    fit = Fit.empty([need], {"features": 3}).update({"features": ROWS}, [Seen(size=(1, 2), digest=2**64 - 1)] * 11)
    fit.seen.add([Seen(rejected="\udc80 and more")])
    piece = Piece(open_source(pictures(12)), 7, range(12), 12)
    files_of(tmp_path, need).write(piece, fit, proof_of_piece(piece))
    found = files_of(tmp_path, need).read_number(7)
    np.testing.assert_equal(found[need].__getstate__(), fit[need].__getstate__())
    assert (found.n, found.seen, found.provenance) == (11, fit.seen, MADE_BY)


def test_a_state_that_no_file_can_hold(tmp_path):
    need = Need("features", WithAList)
    fit = Fit.empty([need], {"features": 3}).update({"features": ROWS})
    with pytest.raises(InputError, match=r"WithAList of features cannot be kept .*: parts .* is a list"):
        files_of(tmp_path, need).write(Piece(open_source(pictures(11)), 0, range(11), 11), fit, "")


def test_a_piece_for_which_there_is_no_memory(tmp_path, monkeypatch):
    class Full(io.BytesIO):
        def write(self, data):
            self.close()  # as one is closed that could not grow
            raise MemoryError

    monkeypatch.setattr("fastfid.engines.packed.io.BytesIO", Full)
    fit = Fit.empty([MOMENTS], {"features": 3}).update({"features": ROWS}, [Seen()] * 11)
    with pytest.raises(MemoryError, match="no memory for a piece"):
        files_of(tmp_path, MOMENTS).write(Piece(open_source(pictures(11)), 0, range(11), 11), fit, "")


def damaged(tmp_path, change, need=MOMENTS):
    """Write a piece, change its arrays, and read it."""
    fit = Fit.empty([need], {"features": 3}).update({"features": ROWS}, [Seen()] * 11)
    files_of(tmp_path, need).write(Piece(open_source(pictures(11)), 0, range(11), 11), fit, "")
    rewrite(tmp_path / "piece-000000.npz", change)
    with pytest.raises(DamagedError) as caught:
        files_of(tmp_path, need).read_number(0)
    return str(caught.value)


def rewrite(path, change):
    with Npz(path) as npz:
        arrays = {key: npz.read(key, 1 << 20) for key in npz.keys}
    change(arrays)
    with path.open("wb") as file:
        write_npz(file, arrays.items())


def changed_facts(**changes):
    def change(arrays):
        facts = json.loads(str(arrays["piece"]))
        arrays["piece"] = np.array(json.dumps({**facts, **changes}))

    return change


@pytest.mark.parametrize(
    "change",
    [
        *(changed_facts(n=n) for n in (10, -1, "11", None, 1.5)),
        *(changed_facts(seen=seen) for seen in ({}, [], None, {"rejected": 5})),
        *(changed_facts(states=states) for states in ([], [{}], [{"version": 2, "dims": 4, "n": 11}], None)),
        *(changed_facts(provenance=made) for made in (5, "{}")),
        changed_facts(run="another"),
        changed_facts(number=3),
        changed_facts(format="x"),
        lambda arrays: arrays.pop("digests"),
        lambda arrays: arrays.pop("piece"),
        lambda arrays: arrays.pop("0.m2"),
        lambda arrays: arrays.update({"0.pending": np.zeros((11, 4), np.float32)}),
        lambda arrays: arrays.update({"0.pending": np.zeros((9, 3), np.float32)}),
        lambda arrays: arrays.update({"piece": np.zeros(4)}),
        lambda arrays: arrays.update({"digests": np.zeros(4) - 1}),
    ],
)
def test_a_hostile_file_is_damaged(tmp_path, change):
    assert "piece-000000.npz is damaged: " in damaged(tmp_path, change)


@pytest.mark.parametrize("accumulator", [fastfid.Statistics, Rows, Blocks, UnitMoments])
@pytest.mark.parametrize("shape", [(10, 3), (11, 4)])
def test_a_state_of_other_rows_than_the_file_says(tmp_path, accumulator, shape):
    need = Need("features", accumulator)
    other = Fit.empty([need], {"features": shape[1]}).update({"features": np.ones(shape, np.float32)}, [Seen()] * 11)
    file = io.BytesIO(packed(other, [need], {}))
    with Npz(file) as npz:
        held = {key: npz.read(key, 1 << 20) for key in npz.keys}
    states = json.loads(str(held.pop("piece")))["states"]

    def change(arrays):
        changed_facts(states=states)(arrays)
        arrays |= held

    assert "piece-000000.npz is damaged: " in damaged(tmp_path, change, need)


def test_needs_as_texts():
    assert text_of(MOMENTS) == "fastfid.Statistics of features"
    assert text_of(Need("logits", partial(Own, 3))) == f"{__name__}.Own(3,)[] of logits"


def test_a_tally_stops_looking_for_copies(monkeypatch):
    monkeypatch.setattr("fastfid.images.observed.MOST_DIGESTS", 5)
    one, other = Tally(), Tally()
    one.add([Seen(digest=i) for i in (1, 2, 3)])
    other.add([Seen(digest=i) for i in (3, 4, 5, 6, 7, 3)])
    one.merge(other)
    assert len(other.digests) == 5
    assert len(one.digests) == 5
    assert one.repeated == 2


def test_from_the_command_line(network, sides, tmp_path, capsys):
    wanted = fastfid.score(*sides, model=network)
    for _ in range(2):
        assert main([*map(str, sides), "--model", network, "--resume", str(tmp_path), "--quiet"]) == 0
        assert capsys.readouterr().out.splitlines()[-1] == f"FID:  {wanted}"
