"""The allowlist of formats: nothing else is opened, whatever its name; no program starts, no other file is read."""

import json
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from fastfid.errors import ImageError
from fastfid.files.reading import MOST_FILE_BYTES
from fastfid.images import formats
from fastfid.images.decode import decode, from_pil

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
# The first bytes of what Pillow reads and does not write.
MAGIC = {
    "EPS": EPS,
    "BUFR": b"BUFR\0\0\0\4",
    "CUR": b"\0\0\2\0\1\0" + bytes(30),
    "DCX": b"\xb1\x68\xde\x3a" + bytes(30),
    "FITS": b"SIMPLE  =                    T" + bytes(50),
    "FLI": b"\0\0\0\0\x11\xaf\1\0\2\0\2\0\x08\0\0\0" + bytes(112),
    "FPX": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
    "FTEX": b"FTEX" + bytes(50),
    "GBR": b"\0\0\0\x1c\0\0\0\1\0\0\0\2\0\0\0\2\0\0\0\1" + bytes(20),
    "GRIB": b"GRIB\0\0\0\1",
    "HDF5": b"\x89HDF\r\n\x1a\n",
    "IMT": b"width 2\nheight 2\n\x0c" + bytes(90),
    "IPTC": b"\x1c\3\x3c\0\1\0" + bytes(30),
    "MCIDAS": bytes(7) + b"\4" + bytes(250),
    "MPEG": b"\0\0\1\xb3\0\x20\2",
    "PCD": bytes(2048) + b"PCD_IPI" + bytes(2000),
    "PIXAR": b"\x80\xe8\0\0" + bytes(600),
    "PSD": b"8BPS\0\1" + bytes(30),
    "QOI": b"qoif\0\0\0\2\0\0\0\2\3\0" + bytes(16),
    "SUN": b"\x59\xa6\x6a\x95" + bytes(40),
    "WMF": b"\xd7\xcd\xc6\x9a" + bytes(40),
    "XVTHUMB": b"P7 332\n2 2 255\n" + bytes(10),
    "XPM": b'/* XPM */\nstatic char * x[] = {\n"1 1 1 1",\n"a c #FFFFFF",\n"a"};\n',
}
SAVE_ALL = """
import io, json, sys
from pathlib import Path
from PIL import Image
Image.init()
folder = Path(sys.argv[1])
for name in Image.SAVE:
    for mode in ("RGB", "L", "1", "P"):
        file = io.BytesIO()
        try:
            Image.new(mode, (16, 16)).save(file, name)
        except Exception:
            continue
        (folder / f"{name}.png").write_bytes(file.getvalue())
        break
print(json.dumps(sorted(Image.OPEN)))
"""
DECODE_ALL = """
import json, sys
from pathlib import Path
from fastfid.errors import ImageError
from fastfid.images.decode import decode
files = sorted(Path(sys.argv[1]).iterdir())
contents = {file.stem: file.read_bytes() for file in files}
decode(contents["PNG"], "warm.png")
decode(contents["TIFF"], "warm.png")
import subprocess, multiprocessing
told, decoded, errors = [], [], {}
code = (".py", ".pyc", ".so", ".pyi")
def hook(event, arguments):
    name = str(arguments[0]) if arguments else ""
    if event == "open" and not name.endswith(code):
        told.append(f"{event} {name}")
    elif event.split(".")[0] in ("subprocess", "socket", "ctypes") or event in (
        "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.startfile"
    ):
        told.append(f"{event} {name}")
sys.addaudithook(hook)
for name, content in contents.items():
    try:
        decode(content, f"{name}.png")
        decoded.append(name)
    except ImageError as error:
        errors[name] = str(error)
plugins = sorted(m for m in sys.modules if m.startswith("PIL.") and m.endswith("ImagePlugin"))
print(json.dumps([told, decoded, errors, plugins]))
"""


def python(code, *arguments):
    command = [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=120).stdout)


def test_every_format_of_pillow_under_the_name_of_a_png(tmp_path):
    registered = set(python(SAVE_ALL, tmp_path))
    for name, data in MAGIC.items():
        (tmp_path / f"{name}.png").write_bytes(data)
    made = {file.stem for file in tmp_path.iterdir()}
    assert {"PNG", "GIF", "EPS", "ICO", "TGA"} <= made & registered
    told, decoded, errors, plugins = python(DECODE_ALL, tmp_path)
    assert told == []
    assert set(decoded) <= {*formats.READ, "MPO"}
    assert {"BMP", "GIF", "JPEG", "MPO", "PNG", "PPM", "TIFF", "WEBP"} <= set(decoded)
    assert "no format that is read" in errors["EPS"]
    own = {f"PIL.{name}" for name in formats._PLUGINS}
    assert set(plugins) <= own | {f"PIL.{name.title()}ImagePlugin" for name in ("BMP", "GIF", "JPEG", "PPM", "PNG")}


def test_postscript_starts_no_process(monkeypatch):
    def told(*arguments, **options):
        raise AssertionError(f"a process was started: {arguments}")

    for name in ("Popen", "check_call", "run"):
        monkeypatch.setattr(subprocess, name, told)
    from PIL import EpsImagePlugin  # where something else in the process has loaded it

    monkeypatch.setattr(EpsImagePlugin, "gs_binary", "gs")
    ways_out = "convert it to PNG, or decode it and give arrays"
    with pytest.raises(ImageError, match=f"cannot decode x.png: it is damaged, or of no format.*{ways_out}"):
        decode(EPS, "x.png")


def wide_png(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(("width", "height"), [(90_000_000, 1), (1, 178_000_000), (65_536, 2), (2, 65_536)])
def test_a_side_too_long_is_refused_before_it_is_decoded(monkeypatch, width, height):
    from PIL import ImageFile

    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("pixels were decoded"))
    size = f"its size is {width}x{height} pixels; sides of at most 65535 are read"
    with pytest.raises(ImageError, match=f"cannot decode x.png: {size}"):
        decode(wide_png(width, height), "x.png")


def tiled_tiff(side, tile):
    """Grey, of one tile, compressed by deflate."""
    data = zlib.compress(bytes(tile * tile))
    tags = {256: side, 257: side, 258: 8, 259: 8, 262: 1, 277: 1, 322: tile, 323: tile, 325: len(data)}
    tags[324] = 8 + 2 + 12 * (len(tags) + 1) + 4  # where the tile is
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, tags[tag]) for tag in sorted(tags))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + data


def test_tiles_larger_than_their_tiff_are_refused():
    assert decode(tiled_tiff(40, 4096), "x").pixels.shape == (40, 40, 3)
    message = "cannot decode x: its tiles of 4112x4112 pixels are larger than the image, 40x40"
    with pytest.raises(ImageError, match=message):
        decode(tiled_tiff(40, 4112), "x")


def test_the_longest_side_is_read(tmp_path):
    Image.new("L", (65_535, 1), 7).save(tmp_path / "x.png")
    assert decode(tmp_path / "x.png", "x").pixels.shape == (1, 65_535, 3)


def test_a_long_pil_image():
    with pytest.raises(ImageError, match="cannot decode image 3: its size is 70000x1 pixels"):
        from_pil(Image.new("L", (70_000, 1)), "image 3")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs on this system")
def test_only_regular_files_of_bounded_size_are_read(tmp_path):
    os.mkfifo(tmp_path / "fifo.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "device.png").symlink_to("/dev/zero")
    with (tmp_path / "sparse.png").open("wb") as file:
        file.truncate(MOST_FILE_BYTES + 1)
    for name, message in {
        "fifo": "it is a FIFO, not a regular file",
        "folder": "it is a folder, not a regular file",
        "device": "it is a device, not a regular file",
        "sparse": "it has 536,870,913 bytes or more; at most 536,870,912 are read",
    }.items():
        with pytest.raises(ImageError, match=rf"cannot decode {name}: {message}"):
            decode(tmp_path / f"{name}.png", name)


def test_the_plugins_are_loaded_once_by_many_threads():
    code = """
import io, json, sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from PIL import Image
sys.setswitchinterval(1e-6)
from fastfid.images.decode import decode
file = io.BytesIO()
np.save(file, np.zeros(3))
from fastfid.images import formats
with ThreadPoolExecutor(16) as pool:
    lists = list(pool.map(lambda _: tuple(formats._load_plugins()), range(64)))
print(json.dumps([len(set(lists)), len(lists[0])]))
"""
    different, length = python(code)
    assert different == 1
    assert length >= 7


def test_formats_are_those_of_the_endings_and_of_the_web():
    assert {"BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP"} <= set(formats.READ)
    assert not {"EPS", "PDF", "WMF", "FPX", "HDF5", "DIB"} & set(formats.READ)
    np.testing.assert_array_equal(sorted(set(formats.READ)), sorted(formats.READ))
