"""Every reader with damaged and malicious input: what once failed, and new cases in every run (`fuzz`)."""

import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from fastfid.errors import ModelError
from fastfid.networks import isolated, keras_file
from fuzz import SEED
from fuzz.damage import named
from fuzz.every import EVERY
from fuzz.reader import CORPUS, Reader, WrongError
from fuzz.run import tally

READERS = {name: reader for name, reader in EVERY.items() if not reader.child}
IN_A_CHILD = {name: reader for name, reader in EVERY.items() if reader.child}
posix = pytest.mark.skipif(sys.platform == "win32", reason="no signals")


@pytest.mark.parametrize("name", READERS)
def test_new_cases(name, tmp_path):
    print(f"FASTFID_TEST_SEED={SEED}")
    reader, said = READERS[name], set()
    for data in reader.good():
        assert reader.judge(data, tmp_path) == "read"
    for case in range(reader.cases):
        try:
            said.add(reader.judge(reader.case(case), tmp_path))
        except BaseException as error:
            raise AssertionError(named(name, case)) from error
    assert said == {"read", "refused"}


@posix
@pytest.mark.parametrize("name", IN_A_CHILD)
def test_new_cases_of_a_library_that_may_crash(name, monkeypatch):
    """What loops or crashes there, which is rare, does so in the child alone; the reader itself says that it did."""
    reader = IN_A_CHILD[name]
    found = tally(name, 0, reader.cases)
    assert found.counts.keys() <= {"read", "refused", "crashed"}, found.bad
    assert found.counts["read"] > 0
    assert found.counts["crashed"] < reader.cases / 20
    monkeypatch.setattr(isolated, "SECONDS", 1)
    for number in found.crashed[:3]:
        with pytest.raises(ModelError):
            keras_file.read_keras(reader.case(number))


KEPT = [(name, path) for name, reader in READERS.items() for path in reader.corpus()]


@pytest.mark.parametrize(("name", "path"), KEPT, ids=lambda value: getattr(value, "name", value))
def test_what_once_failed(name, path, tmp_path):
    said = READERS[name].judge(path.read_bytes(), tmp_path)
    assert said == ("read" if path.name.startswith("read_") else "refused")


@posix
def test_what_once_failed_in_a_child(monkeypatch):
    monkeypatch.setattr(isolated, "SECONDS", 1)
    kept = [path for reader in IN_A_CHILD.values() for path in reader.corpus()]
    assert kept
    for path in kept:
        with pytest.raises(ModelError):
            keras_file.read_keras(path.read_bytes())


def test_every_folder_of_the_corpus_is_of_a_reader():
    folders = {path.name for path in CORPUS.iterdir() if path.is_dir()}
    assert folders <= {name.replace(" ", "-") for name in EVERY}
    assert all(folder in (CORPUS / "README.md").read_text() for folder in folders)
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 200_000


# --- the judge


def reading(read, **options):
    return Reader("x", lambda: [b"x"], read, **options)


def dropped(path):
    path.with_name("left").touch()


@pytest.mark.parametrize(
    "read",
    [
        lambda data, path: dropped(path),
        lambda data, path: subprocess.run([sys.executable, "-c", ""], check=True),
        lambda data, path: __import__("pickle").loads(b"cos\ngetcwd\n."),
        lambda data, path: (_ for _ in ()).throw(ModelError("x" * 5000)),
        lambda data, path: (_ for _ in ()).throw(ModelError("")),
    ],
    ids=["file", "process", "pickle", "long message", "no message"],
)
def test_the_judge_sees_what_must_not_be(read, tmp_path):
    with pytest.raises(WrongError):
        reading(read).judge(b"x", tmp_path)


def test_the_judge_lets_other_errors_through(tmp_path):
    for error in (ValueError, MemoryError, RecursionError, UserWarning):
        with pytest.raises(error):
            reading(lambda data, path, error=error: (_ for _ in ()).throw(error("x"))).judge(b"x", tmp_path)


def test_cases_are_repeated_by_their_number():
    for reader in itertools.islice(EVERY.values(), 0, None, 7):
        assert [reader.case(number) for number in (0, 5)] == [reader.case(number) for number in (0, 5)]


def test_the_script(tmp_path):
    """A case that is wrong and a process that ends are counted, and the next case is run."""
    script = Path(__file__).parent / "fuzz" / "run.py"
    command = [sys.executable, script, "--cases", "20", "--only", "condition", "--seed", "5"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "FASTFID_TEST_SEED=5" in out
    row = [cell.strip() for cell in out.splitlines()[-1].split("|")]
    assert row[1:3] == ["condition", "20"]
    assert int(row[3]) + int(row[4]) == 20
    assert row[5:7] == ["0", "0"]
