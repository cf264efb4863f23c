"""The limits of what is read: the page states those of the code, and the newest are kept."""

import importlib
import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fastfid
from fastfid.errors import InputError
from fastfid.files import npz
from fastfid.sources import archive, globs, open_source
from fastfid.sources.pieces import read_items
from test_archives import png, write_tar, write_zip
from test_streams import PACK

PAGE = Path(__file__).parents[1] / "docs" / "reliability.md"
ROW = re.compile(r"\| [^|]+ \| ([\d,]+) \| `([\w.]+)\.(\w+)` \|")


def rows():
    return ROW.findall(PAGE.read_text(encoding="utf-8").partition("### Limits")[2])


def test_the_page_states_the_limits_of_the_code():
    assert len(rows()) > 30
    for stated, module, name in rows():
        assert getattr(importlib.import_module(f"fastfid.{module}"), name) == int(stated.replace(",", "")), name


def test_pixels():
    stated = re.search(r"([\d,]+) \| twice `PIL", PAGE.read_text(encoding="utf-8"))
    assert int(stated[1].replace(",", "")) == 2 * Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_members_of_an_archive(kind, tmp_path, monkeypatch):
    path = tmp_path / f"a.{kind}"
    (write_zip if kind == "zip" else write_tar)(path, [*((f"{i}.png", png(i)) for i in range(3)), ("a.txt", b"")])
    if kind == "tar.gz":
        path.write_bytes(PACK["gz"](path.read_bytes()))
    read = open_source(path).read(range(9)) if kind == "tar.gz" else read_items(open_source(path))
    assert len(list(read)) == 3
    monkeypatch.setattr(archive, "MOST_MEMBERS", 3)
    with pytest.raises(InputError, match=r"a\..*: it has more than 3 members: divide it"):
        list(open_source(path).read(range(9)))


def test_members_of_an_npz(tmp_path, monkeypatch):
    fastfid.Statistics(2).update(np.eye(2)).save(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as file:
        for number in range(10):
            file.writestr(f"{number}.txt", "")
    assert fastfid.Statistics.load(tmp_path / "a.npz").n == 2
    monkeypatch.setattr(npz, "_MOST_MEMBERS", 10)
    with pytest.raises(InputError, match=r"a\.npz .*it has more than 10 members"):
        fastfid.Statistics.load(tmp_path / "a.npz")


@pytest.mark.parametrize("pattern", ["{0..%s}.png" % ("9" * 19), "{%s1..2}.png" % ("0" * 18)])
def test_digits_of_a_pattern(pattern):
    with pytest.raises(InputError, match="has more than 18 digits"):
        fastfid.statistics(pattern)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [("{0..9}" + "x" * 5000, "more than 4,096 characters"), ("{0..99999}" + "x" * 4000, "or too long ones")],
)
def test_length_of_a_pattern(pattern, said):
    with pytest.raises(InputError, match=said):
        globs.expand(pattern)


def test_a_text_beyond_unicode_is_none():
    codes = np.array(["text"]).view(np.uint32)
    for order in "<>":
        for code in (0x10FFFF, 0x110000, 0x40000062):
            codes[1] = code
            file = io.BytesIO()
            np.savez(file, text=codes.astype(f"{order}u4").view(f"{order}U4")[0:1])
            with npz.Npz(file) as opened:
                if code == 0x10FFFF:
                    assert ord(str(opened.read("text", 99)[0])[1]) == code
                else:
                    with pytest.raises(ValueError, match="a character that does not exist"):
                        opened.read("text", 99)
