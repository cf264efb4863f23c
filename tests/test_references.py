"""Protocols of one data set: the real side and its hash, the size and number of images, what is cited."""

import hashlib
import json
import os
import pickle
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

import fastfid
from fastfid.cli.main import main
from fastfid.images.observed import Seen
from fastfid.options import Options
from fastfid.protocols import PROTOCOLS, Network
from fastfid.protocols.prepared import prepared_of
from fastfid.protocols.references import folder as references_folder
from fastfid.protocols.references import hashes
from pictures import folder, pictures

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")
NAME = "cifar10-edm"
FILE = PROTOCOLS[NAME].reference.file
DIMS = 8
ROWS = {seed: np.random.RandomState(seed).standard_normal((9, DIMS)) for seed in (0, 1)}


class Instant(fastfid.Engine):
    """Takes pixels of 32x32 images for features."""

    def open(self, recipe, messages, *, download_bar=False):
        made = {"onnxruntime": "1.2.3", "pillow": "4.5.6"}
        return fastfid.Facts(
            {"features": DIMS}, fastfid.Provenance("instant", "0" * 64, "tensorflow", DIMS, versions=made)
        )

    def fit(self, needs, pieces, how):
        for piece in pieces:
            fit = fastfid.Fit.empty(needs, {"features": DIMS})
            for item in piece.source.read(piece.indices):
                image = item.decode()
                fit.update(
                    {"features": image.pixels.reshape(1, -1)[:, : 96 * DIMS : 96].astype(np.float32)}, [Seen.of(image)]
                )
            if fit.n:
                yield piece, fit
            if (fit.n or 0) < len(piece.indices):
                return


OFFLINE = {"engine": Instant(), "model": "own.onnx"}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Features of few dims: the statistics of 2048 would take most of the time."""
    for name in (NAME, "ffhq-256", "imagenet-512-edm2", "imagenet-512-edm2-dinov2"):
        network = Network("small", DIMS, "pixels", "dinov2")
        monkeypatch.setitem(PROTOCOLS, name, replace(PROTOCOLS[name], network=network))


@pytest.fixture(autouse=True)
def cache():
    """The folder of references in the cache of this run, which is not there; the graphs stay."""
    shutil.rmtree(references_folder(), ignore_errors=True)
    return references_folder()


@pytest.fixture
def statistics(tmp_path):
    """A file that does not say how it was made."""
    return written(tmp_path / FILE)


def written(path, seed=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    return fastfid.Statistics(DIMS).update(ROWS[seed]).save(path)


@pytest.fixture
def generated():
    return fastfid.fit(ROWS[0], features=True)


def told(result, code="protocol-reference"):
    return [text for text in (*result.warnings, *result.notes) if text.startswith(code)]


# Where the real side comes from.


def test_the_same_number_however_it_is_given(generated, statistics, cache):
    cached = written(cache / FILE)
    expected = fastfid.compare(generated, statistics, metrics=["fid"]).fid
    for result in (
        fastfid.compare(generated, statistics, protocol=NAME),
        fastfid.compare(generated, protocol=NAME, reference=statistics),
        fastfid.compare(generated, protocol=NAME),
    ):
        assert result.fid == expected
        assert result.reference.name == FILE
        assert result.reference.sha256 == hashlib.sha256(cached.read_bytes()).hexdigest()
        assert f"reference {FILE} (SHA-256 {result.reference.sha256[:12]})" in result.citation
        assert result.as_dict()["reference"]["sha256"] == result.reference.sha256


def test_nothing_in_the_cache(generated, cache):
    with pytest.raises(fastfid.InputError) as error:
        fastfid.compare(generated, protocol=NAME)
    for fact in (NAME, FILE, str(cache), PROTOCOLS[NAME].reference.url, "reference"):
        assert fact in str(error.value)
    assert cache.is_dir()  # so that the file can be put there


def test_the_message_says_how_to_make_ones_own(generated, tmp_path, cache):
    with pytest.raises(fastfid.InputError, match="make it once from FFHQ") as error:
        fastfid.compare(generated, protocol="ffhq-256")
    prepare, save = (each for each in str(error.value).split("`") if each.startswith("fastfid"))
    folder(tmp_path / "faces", pictures(2))
    words = {"IMAGES": str(tmp_path / "faces"), "OUT": str(tmp_path / "out")}
    assert main([words.get(word, word) for word in prepare.split()[1:]] + ["--quiet"]) == 0
    assert save == f"fastfid --save-stats OUT {cache / 'ffhq-256.npz'} --mode tensorflow"
    written(cache / "ffhq-256.npz")
    result = fastfid.compare(generated, protocol="ffhq-256")
    assert (result.reference.name, result.reference.standing) == ("ffhq-256.npz", "own")
    assert not told(result)


@pytest.mark.parametrize("protocol", [None, "adm"])
def test_a_reference_needs_its_protocol(protocol, generated, statistics):
    with pytest.raises(fastfid.InputError, match="give it as the second side"):
        fastfid.compare(generated, reference=statistics, protocol=protocol)


def test_it_is_given_once(generated, statistics):
    with pytest.raises(fastfid.InputError, match="the real side is given twice"):
        fastfid.compare(generated, statistics, reference=statistics, protocol=NAME)


def test_an_entry_of_a_pickle_is_chosen(generated, tmp_path):
    path = tmp_path / "img512.pkl"
    moments = fastfid.Statistics(DIMS).update(ROWS[1])
    moments.save(path, format="edm2")
    result = fastfid.compare(generated, protocol="imagenet-512-edm2", reference=path)
    assert result.fid == pytest.approx(fastfid.frechet_distance_from_features(*ROWS.values()), rel=1e-6)
    with pytest.raises(fastfid.InputError, match="no entry 'fd_dinov2'"):
        fastfid.compare(generated, protocol="imagenet-512-edm2-dinov2", reference=path)
    same = fastfid.compare(generated, protocol="imagenet-512-edm2", reference=f"{path}#fid")
    assert (same.fid, same.reference.standing) == (result.fid, "recorded")


@pytest.mark.parametrize("known", [True, False])
def test_another_entry_is_not_the_reference(known, generated, tmp_path, cache, monkeypatch):
    name, path = "imagenet-512-edm2", tmp_path / "img512.pkl"
    sets = {"fid": ROWS[1], "other": ROWS[0]}
    moments = {entry: {"mu": rows.mean(0), "sigma": np.cov(rows, rowvar=False)} for entry, rows in sets.items()}
    path.write_bytes(pickle.dumps(moments))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest() if known else ""
    reference = replace(PROTOCOLS[name].reference, sha256=sha256, git="")
    monkeypatch.setitem(PROTOCOLS, name, replace(PROTOCOLS[name], reference=reference))
    with pytest.raises(fastfid.InputError, match=r"uses entry 'fid' of img512\.pkl, not entry 'other'"):
        fastfid.compare(generated, protocol=name, reference=f"{path}#other")
    forced = fastfid.compare(generated, protocol=name, reference=f"{path}#other", force=True)
    assert forced.reference.standing == "other"
    assert "not known to be the published file" in forced.citation
    assert "although protocol imagenet-512-edm2 uses entry 'fid'" in told(forced)[0]
    assert not cache.exists()


# Its hash.


def test_git_gives_the_same_name(tmp_path, statistics):
    assert hashes(statistics)[0] == hashlib.sha256(statistics.read_bytes()).hexdigest()
    try:
        git = subprocess.run(["git", "hash-object", statistics], capture_output=True, text=True, check=True)
    except OSError:
        pytest.skip("git is not installed")
    assert hashes(statistics)[1] == git.stdout.strip()


@pytest.mark.parametrize("which", ["sha256", "git"])
def test_a_stated_hash(which, generated, statistics, cache, monkeypatch):
    sha256, git = hashes(statistics)
    right = replace(PROTOCOLS[NAME].reference, **{which: {"sha256": sha256, "git": git}[which]})
    monkeypatch.setitem(PROTOCOLS, NAME, replace(PROTOCOLS[NAME], reference=right))
    assert fastfid.compare(generated, statistics, protocol=NAME).reference.standing == "published"
    assert not cache.exists()  # nothing to record
    written(statistics, seed=0)
    with pytest.raises(fastfid.InputError, match=rf"its .* is \w+ instead of {getattr(right, which)}. Get it from"):
        fastfid.compare(generated, statistics, protocol=NAME)
    forced = fastfid.compare(generated, statistics, protocol=NAME, force=True)
    assert forced.reference.standing == "other"
    assert "compared because of force although" in told(forced)[0]


def test_the_hash_of_the_first_use_is_recorded(generated, statistics, cache, tmp_path):
    first = fastfid.compare(generated, statistics, protocol=NAME)
    record = cache / f"{FILE}.sha256"
    sha256 = first.reference.sha256
    assert record.read_text() == f"{sha256}  {FILE}\n"  # as sha256sum writes it
    assert first.reference.standing == "first use"
    assert any(sha256 in note and str(record) in note for note in first.notes)
    again = fastfid.compare(generated, statistics.rename(tmp_path / "renamed.npz"), protocol=NAME)
    assert again.reference.standing == "recorded"
    assert not told(again)
    other = written(tmp_path / "other" / FILE, seed=0)
    with pytest.raises(fastfid.InputError) as error:
        fastfid.compare(generated, other, protocol=NAME)
    for fact in (sha256, hashes(other)[0], f"remove {record}"):
        assert fact in str(error.value)
    assert fastfid.compare(generated, other, protocol=NAME, force=True).reference.standing == "other"
    record.unlink()
    assert fastfid.compare(generated, other, protocol=NAME).reference.standing == "first use"


def test_a_file_of_another_name_is_not_recorded(generated, tmp_path, cache):
    result = fastfid.compare(generated, written(tmp_path / "mine.npz"), protocol=NAME)
    assert result.reference.standing == "other"
    assert f"mine.npz is not called {FILE}" in told(result)[0]
    assert not cache.exists()


@pytest.mark.parametrize("text", ["", "no hash here\n", "abcd  x\n", "\xff\xfe"])
def test_a_damaged_record_is_named(text, generated, statistics, cache):
    cache.mkdir(parents=True)
    (cache / f"{FILE}.sha256").write_bytes(text.encode("latin-1"))
    with pytest.raises(fastfid.InputError, match=rf"cannot read .*{FILE}.sha256: it holds no SHA-256; remove it"):
        fastfid.compare(generated, statistics, protocol=NAME)


def test_a_file_that_gives_no_score_is_not_recorded(generated, statistics, cache):
    whole = statistics.read_bytes()
    statistics.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(fastfid.InputError, match=FILE):
        fastfid.compare(generated, statistics, protocol=NAME)
    assert not cache.exists()
    statistics.write_bytes(whole)
    assert fastfid.compare(generated, statistics, protocol=NAME).reference.standing == "first use"


def test_a_file_that_changes_while_it_is_used_is_not_recorded(statistics, cache, tmp_path):
    folder(tmp_path / "gen", pictures(4))

    class Changing(Instant):
        def fit(self, needs, pieces, how):
            with statistics.open("ab") as file:  # a download goes on
                file.write(b"more")
            yield from super().fit(needs, pieces, how)

    result = fastfid.compare(tmp_path / "gen", statistics, protocol=NAME, engine=Changing(), model="own.onnx")
    assert (result.reference.standing, result.reference.sha256) == ("other", "")
    assert "has changed while it was used" in told(result)[0]
    assert not cache.exists()


def test_a_cache_that_cannot_be_written(generated, statistics, tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file where the folder should be")
    monkeypatch.setenv("FASTFID_HOME", str(tmp_path / "cache"))
    result = fastfid.compare(generated, statistics, protocol=NAME)
    assert "could not be recorded" in told(result)[0]


def test_what_is_not_the_published_file_is_told_of(generated, statistics):
    for real in (fastfid.Statistics.load(statistics), fastfid.fit(ROWS[1], features=True)):
        result = fastfid.compare(generated, real, protocol=NAME)
        assert f"compares with the published file {FILE}" in told(result)[0]
        assert result.reference.standing == "other"
        assert "(no hash)" in result.citation


def test_a_missing_file_is_named(generated, tmp_path):
    with pytest.raises(fastfid.InputError, match=r"gone\.npz does not exist"):
        fastfid.compare(generated, tmp_path / "gone.npz", protocol=NAME)


# The record beside the images, when they are compared.


def compared(real):
    return fastfid.compare(fastfid.fit(ROWS[0], features=True), real, protocol="ffhq-256", force=True, **OFFLINE)


@pytest.fixture
def real(tmp_path):
    folder(tmp_path / "faces", pictures(2, 64))
    fastfid.prepare(tmp_path / "faces", tmp_path / "real", protocol="ffhq-256")
    return tmp_path / "real"


def test_a_prepared_folder_is_cited(real):
    result = compared(real)
    made = prepared_of(real)
    assert (result.reference.sha256, result.reference.standing) == (made.listing, "own")
    assert f"reference real (SHA-256 of its listing {made.listing[:12]})" in result.citation
    assert not any(text.startswith("protocol-reference") for text in result.warnings)


def test_a_prepared_folder_that_has_changed_is_not(real):
    shutil.copy(real / "00000" / "img00000000.png", real / "more.png")
    result = compared(real)
    assert "reference real (no hash)" in result.citation
    assert any("real has 3 images, and had 2 when it was prepared" in text for text in result.warnings)


def test_a_prepared_zip_is_compared_too(real, tmp_path):
    fastfid.prepare(tmp_path / "faces", tmp_path / "real.zip", protocol="ffhq-256")
    result = compared(tmp_path / "real.zip")
    assert (result.reference.sha256, result.reference.compared) == (prepared_of(real).listing, True)


def test_a_prepared_image_that_was_overwritten_is_noticed(real):
    first, second = sorted(real.rglob("*.png"))
    times = second.stat()
    second.write_bytes(first.read_bytes())
    os.utime(second, ns=(times.st_atime_ns, times.st_mtime_ns))
    result = compared(real)
    assert "reference real (no hash)" in result.citation
    assert any("real has other files than when it was prepared" in text for text in result.warnings)


def test_two_prepared_images_that_change_places_are_noticed(real):
    first, second = sorted(real.rglob("*.png"))
    for old, new in ((first, real / "x"), (second, first), (real / "x", second)):
        old.rename(new)
    result = compared(real)
    assert "reference real (no hash)" in result.citation
    assert any("real has other files than when it was prepared" in text for text in result.warnings)


def test_sets_that_have_the_same_files_in_another_order_have_other_hashes(real, tmp_path):
    folder(tmp_path / "swapped", pictures(2, 64)[::-1])
    other = fastfid.prepare(tmp_path / "swapped", tmp_path / "other", protocol="ffhq-256")
    made = prepared_of(real)
    assert other.listing != made.listing
    assert other.files != made.files


def test_the_citation_is_one_line_whatever_the_name(real, monkeypatch):
    result = compared(real.rename(real.with_name("a\nb")))
    assert r"reference a\nb (SHA-256" in result.citation
    assert result.citation.isprintable()
    monkeypatch.chdir(real.with_name("a\nb"))
    assert r"reference a\nb (SHA-256" in compared(".").citation


def test_a_folder_prepared_in_another_way_is_told_of(real):
    record = real / "prepared.json"
    record.write_text(record.read_text().replace('"stretch"', '"square"'))
    assert any("was prepared for ffhq-256 (square, 256 pixels), not for" in text for text in compared(real).warnings)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": 1}', '{"format": 2, "n": "x"}', "[" * 100_000])
def test_a_damaged_record_of_a_folder_is_named(text, real):
    (real / "prepared.json").write_text(text)
    with pytest.raises(fastfid.InputError, match=r"cannot read prepared\.json of .*real"):
        compared(real)


# Size and number of images.


def test_another_size_is_refused_before_the_run(tmp_path, statistics):
    folder(tmp_path / "gen", pictures(4, 64))
    with pytest.raises(fastfid.InputError, match="64x64 pixels; protocol cifar10-edm takes 32x32: `fastfid prepare`"):
        fastfid.compare(tmp_path / "gen", statistics, protocol=NAME, **OFFLINE)
    for images in (pictures(4, 64), list(pictures(4, 64))):
        with pytest.raises(fastfid.InputError, match="takes 32x32"):
            fastfid.compare(images, statistics, protocol=NAME, **OFFLINE)
    forced = fastfid.compare(tmp_path / "gen", statistics, protocol=NAME, force=True, **OFFLINE)
    assert any(text.startswith("protocol-size: ") for text in forced.warnings)


def test_another_size_that_shows_in_the_run_is_told_of(statistics):
    result = fastfid.compare(iter(pictures(4, 64)), statistics, protocol=NAME, **OFFLINE)
    assert any(text.startswith("protocol-size: ") and "64x64" in text for text in result.warnings)


def test_the_right_size_is_not_told_of(tmp_path, statistics):
    folder(tmp_path / "gen", pictures(4))
    result = fastfid.compare(tmp_path / "gen", statistics, protocol=NAME, **OFFLINE)
    assert not told(result, "protocol-size")
    assert "32x32 pixels; mode tensorflow" in result.citation
    assert "onnxruntime 1.2.3, pillow 4.5.6" in result.citation


def fewer(monkeypatch, n, seed=0):
    monkeypatch.setitem(PROTOCOLS, NAME, replace(PROTOCOLS[NAME], n=(n, None), seed=seed))


def test_the_protocol_chooses_from_more_images(tmp_path, statistics, monkeypatch):
    images = pictures(9)
    folder(tmp_path / "gen", images)
    assert PROTOCOLS[NAME].seed == 0  # as by --seed of EDM's fid.py
    fewer(monkeypatch, 5, seed=4)
    theirs = np.arange(9)  # EDM's training/dataset.py
    np.random.RandomState(4).shuffle(theirs)
    result = fastfid.compare(tmp_path / "gen", statistics, protocol=NAME, **OFFLINE)
    expected = fastfid.compare(images[np.sort(theirs[:5])], statistics, **OFFLINE)
    assert result.fid == expected.fid
    assert (result.a.n, result.a.chosen) == (5, (9, 4))
    assert "n 5 (of 9, seed 4) and 9" in result.citation
    assert result.as_dict()["a"]["chosen"] == {"of": 9, "seed": 4}
    assert not told(result, "protocol-n")
    real = fastfid.compare(tmp_path / "gen", tmp_path / "gen", protocol=NAME, **OFFLINE)
    assert (real.a.n, real.b.n) == (5, 9)


def test_the_callers_limit_counts(tmp_path, statistics, monkeypatch):
    folder(tmp_path / "gen", pictures(9))
    fewer(monkeypatch, 5)
    result = fastfid.compare(tmp_path / "gen", statistics, protocol=NAME, limit=6, seed=3, **OFFLINE)
    assert (result.a.n, result.a.chosen) == (6, (9, 3))
    assert "gen: 6 images; protocol cifar10-edm takes 5 generated images" in told(result, "protocol-n")[0]


def test_too_few_images_are_told_of(generated, statistics):
    result = fastfid.compare(generated, statistics, protocol=NAME)
    assert "9 images; protocol cifar10-edm takes 50,000 generated images" in told(result, "protocol-n")[0]


# What it fixes.


def test_floats_become_bytes_as_the_tools_do(statistics):
    assert Options.of({"protocol": NAME, "value_range": (-1, 1), "quantise": None}).quantise == "edm"
    assert Options.of({"protocol": NAME, "value_range": None, "quantise": None}).quantise is None
    assert Options.of({"protocol": NAME, "value_range": (-1, 1), "quantise": "edm"}).quantise == "edm"
    with pytest.raises(fastfid.InputError, match="protocol cifar10-edm fixes quantise; leave quantise='round' out"):
        Options.of({"protocol": NAME, "value_range": (-1, 1), "quantise": "round"})
    floats = np.random.RandomState(0).uniform(-1, 1, (4, 32, 32, 3)).astype(np.float32)
    bytes_of = (floats * 127.5 + np.float32(128)).clip(0, 255).astype(np.uint8)  # EDM's generate.py
    result = fastfid.compare(floats, statistics, protocol=NAME, value_range=(-1, 1), **OFFLINE)
    assert result.fid == fastfid.compare(bytes_of, statistics, protocol=NAME, **OFFLINE).fid


def test_the_command_with_one_path(tmp_path, capsys):
    generated, real = written(tmp_path / "gen.npz", seed=0), written(tmp_path / FILE)
    command = [str(generated), "--protocol", NAME, "--quiet"]
    assert main(command) == 1
    assert f"get {FILE} from" in capsys.readouterr().err
    assert main([*command, "--reference", str(real)]) == 0
    fid, citation = capsys.readouterr().out.splitlines()
    assert fid.startswith("FID: ")
    assert citation.startswith(f"protocol {NAME}, as {PROTOCOLS[NAME].tool}; reference {FILE} (SHA-256 ")
    assert main([*command, "--reference", str(real), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["reference"]["standing"] == "recorded"


def test_the_folder_is_in_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("FASTFID_HOME", str(tmp_path))
    assert references_folder() == tmp_path / "references"


def test_no_reference_without_a_protocol_of_one_data_set():
    assert PROTOCOLS["adm"].reference is None
    with pytest.raises(fastfid.InputError, match="only one is given"):
        fastfid.compare(fastfid.fit(ROWS[0], features=True), protocol="adm")
