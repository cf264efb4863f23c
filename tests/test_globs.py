"""Patterns: what matches, on a disk and behind an address, is opened like a folder that holds nothing else."""

import os
import random
from fnmatch import fnmatchcase

import fsspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfid import InputError
from fastfid.sources import open_source, read_items
from fastfid.sources.globs import _compiled, _fits, expand, is_pattern
from pictures import pictures
from test_archives import PNG, png, write_tar

TREE = ["a/0.png", "a/1.PNG", "a/x.jpg", "b/0.png", "b/c/2.png", "b/c/d/3.png", "10.png", "[1].png", "a/notes.md"]


@pytest.fixture(params=["disk", "memory"])
def root(request, tmp_path):
    """A tree of files; the root as it is given to `open_source`."""
    if request.param == "disk":
        for number, name in enumerate(TREE):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(png(number))
        yield str(tmp_path)
    else:
        fs = fsspec.filesystem("memory")
        for number, name in enumerate(TREE):
            fs.pipe_file(f"/tree/{name}", png(number))
        yield "memory://tree"
        fs.store.clear()


def matches(root, pattern, **options):
    source = open_source(f"{root}/{pattern}", **options)
    assert source.name == f"{root}/{pattern}"
    return [name.removeprefix(f"{root}/") for name in map(source.name_of, range(source.size))]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.png", ["10.png", "[1].png"]),
        ("?/0.png", ["a/0.png", "b/0.png"]),
        ("*/[0-9]*.png", ["a/0.png", "b/0.png"]),
        ("*/[0-9].*", ["a/0.png", "a/1.PNG", "b/0.png"]),
        ("**/*.png", ["10.png", "[1].png", "a/0.png", "b/0.png", "b/c/2.png", "b/c/d/3.png"]),
        ("b/**", ["b/0.png", "b/c/2.png", "b/c/d/3.png"]),
        ("b/**/d/*.png", ["b/c/d/3.png"]),
        ("b/**/c/*.png", ["b/c/2.png"]),
        ("{a,b}/0.png", ["a/0.png", "b/0.png"]),
        ("{b,a,b}/{0..0}.png", ["a/0.png", "b/0.png"]),
        ("[[]1].png", ["[1].png"]),
        ("[1].png", None),
        ("b*", ["b/0.png", "b/c/2.png", "b/c/d/3.png"]),
        ("*/c", ["b/c/2.png", "b/c/d/3.png"]),
    ],
)
def test_what_matches(root, pattern, names):
    if names is None:
        with pytest.raises(InputError, match=r"\[1\]\.png is a single image"):  # a file of this name is no pattern
            open_source(f"{root}/{pattern}")
        return
    assert matches(root, pattern) == names


def test_classes_and_notes(root):
    source = open_source(f"{root}/*/0.*")
    assert [source.folder_of(index) for index in range(2)] == ["a", "b"]
    assert source.notes == ("2 of 2 images are in subfolders; pytorch-fid would not count them",)
    assert [source.key_of(index) for index in range(2)] == ["a/0.png", "b/0.png"]
    assert all(source.stamp_of(index) for index in range(2))
    np.testing.assert_array_equal([item.decode().pixels for item in read_items(source)], pictures(12, 8)[[0, 3]])


def test_the_options_count(root):
    assert matches(root, "a/*", endings="jpg") == ["a/x.jpg"]
    with pytest.raises(
        InputError, match=r"no images among the 0 files that match .*/\?: looked for|nothing matches the pattern .*/\?$"
    ):
        open_source(f"{root}/?", recursive=False)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("*.gif", r"nothing matches the pattern .*/\*\.gif$"),
        ("none/*.png", "nothing matches the pattern"),
        ("none/{a,b}", r"nothing matches 2 of the 2 alternatives of .*: .*a, .*b$"),
        ("a/{0..5}.png", r"nothing matches 5 of the 6 alternatives of .*: .*1\.png, .*2\.png, .*3\.png and 2 more$"),
        ("{a,c}/*.png", r"nothing matches 1 of the 2 alternatives of .*c/\*\.png$"),
        ("*.md", "nothing matches"),
        ("a/*.md", "md is of an unknown type"),
        ("{0..999999}{0..9}.png", "stands for more than 1,000,000 names"),
        ("a/{x}.png", "does not exist"),
    ],
)
def test_what_does_not_match(root, pattern, message):
    with pytest.raises(InputError, match=message):
        open_source(f"{root}/{pattern}")


def test_archives_and_arrays(tmp_path):
    for name in ("s-00.tar", "s-01.tar", "t-00.tar"):
        write_tar(tmp_path / name, [(f"{name}/{number}.png", PNG) for number in range(3)])
    for name in ("0.npy", "1.npy"):
        np.save(tmp_path / name, pictures(1, 8)[0])
    np.savez(tmp_path / "only.npz", pictures(5, 8))
    source = open_source(tmp_path / "s-{00..01}.tar")
    assert (source.size, source.starts) == (6, (0, 3))
    assert [source.key_of(index) for index in (0, 5)] == ["s-00.tar/s-00.tar/0.png", "s-01.tar/s-01.tar/2.png"]
    assert source.notes[0].endswith("has no image files but 2 archives: their images are used as one set")
    assert open_source(tmp_path / "*.npy").size == 2
    assert open_source(tmp_path / "*.npz").size == 5
    np.savez(tmp_path / "other.npz", pictures(5, 8))
    with pytest.raises(InputError, match="no images among the 2 files that match"):
        open_source(tmp_path / "*.npz")


def test_a_relative_pattern(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("x/0.png", "x/1.png", "2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(PNG)
    for pattern, names in (("x/*.png", ["x/0.png", "x/1.png"]), ("**/*.png", ["2.png", "x/0.png", "x/1.png"])):
        source = open_source(pattern)
        assert [source.name_of(index) for index in range(source.size)] == [os.path.normpath(name) for name in names]


def test_names_with_characters_of_patterns(tmp_path):
    folder = tmp_path / "a[1]{2..3}"
    folder.mkdir()
    (folder / "x*.png").write_bytes(PNG)
    assert open_source(folder).size == 1
    write_tar(tmp_path / "a*.tar", [("a.png", PNG)])
    write_tar(tmp_path / "ab.tar", [("a.png", PNG)])
    assert open_source(tmp_path / "a*.tar").name == str(tmp_path / "a*.tar")
    assert open_source(tmp_path / "a?.tar").size == 2


def test_braces():
    assert expand("s-{008..011}.tar") == ["s-008.tar", "s-009.tar", "s-010.tar", "s-011.tar"]
    assert expand("{3..1}") == ["3", "2", "1"]
    assert expand("{a,,b}x") == ["ax", "x", "bx"]
    assert expand("no{braces}") == ["no{braces}"]
    assert not is_pattern("no{braces}")
    assert is_pattern("a{1..2}")


PARTS = st.lists(st.sampled_from(["a", "b", "*", "?", "ab", "**", "[ab]"]), min_size=1, max_size=4)


@given(PARTS, st.lists(st.sampled_from(["a", "b", "ab", "c"]), min_size=1, max_size=4))
def test_fits_is_what_a_plain_search_finds(parts, names):
    """Against every way to let `**` stand for some folders."""

    def plain(parts, names):
        if not parts:
            return not names
        if parts[0] == "**":
            rest = parts[1:]
            return (not rest and bool(names)) or any(plain(rest, names[k:]) for k in range(len(names) + 1) if rest)
        return bool(names) and fnmatchcase(names[0], parts[0]) and plain(parts[1:], names[1:])

    compiled = _compiled("/".join(parts))
    assert _fits(compiled, names) == plain(parts, names)
    if plain(parts, names):  # whoever looks for it has to enter each folder above it
        assert all(_fits(compiled, names[:k], begun=True) for k in range(len(names)))


def test_many_files_in_random_order(tmp_path):
    names = [f"{number:03}.png" for number in range(50)]
    random.Random(0).shuffle(names)
    for name in names:
        (tmp_path / name).write_bytes(PNG)
    source = open_source(tmp_path / "*.png")
    plain = open_source(tmp_path)
    assert [source.name_of(index) for index in range(50)] == [plain.name_of(index) for index in range(50)]
