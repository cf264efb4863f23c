"""`prepare`: the crops, bit by bit, and a folder or zip that is whole or not there."""

import hashlib
import json
import operator
import os
import shutil
import sys
import tarfile
import threading
import types
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fastfid
import kinds
from fastfid.cli.main import main
from fastfid.images.crops import CROPS, crop
from fastfid.images.decode import decode, is_pil
from fastfid.protocols import PROTOCOLS
from fastfid.protocols.prepared import Prepared, prepared_of
from golden.make_crops_golden import digest, images

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")
GOLDEN = json.loads((Path(__file__).parent / "golden" / "crops.json").read_text())
ADM = "imagenet-64-adm"
SIZE = 64


# The crops.


@pytest.fixture(scope="module")
def drawn():
    return images()


@pytest.mark.parametrize("kind", GOLDEN)
def test_equals_the_tools_own_code(kind, drawn):
    for name, expected in GOLDEN[kind].items():
        size, pixels = name.split()
        assert digest(crop(drawn[size], int(pixels), kind)) == expected, name


def test_every_crop_that_resizes_has_golden_numbers():
    assert {*GOLDEN, "whole"} == CROPS.keys()


def by_hand(image, size, kind):
    """What each crop is in words, with Pillow."""
    whole = Image.fromarray(image)
    width, height = whole.size
    if kind == "stretch":
        return whole if whole.size == (size, size) else whole.resize((size, size), Image.Resampling.LANCZOS)
    if kind.startswith("square"):
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        to_whole = np.floor if kind == "square" else np.round
        left, top = int(to_whole(left)), int(to_whole(top))
        square = whole.crop((left, top, left + side, top + side))
        return square.resize((size, size), Image.Resampling.LANCZOS)
    last = Image.Resampling.BOX
    if kind == "adm":
        last = Image.Resampling.BICUBIC
        for _ in range(int(np.log2(min(width, height) / size)) if min(width, height) >= size else 0):
            width, height = width // 2, height // 2
            whole = whole.resize((width, height), Image.Resampling.BOX)
    scale = size / min(width, height)
    whole = whole.resize((round(width * scale), round(height * scale)), last)
    left, top = (whole.width - size) // 2, (whole.height - size) // 2
    return whole.crop((left, top, left + size, top + size))


@pytest.mark.parametrize("kind", GOLDEN)
def test_equals_the_crop_in_words(kind):
    rng = np.random.RandomState()
    for _ in range(6):
        height, width, size = rng.randint(1, 200), rng.randint(1, 200), rng.randint(1, 50)
        image = kinds.picture(height, width)
        expected = np.asarray(by_hand(image, size, kind))
        assert np.array_equal(crop(image, size, kind), expected), (height, width, size)


def test_whole_takes_only_its_size():
    image = kinds.picture(20, 20)
    assert np.array_equal(crop(image, 20, "whole"), image)
    for size in ((20, 21), (21, 20), (19, 19)):
        with pytest.raises(fastfid.ImageError, match=f"{size[1]}x{size[0]} pixels; .* images of 20x20"):
            crop(kinds.picture(*size), 20, "whole")


@pytest.mark.parametrize("kind", ["adm", "adm-lsun"])
def test_a_strip_does_not_become_a_huge_image(kind):
    strip = np.zeros((1, 60_000, 3), np.uint8)
    with pytest.raises(fastfid.ImageError, match=r"60000x1 pixels become 61440000x1024 .*MAX_IMAGE_PIXELS"):
        crop(strip, 1024, kind)


# The folder.


@pytest.fixture
def source(tmp_path):
    """Seven images of several sizes, two of them in a subfolder."""
    for number, (height, width) in enumerate(
        [(70, 90), (150, 64), (64, 64), (200, 131), (65, 300), (20, 31), (99, 99)]
    ):
        where = tmp_path / "source" / ("" if number < 5 else "more")
        where.mkdir(parents=True, exist_ok=True)
        Image.fromarray(kinds.picture(height, width)).save(where / f"{number}.png")
    return tmp_path / "source"


def square(seed):
    """An image of the protocol's size, another for each seed."""
    return np.random.RandomState(seed).randint(0, 256, (SIZE, SIZE, 3), np.uint8)


def read(path):
    """The images of a prepared folder, by their names."""
    return {file.relative_to(path).as_posix(): decode(file, "").pixels for file in sorted(path.rglob("*.png"))}


def listing(found):
    lines = (f"{name} {hashlib.sha256(pixels.tobytes()).hexdigest()}\n" for name, pixels in found.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def files_of(path):
    """The hash of the PNG files in their order: sum over i of (2 + digest of i) base^(n - 1 - i), modulo a prime."""
    files = [file.read_bytes() for file in sorted(path.rglob("*.png"))]
    terms = (2 + int.from_bytes(hashlib.blake2b(file, digest_size=8).digest()) for file in files)
    powers = (0x2545F4914F6CDD1D9E3779B97F4A7C15**power for power in reversed(range(len(files))))
    return f"{sum(map(operator.mul, terms, powers)) % (2**127 - 1):032x}"


def test_the_images_are_cropped_in_order(source, tmp_path):
    made = fastfid.prepare(source, tmp_path / "out", protocol=ADM)
    found, given = read(tmp_path / "out"), sorted(source.rglob("*.png"), key=lambda path: path.name)
    assert list(found) == [f"00000/img{number:08}.png" for number in range(7)]
    for pixels, path in zip(found.values(), given, strict=True):
        assert np.array_equal(pixels, crop(decode(path, "").pixels, SIZE, "adm"))
    assert made == Prepared(
        protocol=ADM,
        crop="adm",
        size=SIZE,
        source=str(source),
        n=7,
        of=7,
        seed=None,
        listing=listing(found),
        files=files_of(tmp_path / "out"),
        rejected=(),
        fastfid=fastfid.__version__,
        pillow=Image.__version__,
    )
    assert prepared_of(tmp_path / "out") == made
    assert {path.name for path in tmp_path.iterdir()} == {"source", "out"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"00000", "prepared.json"}


def test_a_zip_has_the_same_images_and_the_same_bytes_each_time(source, tmp_path):
    in_folder = fastfid.prepare(source, tmp_path / "out", protocol=ADM)
    for name in ("one.zip", "two.ZIP"):
        assert fastfid.prepare(source, tmp_path / name, protocol=ADM, num_workers=3) == in_folder
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.ZIP").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        archive.extractall(tmp_path / "unpacked")
    assert listing(read(tmp_path / "unpacked")) == in_folder.listing
    assert prepared_of(tmp_path / "one.zip") == in_folder


def test_an_array_an_iterable_and_a_stream_are_prepared_too(source, tmp_path):
    expected = fastfid.prepare(source, tmp_path / "out", protocol=ADM).listing
    given = [
        kinds.picture(*decode(path, "").pixels.shape[:2])
        for path in sorted(source.rglob("*.png"), key=lambda p: p.name)
    ]
    shutil.make_archive(str(tmp_path / "all"), "gztar", source)
    (tmp_path / "stream").mkdir()
    assert fastfid.prepare(given, tmp_path / "a", protocol=ADM).listing == expected
    made = fastfid.prepare(iter(given), tmp_path / "b", protocol=ADM)
    assert (made.listing, made.n, made.of) == (expected, 7, 7)
    assert fastfid.prepare(tmp_path / "all.tar.gz", tmp_path / "c", protocol=ADM).n == 7


def test_limit_and_seed_choose(source, tmp_path):
    made = fastfid.prepare(source, tmp_path / "out", protocol=ADM, limit=3, seed=5)
    chosen = np.sort(np.random.RandomState(5).permutation(7)[:3])
    paths = sorted(source.rglob("*.png"), key=lambda path: path.name)
    expected = [crop(decode(paths[i], "").pixels, SIZE, "adm") for i in chosen]
    assert [*map(np.array_equal, read(tmp_path / "out").values(), expected)] == [True] * 3
    assert (made.n, made.of, made.seed) == (3, 7, 5)


def test_the_protocol_chooses_if_it_says_how(source, tmp_path, monkeypatch):
    monkeypatch.setitem(PROTOCOLS, ADM, replace(PROTOCOLS[ADM], n=(50_000, 4), seed=2))
    made = fastfid.prepare(source, tmp_path / "out", protocol=ADM)
    assert (made.n, made.of, made.seed) == (4, 7, 2)
    monkeypatch.setitem(PROTOCOLS, ADM, replace(PROTOCOLS[ADM], n=(50_000, 4), seed=None))
    with pytest.warns(fastfid.FastFIDWarning, match="protocol-n: .*all: 7 images; .* takes 4 real images"):
        fastfid.prepare(source, tmp_path / "all", protocol=ADM)


def test_a_bad_image_ends_it_or_is_left_out(source, tmp_path):
    (source / "3.png").write_bytes(b"no image")
    with pytest.raises(fastfid.ImageError, match=r"3\.png"):
        fastfid.prepare(source, tmp_path / "out", protocol=ADM)
    assert not (tmp_path / "out").exists()
    with pytest.warns(fastfid.FastFIDWarning, match="1 image was left out"):
        made = fastfid.prepare(source, tmp_path / "out", protocol=ADM, on_error="skip")
    assert "00000/img00000003.png" not in read(tmp_path / "out")
    assert (made.n, made.of, len(made.rejected)) == (6, 7, 1)
    assert "3.png" in made.rejected[0]


def test_an_image_that_does_not_fit_is_named(source, tmp_path):
    with pytest.raises(fastfid.ImageError, match=r"0\.png: it has 90x70 pixels; the protocol takes images of 32x32"):
        fastfid.prepare(source, tmp_path / "out", protocol="cifar10-edm")
    with pytest.raises(fastfid.InputError, match="0 readable images"):
        fastfid.prepare(source, tmp_path / "out.zip", protocol="cifar10-edm", on_error="skip")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.zip").exists()


# Whole, or not there.


class Stop(Exception):
    pass


def stop_after(count):
    def progress(done, total):
        if done == count:
            raise Stop

    return progress


class Counting(fastfid.Source):
    """Images by their index, which counts how many were loaded."""

    def __init__(self, given):
        super().__init__("counting", len(given))
        self.given, self.loaded = given, []

    def read(self, indices):
        for index in indices:
            yield fastfid.Item(f"image {index}", lambda index=index: self.load(index))

    def load(self, index):
        self.loaded.append(index)
        return self.given[index]

    def stamp_of(self, index):
        return hashlib.sha256(self.given[index]).hexdigest()


def test_a_run_that_ended_early_is_continued(tmp_path):
    given = [kinds.picture(70 + i, 90) for i in range(40)]
    expected = fastfid.prepare(given, tmp_path / "expected", protocol=ADM).listing
    with pytest.raises(Stop):
        fastfid.prepare(Counting(given), tmp_path / "out", protocol=ADM, num_workers=1, progress=stop_after(9))
    assert not (tmp_path / "out").exists()
    part = tmp_path / ".out.part"
    assert len(list(part.rglob("*.png"))) >= 9
    (part / "00000" / "img00000002.png").write_bytes(b"half an ima")
    (part / "00000" / "img00000004.png").unlink()
    (part / "00000" / ".img00000005.png").write_bytes(b"what a killed run has begun")
    shutil.copy(part / "00000" / "img00000005.png", part / "00000" / "img00000099.png")
    again = Counting(given)
    made = fastfid.prepare(again, tmp_path / "out", protocol=ADM)
    assert made.listing == expected
    assert {2, 4} <= set(again.loaded) <= {2, 4, *range(9, 40)}
    assert made.files == files_of(tmp_path / "out")
    assert list(read(tmp_path / "out")) == [f"00000/img{number:08}.png" for number in range(40)]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"00000", "prepared.json"}
    assert {path.name for path in tmp_path.iterdir()} == {"expected", "out"}


class Held(Counting):
    """Images of which one is loaded only when the test lets it."""

    def __init__(self, given, held):
        super().__init__(given)
        self.held, self.reached, self.go = held, threading.Event(), threading.Event()

    def load(self, index):
        if index == self.held:
            self.reached.set()
            assert self.go.wait(60)
        return super().load(index)


def test_a_run_that_ended_writes_nothing_into_the_folder_of_the_next(tmp_path):
    one, other = ([square(i + first) for i in range(6)] for first in (0, 50))
    ended = Held(one, 4)

    def progress(done, total):
        if done == 2 and ended.reached.wait(60):
            raise Stop

    with pytest.raises(Stop):
        fastfid.prepare(ended, tmp_path / "out", protocol=ADM, num_workers=4, progress=progress)

    def late(done, total):
        if done == 5:  # the next run has made this image, which the thread of the first one makes now
            ended.go.set()
            for thread in threading.enumerate():
                if thread.name.startswith("fastfid-ahead"):
                    thread.join(0.5)

    made = fastfid.prepare(Unknown(other), tmp_path / "out", protocol=ADM, num_workers=1, progress=late)
    found = read(tmp_path / "out")
    assert [*map(np.array_equal, found.values(), other)] == [True] * 6
    assert made.listing == listing(found)


class Unknown(Counting):
    """Images of which nothing tells whether they have changed."""

    def stamp_of(self, index):
        return ""


def tar_gz(path, given):
    with tarfile.open(path, "w:gz") as archive:
        for number, image in enumerate(given):
            Image.fromarray(image).save(file := path.with_name(f"{number:03}.png"))
            archive.add(file, file.name)
            file.unlink()
    return path


@pytest.mark.parametrize(("kind", "n"), [(iter, 5), (list, 5), ("tar", 5), (Unknown, 30)])
def test_a_source_that_does_not_tell_what_it_is_begins_anew(kind, n, tmp_path):
    make = (lambda given: tar_gz(tmp_path / "all.tar.gz", given)) if kind == "tar" else kind
    one, other = ([square(i + first) for i in range(n)] for first, n in ((0, 30), (50, n)))
    with pytest.raises(Stop):
        fastfid.prepare(make(one), tmp_path / "out", protocol=ADM, progress=stop_after(20))
    made = fastfid.prepare(make(other), tmp_path / "out", protocol=ADM)
    found = read(tmp_path / "out")
    assert [*map(np.array_equal, found.values(), other)] == [True] * n
    assert (made.n, made.listing) == (n, listing(found))


@pytest.mark.parametrize("packed", [False, True])
def test_a_source_of_the_same_size_and_time_is_another(packed, tmp_path):
    def write(first):
        (tmp_path / "source" / "x" / "y").mkdir(parents=True, exist_ok=True)
        for i in range(9):
            Image.fromarray(square(first + i)).save(path := tmp_path / "source" / "x" / "y" / f"{i}.bmp")
            os.utime(path, ns=(10**18, 10**18))
        if not packed:
            return tmp_path / "source"
        with zipfile.ZipFile(tmp_path / "source.zip", "w") as archive:
            for path in sorted((tmp_path / "source").rglob("*.bmp")):
                archive.write(path, path.relative_to(tmp_path / "source"))
        os.utime(tmp_path / "source.zip", ns=(10**18, 10**18))
        return tmp_path / "source.zip"

    with pytest.raises(Stop):
        fastfid.prepare(write(0), tmp_path / "out", protocol=ADM, progress=stop_after(5))
    source = write(100)
    made = fastfid.prepare(source, tmp_path / "out", protocol=ADM)
    assert made.listing == fastfid.prepare(source, tmp_path / "expected", protocol=ADM).listing


def test_a_table_of_paths_is_known_by_the_files_that_it_names(tmp_path):
    """It may lie in another folder than its name says, and its rows have no bytes."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    (tmp_path / "images").mkdir()

    def write(first):
        for i in range(9):
            path = tmp_path / "images" / f"{i}.bmp"
            Image.fromarray(square(first + i)).save(path)
            os.utime(path, ns=(10**18, 10**18))

    write(0)
    cells = [{"bytes": None, "path": f"images/{i}.bmp"} for i in range(9)]
    column = pa.array(cells, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    pq.write_table(pa.table({"image": column}), tmp_path / "t.parquet")
    stop = {"protocol": ADM, "progress": stop_after(5)}
    with pytest.raises(Stop):
        fastfid.prepare(tmp_path / "t.parquet", tmp_path / "out", **stop)
    part = tmp_path / ".out.part"
    (part / "mark").touch()
    with pytest.raises(Stop):
        fastfid.prepare(tmp_path / "t.parquet", tmp_path / "out", **stop)
    assert (part / "mark").exists()  # continued
    write(100)
    made = fastfid.prepare(tmp_path / "t.parquet", tmp_path / "out", protocol=ADM)
    assert made.listing == fastfid.prepare(tmp_path / "images", tmp_path / "expected", protocol=ADM).listing


@pytest.mark.parametrize("change", ["protocol", "images", "limit", "plan"])
def test_another_plan_begins_anew(change, source, tmp_path):
    with pytest.raises(Stop):
        fastfid.prepare(source, tmp_path / "out", protocol=ADM, progress=stop_after(5))
    protocol, options = ADM, {}
    if change == "protocol":
        protocol = "imagenet-64-edm"
    elif change == "limit":
        options["limit"] = 6
    elif change == "plan":
        (tmp_path / ".out.part" / "plan.json").unlink()
    else:
        Image.fromarray(kinds.picture(64, 64)).save(source / "0.png")
    expected = fastfid.prepare(source, tmp_path / "expected", protocol=protocol, **options).listing
    assert fastfid.prepare(source, tmp_path / "out", protocol=protocol, **options).listing == expected


def test_a_zip_that_ended_early_is_not_there(source, tmp_path):
    with pytest.raises(Stop):
        fastfid.prepare(source, tmp_path / "out.zip", protocol=ADM, progress=stop_after(3))
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_two_at_once(source, tmp_path):
    problems = []

    def run():
        try:
            fastfid.prepare(source, tmp_path / "out", protocol=ADM)
        except fastfid.InputError as error:
            problems.append(str(error))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(problems) == 2
    assert all("out exists already" in problem for problem in problems)
    assert len(read(tmp_path / "out")) == 7


def test_what_is_there_is_replaced_only_if_it_was_made_here(source, tmp_path):
    fastfid.prepare(source, tmp_path / "out", protocol=ADM)
    with pytest.raises(fastfid.InputError, match="out exists already: .*--force"):
        fastfid.prepare(source, tmp_path / "out", protocol=ADM)
    made = fastfid.prepare(source, tmp_path / "out", protocol=ADM, limit=3, overwrite=True)
    assert len(read(tmp_path / "out")) == made.n == 3
    assert {path.name for path in tmp_path.iterdir()} == {"source", "out"}
    with pytest.raises(fastfid.InputError, match="source was not made by fastfid prepare"):
        fastfid.prepare(source, source, protocol=ADM, overwrite=True)
    with pytest.raises(fastfid.InputError, match="the folder .*none does not exist"):
        fastfid.prepare(source, tmp_path / "none" / "out", protocol=ADM)


def test_a_link_is_not_replaced(source, tmp_path):
    fastfid.prepare(source, tmp_path / "out", protocol=ADM)
    (tmp_path / "link").symlink_to("out")
    with pytest.raises(fastfid.InputError, match="link is a link, and is not replaced: give the folder"):
        fastfid.prepare(source, tmp_path / "link", protocol=ADM, overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"source", "out", "link"}


@pytest.mark.parametrize("error", [OSError("no"), KeyboardInterrupt()])
def test_a_run_that_ends_between_the_renames_is_continued(error, tmp_path, monkeypatch):
    given, rename = [square(i) for i in range(5)], Path.rename
    before = fastfid.prepare(Counting(given[:3]), tmp_path / "out", protocol=ADM)

    def fails(path, target):
        if path.name == ".out.part":
            raise error
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises((fastfid.InputError, KeyboardInterrupt)):
        fastfid.prepare(Counting(given), tmp_path / "out", protocol=ADM, overwrite=True)
    monkeypatch.setattr(Path, "rename", rename)
    there = tmp_path / ("out" if isinstance(error, OSError) else ".out.old")
    assert listing(read(there)) == before.listing
    again = Counting(given)
    made = fastfid.prepare(again, tmp_path / "out", protocol=ADM, overwrite=True)
    assert not again.loaded
    assert (made.n, made.listing) == (5, listing(read(tmp_path / "out")))
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


def test_images_that_vanish_are_noticed(tmp_path):
    given = [square(i) for i in range(5)]

    def progress(done, total):
        if done == total:
            (tmp_path / ".out.part" / "00000" / "img00000001.png").unlink()

    with pytest.raises(fastfid.InputError, match="1 files of .*were removed meanwhile"):
        fastfid.prepare(given, tmp_path / "out", protocol=ADM, progress=progress)
    assert not (tmp_path / "out").exists()


def test_nothing_is_a_pil_image_while_another_thread_imports_pil(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL.Image", types.ModuleType("PIL.Image"))
    assert not is_pil(np.zeros((2, 2, 3), np.uint8))


def test_a_record_has_only_what_can_be_printed(tmp_path):
    (tmp_path / "a\nb").mkdir()
    for number in range(3):
        Image.fromarray(square(number)).save(tmp_path / "a\nb" / f"{number}.png")
    (tmp_path / "a\nb" / "bad\n.png").write_bytes(b"no image")
    made = fastfid.prepare(tmp_path / "a\nb", tmp_path / "out", protocol=ADM, on_error="skip")
    assert prepared_of(tmp_path / "out") == made
    assert made.source == str(tmp_path / r"a\nb")
    record = tmp_path / "out" / "prepared.json"
    text = record.read_text()
    for change in (
        {"listing": "0"},
        {"listing": "0" * 63 + "\n"},
        {"files": "G" * 32},
        {"protocol": "x\ny"},
        {"source": "\x1b[2J"},
        {"rejected": ["\u2028"]},
    ):
        record.write_text(json.dumps({**json.loads(text), **change}))
        with pytest.raises(fastfid.InputError, match=r"cannot read prepared\.json of .*out: .*" + next(iter(change))):
            prepared_of(tmp_path / "out")


# What it refuses before it reads an image.


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"protocol": "adm"}, "no source states how the images of protocol adm were cropped"),
        ({"protocol": "ffhq-256-clean"}, "no source states how the images of protocol ffhq-256-clean"),
        ({"protocol": "adm2"}, "protocol must be one"),
        ({"protocol": None}, "protocol must be"),
        ({"limit": 1}, "limit must be"),
        ({"seed": -1}, "seed must be"),
        ({"num_workers": -1}, "num_workers must be"),
        ({"on_error": "ignore"}, "on_error must be"),
    ],
)
def test_bad_arguments(arguments, error, tmp_path):
    with pytest.raises(fastfid.InputError, match=error):
        fastfid.prepare("no-such-folder", tmp_path / "out", **{"protocol": ADM, **arguments})


def test_the_command(source, tmp_path, capsys):
    assert main(["prepare", str(source), str(tmp_path / "out"), "--protocol", ADM, "--limit", "5", "--quiet"]) == 0
    made = prepared_of(tmp_path / "out")
    assert f"wrote 5 images of 64x64 pixels (adm) to {tmp_path / 'out'}" in (told := capsys.readouterr().err)
    assert made.listing in told
    assert main(["prepare", str(source), str(tmp_path / "out"), "--protocol", ADM]) == 1
    assert "--force" in capsys.readouterr().err
    assert main(["prepare", str(source), str(tmp_path / "out"), "--protocol", ADM, "--force", "--quiet"]) == 0
    with pytest.raises(SystemExit, match="2"):
        main(["prepare", str(source), str(tmp_path / "out")])
