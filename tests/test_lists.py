"""Lists of paths, as text, CSV or TSV: the images of the files, in the list's order."""

import os
import pickle
import threading

import numpy as np
import pytest

from fastfid.engines.piece_files import proof_of_piece
from fastfid.errors import InputError
from fastfid.files.remote import Remote
from fastfid.sources import Piece, open_source, read_items
from fastfid.sources.kept import Kept
from pictures import folder, pictures

STACK = pictures(9, 8)
ORDER = [3, 1, 4, 1, 5, 0, 2, 6, 8, 7]


@pytest.fixture
def root(tmp_path):
    folder(tmp_path / "set/a", STACK[:4])
    folder(tmp_path / "set/b", STACK[4:])
    return tmp_path


def name(index):
    return f"set/a/{index:03}.png" if index < 4 else f"set/b/{index - 4:03}.png"


def pixels(source):
    return np.array([item.decode().pixels for item in read_items(source)])


PATHS = [name(index) for index in ORDER]
CONTENTS = {
    "plain.txt": "\n".join(PATHS),
    "windows.txt": "\ufeff" + "\r\n".join(PATHS) + "\r\n",
    "commented.txt": "# paths\n\n" + "\n  \n".join(PATHS) + "\n#end",
    "one.csv": "\n".join(PATHS),
    "one.tsv": "file_name\n" + "\n".join(PATHS),
    "header.csv": "label,Filename,note\n" + "\n".join(f'{i},{path},"a, ""b"""' for i, path in enumerate(PATHS)),
    "header.tsv": "label\tpath\turl\n" + "\n".join(f"{i}\t{path}\thttps://a/b.png" for i, path in enumerate(PATHS)),
    "no_header.csv": "\n".join(f"{path},{i}" for i, path in enumerate(PATHS)),
    "blank.csv": "\ufefffile_name,x\r\n\r\n" + "\r\n\r\n".join(f"{path},1" for path in PATHS),
    "quoted.csv": "path\n" + "\n".join(f'"{path}"' for path in PATHS),
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_a_list_is_the_images_of_its_files(root, kind):
    path = root / kind
    path.write_text(CONTENTS[kind], encoding="utf-8", newline="")
    source = open_source(path)
    assert (source.size, source.ordered, source.files) == (10, False, True)
    np.testing.assert_array_equal(pixels(source), STACK[ORDER])
    assert f"{path} lists 1 of its 10 files again; each time counts" in source.notes
    assert [source.key_of(index) for index in range(10)] == PATHS
    assert source.name_of(2) == str(root / "set/b/000.png")
    assert source.folder_of(2) == "set/b"
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal([item.decode().pixels for item in again.read([2, 9])], STACK[[4, 7]])


def test_the_proof_is_that_of_the_file(root):
    (root / "a.txt").write_text("\n".join(PATHS))
    source = open_source(root / "a.txt")
    before = list(source.proofs(range(10)))
    os.utime(root / "set/b/000.png", (1, 1))
    after = list(source.proofs(range(10)))
    assert [index for index in range(10) if after[index] != before[index]] == [2]


def test_the_column_of_the_paths_is_told(root):
    (root / "a.csv").write_text(CONTENTS["header.csv"])
    assert f"{root / 'a.csv'}: the paths are those of column 'Filename'" in open_source(root / "a.csv").notes
    (root / "a.csv").write_text(CONTENTS["no_header.csv"])
    note = f"{root / 'a.csv'}: the paths are those of column 0, counted from 0; it has no line of names"
    assert note in open_source(root / "a.csv").notes


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("path,mask\n{},{}", "path"),
        ("x,mask\n{},{}", "x"),
        ("{},{}", "0"),
        ("x,y\n{},{}", "0"),
    ],
)
def test_image_key_chooses_the_column(root, text, key):
    head, _, row = text.rpartition("\n")
    rows = [row.format(name(index), name(0)) for index in range(9)]
    (root / "a.csv").write_text("\n".join([head, *rows] if head else rows))
    np.testing.assert_array_equal(pixels(open_source(root / "a.csv", image_key=key)), STACK)


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("txt", "", "it lists no files"),
        ("csv", "", "it lists no files"),
        ("csv", "path\n", "it lists no files"),
        (
            "txt",
            "set/a/000.png\ngone.png\nset/a",
            "2 of the 3 files .* do not exist; .*gone.png', in line 2",
        ),
        ("txt", "Read this first.\n", "1 of the 1 files"),
        ("txt", "a\0b.png", "1 of the 1 files"),
        ("txt", "x.tar\n", "line 1: x.tar is an archive"),
        ("txt", "a" * 70_000, "line 1 has more than 65,536 bytes"),
        ("csv", "path,x\nset/a/000.png,1\n,2\n", "line 3: there is no path in column 0"),
        ("csv", "x,path\n1,set/a/000.png\n2\n", "line 3: there is no path in column 1"),
        ("csv", "path,image\na.png,b.png", "which column holds the paths.*'path', 'image'"),
        ("csv", "a.png,b.png", "which column holds the paths"),
        ("csv", "a,b\nset/a/000.png,1", "which column holds the paths"),
        ("csv", 'path\n"set/a', "cannot read the list"),
        ("csv", 'path\n"' + "a\n" * 200_000, "cannot read the list.*field"),
    ],
)
def test_what_is_not_clear_is_refused(root, kind, text, message):
    path = root / f"a.{kind}"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        open_source(path)
    assert str(path) in str(caught.value)


def test_a_column_that_is_not_there(root):
    (root / "a.csv").write_text("path,x\nset/a/000.png,1")
    with pytest.raises(InputError, match="has no column 'y', or two: its first line is 'path', 'x'"):
        open_source(root / "a.csv", image_key="y")


def test_other_encodings(root):
    (root / "a.txt").write_bytes("set/a/000.png".encode("utf-16"))
    with pytest.raises(InputError, match="it is in UTF-16: save it as UTF-8"):
        open_source(root / "a.txt")
    odd = os.fsencode(root) + b"/set/a/\xff.png"
    os.rename(root / "set/a/000.png", odd)  # noqa: PTH104 - a name that is no text
    (root / "a.txt").write_bytes(b"set/a/\xff.png\nset/a/001.png")
    np.testing.assert_array_equal(pixels(open_source(root / "a.txt")), STACK[:2])


def test_absolute_paths_and_other_folders(root):
    (root / "lists").mkdir()
    (root / "lists/a.txt").write_text(f"{root / name(0)}\n../{name(1)}")
    np.testing.assert_array_equal(pixels(open_source(root / "lists/a.txt")), STACK[:2])


def test_addresses_and_lists_behind_them(root, request):
    memory = pytest.importorskip("fsspec").filesystem("memory")
    request.addfinalizer(lambda: memory.rm("/lists", recursive=True))
    for index in range(9):
        memory.pipe(f"/lists/{name(index)}", (root / name(index)).read_bytes())
    memory.pipe("/lists/a.txt", "\n".join(name(index) for index in range(9)).encode())
    (root / "a.csv").write_text("path,url\n" + "\n".join(f"memory://lists/{name(index)},x" for index in range(9)))
    for source in (open_source("memory://lists/a.txt"), open_source(root / "a.csv")):
        again = pickle.loads(pickle.dumps(source))
        np.testing.assert_array_equal(pixels(again), STACK)
        assert again.name_of(3) == f"memory://lists/{name(3)}"


def test_servers_are_asked_for_many_proofs_at_a_time(root, request, monkeypatch, tmp_path):
    """A run that is to be resumed asks for the proofs of all images before it reads them."""
    memory = pytest.importorskip("fsspec").filesystem("memory")
    request.addfinalizer(lambda: memory.rm("/lists", recursive=True))
    for index in range(9):
        memory.pipe(f"/lists/{name(index)}", (root / name(index)).read_bytes())
    (root / "a.txt").write_text("\n".join(f"memory://lists/{name(index)}" for index in range(9)))
    (root / "b.txt").write_text("\n".join(name(index) for index in range(9)))
    together = threading.Barrier(9)
    plain = Remote.info

    def info(self, name=""):
        together.wait(10)  # all nine ask before the first is answered
        return plain(self, name)

    for path in ("a.txt", "b.txt"):
        source = open_source(root / path)
        one_by_one = [next(iter(source.proofs([index]))) for index in range(9)]
        with monkeypatch.context() as patch:
            patch.setattr(Remote, "info", info)
            kept = Kept(source, {})
            digest = proof_of_piece(Piece(kept, 0, range(9), 9))
            assert list(kept.proofs(range(9))) == one_by_one
        assert digest == proof_of_piece(Piece(source, 0, range(9), 9))
