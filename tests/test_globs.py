"""Patterns: what matches, on a disk and behind an address, is opened like a folder that holds nothing else."""

import io
import os
import random
import time
import zipfile
from fnmatch import fnmatchcase
from pathlib import Path

import fsspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfid import InputError
from fastfid.sources import open_source, read_items
from fastfid.sources.globs import expand, is_pattern
from fastfid.sources.matches import Matches
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
    assert all(source.proofs(range(2))) == (not str(root).startswith("memory"))
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


def keep(where, files):
    """Write files, given as a dictionary of bytes, to a folder or to the file system in memory."""
    for name, data in files.items():
        if str(where).startswith("memory://"):
            fsspec.filesystem("memory").pipe_file(f"{str(where).removeprefix('memory:/')}/{name}", data)
        else:
            Path(where, name).parent.mkdir(parents=True, exist_ok=True)
            Path(where, name).write_bytes(data)


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("0.png", PNG)
    return file.getvalue()


@pytest.fixture
def mixed(root):
    """Files of several kinds, and folders with some."""
    arrays, moments = io.BytesIO(), io.BytesIO()
    np.savez(arrays, arr_0=pictures(5, 8), mu=np.zeros(8), sigma=np.eye(8))
    np.savez(moments, mu=np.zeros(8), sigma=np.eye(8))
    files = {f"D/{name}/{k}.png": png(k) for name in ("x", "y") for k in range(3)}
    files |= {"D/0.png": PNG, "D/1.png": PNG, "D/notes.md": b"", "E/a.zip": zipped(), "E/b.zip": zipped()}
    files |= {"c.zip": zipped(), "adm.npz": arrays.getvalue(), "q.npz": moments.getvalue(), "q.txt": b"10.png"}
    files |= {"F/x/0.png": PNG, "F/y/1.png": PNG, "F/notes.md": b"", "old.pkl": b""}
    keep(root, files)
    return root


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("D/*", r"matches files \(2 image files\) and folders with other files \(6 image files\): for the files "),
        ("{a,b/*}", r"b/\* of .* matches files \(1 image file\) and folders with other files \(2 image files\)"),
        ("{a,c.zip}", r"1 of the 2 alternatives of .* would be left out, .*: c\.zip; give alternatives of one kind"),
        ("{a,E}", r"1 of the 2 alternatives of .* would be left out, .*: E; "),
        ("{10.png,c.zip}", r"1 of the 2 alternatives of .* would be left out, .*: c\.zip; "),
        ("{a,adm.npz}", r"1 of the 2 alternatives of .* would be left out, .*: adm\.npz; "),
        ("{q.txt,a}", r"1 of the 2 alternatives of .* would be left out, .*: q\.txt; "),
        ("{adm,q}.npz", "no images among the 2 files that match"),
        ("adm.np?", r"adm\.npz, the only file that matches .*/adm\.np\?, is a statistics file: give its own name"),
        ("q.np?", r"q\.npz, the only file that matches .*/q\.np\?, is a statistics file: give its own name"),
        ("old.pk?", r"old\.pkl, the only file that matches .*, is a statistics file: give its own name"),
    ],
)
def test_nothing_is_left_out_without_a_word(mixed, pattern, message):
    with pytest.raises(InputError, match=message):
        open_source(f"{mixed}/{pattern}")


def test_what_is_meant_can_be_said(mixed):
    classes = [f"D/{name}/{k}.png" for name in ("x", "y") for k in range(3)]
    assert matches(mixed, "D/*/") == classes
    assert matches(mixed, "D/*", recursive=False) == ["D/0.png", "D/1.png"]
    assert matches(mixed, "F/*") == ["F/x/0.png", "F/y/1.png"]  # as in a folder, the .md does not matter
    assert matches(mixed, "D/**") == matches(mixed, "D/**/*") == ["D/0.png", "D/1.png", *classes]
    assert open_source(f"{mixed}/{{E/*,c.zip}}").size == 3
    keep(mixed, {"D/z.zip": zipped()})
    assert any("1 archive" in note for note in open_source(f"{mixed}/D/*", recursive=False).notes)
    assert matches(mixed, "{a/0.png,b/c/*.png}") == ["a/0.png", "b/c/2.png"]  # a brace with a slash in it
    assert matches(mixed, "{F/x,a}") == ["F/x/0.png", "a/0.png", "a/1.PNG", "a/x.jpg"]


def test_hidden_files_count_as_in_a_folder(root):
    names = [".c/d.png", ".x.png", "a.png", "b.png"]
    keep(root, {f"H/{name}": PNG for name in names})
    folder = open_source(f"{root}/H")
    assert [folder.key_of(index) for index in range(folder.size)] == names
    assert matches(root, "H/**/*.png") == [f"H/{name}" for name in names]
    assert matches(root, "H/*.png") == [f"H/{name}" for name in names[1:]]


def test_each_folder_is_read_once(tmp_path):
    keep(tmp_path, {f"G/{number}.png": PNG for number in range(3)} | {"G/s/3.png": PNG})
    (tmp_path / "G" / "loop").symlink_to(".")
    (tmp_path / "G" / "t").symlink_to("s")
    source = open_source(f"{tmp_path}/G/**/*.png")
    assert source.size == open_source(tmp_path / "G").size == 4
    assert source.notes[-1] == open_source(tmp_path / "G").notes[-1]
    assert matches(tmp_path, "G/*/*.png") == ["G/loop/0.png", "G/loop/1.png", "G/loop/2.png", "G/s/3.png"]
    twice = open_source(f"{tmp_path}/G/{{s,t}}/*.png")
    assert [twice.name_of(index) for index in range(twice.size)] == [f"{tmp_path}/G/s/3.png"]
    assert "to folders that are counted already" in twice.notes[-1]


def test_many_stars_take_no_time(root):
    keep(root, {"/".join("x" * 20) + "/0.png": PNG})
    begin = time.monotonic()
    with pytest.raises(InputError, match="nothing matches"):
        open_source(f"{root}/x/" + "**/*/" * 9 + "**/**/**/nope.png")
    assert time.monotonic() - begin < 2
    assert open_source(f"{root}/" + "**/*/" * 9 + "0.png").size == 1


def test_absolute_paths_in_braces(tmp_path):
    keep(tmp_path, {"x/0.png": PNG, "y/1.png": PNG})
    source = open_source(f"{{{tmp_path}/x,{tmp_path}/y/*.png}}")
    assert [source.name_of(index) for index in range(source.size)] == [f"{tmp_path}/x/0.png", f"{tmp_path}/y/1.png"]


def test_a_bracket_in_the_name_of_a_folder(root):
    keep(root, {"X[1]/0.png": PNG})
    with pytest.raises(InputError, match=r"nothing matches the pattern .*; a \[ within a name is written \[\[\]$"):
        open_source(f"{root}/X[1]/*.png")
    assert matches(root, "X[[]1]/*.png") == ["X[1]/0.png"]


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

    matches = Matches(["/".join(parts)], False, lambda name: True)
    matches.look_for([0])
    (begin,) = matches.begin
    depth = len(begin.split("/")) if begin else 0
    if "/".join(names[:depth]) != begin or depth == len(names):
        assert depth == len(parts) or not plain(parts, names)
        return
    entered = all(matches("/".join(names[:k]), True) for k in range(depth + 1, len(names)))
    assert (entered and bool(matches("/".join(names), False))) == plain(parts, names)


def test_many_files_in_random_order(tmp_path):
    names = [f"{number:03}.png" for number in range(50)]
    random.Random(0).shuffle(names)
    for name in names:
        (tmp_path / name).write_bytes(PNG)
    source = open_source(tmp_path / "*.png")
    plain = open_source(tmp_path)
    assert [source.name_of(index) for index in range(50)] == [plain.name_of(index) for index in range(50)]
