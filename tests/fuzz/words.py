"""What users type or a form passes on: command lines, addresses, patterns, conditions, preprocessings."""

import contextlib
import io
import itertools
import os
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from unittest import mock

import fsspec
import numpy as np
from PIL import Image

import fastfid
from fastfid.conditions import Condition
from fastfid.errors import FastFIDError, InputError, ModelError
from fastfid.files.reading import failures
from fastfid.files.remote import without_secrets
from fastfid.images.preprocess import Preprocessing
from fastfid.sources import open_source
from fastfid.sources.pieces import read_items

from .damage import damaged
from .reader import Reader, expect

# --- command lines, a word a line

_WORDS = [
    *("a.npz", "b.npz", "one.npz", "text.png", "folder", "missing", "", ".", "..", "/", "~nouser9/x", "~", "demo"),
    *("merge", "models", "list", "fetch", "path", "export", "inception-v3", "inception-v3-random", "-", "--", "-h"),
    *("\x1b[2J", "a\x0bfastfid: error: b", "\udcff", "\ud800", "\0", "a\0.npz", "é…日本", "x" * 300, "y" * 5000),
    *("%s", "{}", "{0..9}", "*.npz", "a.npz#fid", "memory://x", "http://", "s3://", "x://y", "file:///", "::"),
    *("--save-stats", "--model", "--mode", "--dims", "--method", "--batch-size", "--num-workers", "--device", "--seed"),
    *("--precision", "--limit", "--on-error", "--no-recursive", "--endings", "--force", "--bootstrap", "--silence"),
    *("--json", "--quiet", "--version", "--images", "--out", "--metrics", "--b", "--s", "--n", "--d", "--=", "--b="),
    *("--dims=\0", "--fail-above", "--fail-if", "--fail-outside", "--max-delta", "--baseline", "--junit", "--append"),
    *("--note", "--protocol", "--certainty", "--storage-options", "--value-range", "--quantise", "--image-key"),
    *(
        "--reference",
        "--cache",
        "--resume",
        "--report",
        "--features",
        "--per-class",
        "--paired",
        "--all-pairs",
        "--last",
    ),
    *("--plot", "--metric", "--index", "--of", "--sd", "--fid", "--half-width", "--network", "history", "diff", "plan"),
    *(
        "rank",
        "shard",
        "prepare",
        "protocols",
        "reference",
        "fdr",
        "cache",
        "show",
        "h.jsonl",
        "r.json",
        "{",
        '{"a":1}',
    ),
    *("0", "1", "2", "3", "20", "64", "-1", "1e9", "9" * 30, "9" * 5000, "٣", "²", "nan", "inf", "1e400", "-0.0"),
    *("pytorch", "clean", "auto", "schur", "raise", "skip", "fp32", "fp16", "png,jpg", "pytorch-fid", "few-images"),
    *("cpu", "cuda:0", "cuda:99", "fid", "kid", "prdc,fid", "fid > 1", "fid outside 1:0", "prdc.recall<0.5", "edm"),
    *("size=224 resize=bicubic", "size=1e9", "x.svg", "x.onnx", "folder/x.npz", "no/x.npz", "out.xml", "adm", "-1,1"),
]


@cache
def _pngs() -> list[bytes]:
    files = [io.BytesIO() for _ in range(4)]
    for number, file in enumerate(files):
        Image.new("RGB", (3, 2), (number, 0, 0)).save(file, "PNG")
    return [file.getvalue() for file in files]


@cache
def _home() -> str:
    """A folder to work in; for as long as this process lives."""
    folder = Path(tempfile.mkdtemp(prefix="words-"))
    (folder / "in" / "folder").mkdir(parents=True)
    for name, seed in (("a", 0), ("b", 1)):
        fastfid.Statistics(3).update(np.random.RandomState(seed).standard_normal((4, 3))).save(folder / "in" / name)
    np.savez(folder / "in" / "one.npz", arr_0=np.zeros((1, 4, 4, 3), np.uint8))
    (folder / "in" / "text.png").write_text("no image")
    (folder / "in" / "set").mkdir()
    for number, data in enumerate(_pngs()):
        (folder / "in" / "set" / f"{number}.png").write_bytes(data)
    (folder / "in" / "h.jsonl").write_text("{}\n")
    (folder / "in" / "r.json").write_text("{}")
    return str(folder)


_THERE = {"a.npz", "b.npz", "one.npz", "text.png", "folder", "h.jsonl", "r.json", "set"}


def _no(*_: object, **__: object) -> object:
    raise ModelError("not here")


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Replace only what takes long or leaves the machine."""
    home = _home()
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, {"FASTFID_HOME": f"{home}/home", "HOME": home}))
        for name in ("fastfid.networks.load", "fastfid.networks.fetch", "fastfid.networks.export"):
            stack.enter_context(mock.patch(name, _no))
        stack.enter_context(mock.patch("fastfid.cli.demo.run", return_value=None))
        stack.enter_context(mock.patch("urllib.request.build_opener", _no))
        before = os.getcwd()  # noqa: PTH109
        os.chdir(f"{home}/in")
        stack.callback(os.chdir, before)
        yield


def _lines() -> list[bytes]:
    _home()
    return [b"a.npz\nb.npz"]


def _line(rng: np.random.RandomState) -> bytes:
    words = [_WORDS[i] for i in rng.randint(len(_WORDS), size=rng.randint(8))]
    if rng.randint(3):
        words = ["a.npz", "b.npz", *words]
    return "\n".join(words).encode("utf-8", "surrogatepass")


def _read_line(data: bytes, path: Path) -> None:
    """It ends with a status, and says what is wrong in lines of its own that can be printed; 1 and 2 are errors."""
    from fastfid.cli.main import main

    arguments = data.decode("utf-8", "surrogatepass").split("\n") if data else []
    out, err = io.StringIO(), io.StringIO()
    with _alone(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(arguments)
        except SystemExit as exit_:
            code = exit_.code  # type: ignore[assignment]
        finally:
            _clean()
    said = err.getvalue()
    expect(code in (0, 1, 2, 3, 4), code)
    expect(said.replace("\n", "").isprintable(), said)
    expect(code != 0 or all(line.startswith("fastfid: ") for line in said.splitlines()), said)
    if code in (1, 2):
        expect(bool(said), "no message")
        raise InputError("refused")


def _clean() -> None:
    """Remove what a command wrote, so that the next case does not depend on this one."""
    import shutil

    for entry in os.scandir("."):
        if entry.name not in _THERE:
            shutil.rmtree(entry) if entry.is_dir(follow_symlinks=False) else os.unlink(entry)  # noqa: PTH108
        elif entry.name == "folder" and os.listdir(entry):  # noqa: PTH208
            shutil.rmtree(entry)
            os.mkdir(entry)  # noqa: PTH102


# --- addresses

_ADDRESSES = (
    *("memory://set/0.png", "memory://set", "memory://set/*.png", "memory://set/{0..3}.png", "file:///no/such/a.zip"),
    *(
        "https://me:word@host:1/a.zip?X-Amz-Signature=0123",
        "s3://bucket/a/{000..009}.tar",
        "zip://a::memory://set/a.zip",
    ),
    *("simplecache::s3://bucket/what?.png", "hf://datasets/a/b", "HTTP://a/b", "memory://set/[a-c]*.npy"),
)
_IN_MEMORY = tuple(each for each in _ADDRESSES if each.startswith("memory://"))
_PARTS = (
    *(
        "://",
        "::",
        "/",
        "?",
        "#",
        "@",
        ":",
        "*",
        "[",
        "]",
        "{",
        "}",
        ",",
        "..",
        "{0..9}",
        "{a,b}",
        "%00",
        "\0",
        "\n",
        " ",
    ),
    *("\udcff", "\ud800", "é", "memory://", "zip://", "simplecache::", "file://", "x" * 300, "{0..999}", "9" * 5000),
    *(
        "{" + "0" * 60_000 + "..999999}",
        "{0..9}" * 7,
        "{0.." + "9" * 5000 + "}",
        "{,}" * 25,
        "**/",
        "../",
        "\\",
        "ftp://",
        "data:",
        "dir::",
    ),
)
_ONLY = ("memory://", "file://", "x://")


def _addresses() -> list[bytes]:
    return [b"memory://set/", b"memory://set/*.png", b"memory://set/{0..3}.png"]


def _address(rng: np.random.RandomState) -> bytes:
    every = _ADDRESSES if rng.randint(2) else _IN_MEMORY
    text = every[rng.randint(len(every))]
    for _ in range(rng.randint(4)):
        at, to = sorted(rng.randint(len(text) + 1, size=2))
        part = _PARTS[rng.randint(len(_PARTS))] if rng.randint(4) else ""
        text = text[:at] + part + text[(at if rng.randint(2) else to) :]
    return text.encode("utf-8", "surrogatepass")


def _read_address(data: bytes, path: Path) -> None:
    """No password is in what messages say; an address in memory is opened, others are only taken apart."""
    text = data.decode("utf-8", "surrogatepass")
    shown = without_secrets(text)
    expect(len(shown) <= len(text), shown)
    expect("://me:word@" not in text or "://me:word@" not in shown, shown)
    if not text.startswith(_ONLY) or "::" in text:
        return
    memory = fsspec.filesystem("memory")
    for number, png in enumerate(_pngs()):
        memory.pipe_file(f"/set/{number}.png", png)
    with mock.patch("fastfid.files.retries.time.sleep", return_value=None):
        source = open_source(text)
        list(itertools.islice(read_items(source), 3))


# --- patterns, below a folder of their own


def _patterns() -> list[bytes]:
    _home()
    return [b"set/*.png", b"set/{0..3}.png", b"**/[0-3].png", b"{set,set}/{0,1}.png"]


def _pattern(rng: np.random.RandomState) -> bytes:
    if rng.randint(3) == 0:
        return damaged(rng, _patterns())
    parts = [_PARTS[rng.randint(len(_PARTS))] if rng.randint(2) else "set/0.png"[: rng.randint(10)] for _ in range(4)]
    return "".join(parts).encode("utf-8", "surrogatepass")


def _read_pattern(data: bytes, path: Path) -> None:
    with failures("x"):
        text = data.decode("utf-8", "surrogateescape")
    if "://" in text or "::" in text or text.startswith(("/", "~")) or ".." in text.split("/"):
        return  # an address, or outside of the folder
    with _alone():
        list(itertools.islice(read_items(open_source(text)), 3))


# --- conditions and preprocessings


def _conditions() -> list[bytes]:
    return [b"fid > 12.5", b"prdc.recall<0.5", b"fid outside 23.0:23.9", b"kid>=1e-3"]


def _read_condition(data: bytes, path: Path) -> None:
    """What is read says the same when it is read again, and has an answer for any number."""
    condition = Condition.of(data.decode("utf-8", "surrogateescape"))
    expect(Condition.of(condition.text) == condition, condition)
    expect({condition.side(value) for value in (-1e300, 0.0, 1e300)} <= {-1, 0, 1}, condition)
    with contextlib.suppress(FastFIDError):
        condition.check(["fid", "prdc"], certainty=False, classes=False)


def _preprocessings() -> list[bytes]:
    from fastfid.images.preprocess import PRESETS

    return [text.encode() for text in PRESETS.values()] + [b"clip", b"size=8,9 resize=nearest layout=NHWC range=-1,1"]


def _read_preprocessing(data: bytes, path: Path) -> None:
    """The canonical text gives the same again."""
    with failures("x"):
        text = data.decode()
    found = Preprocessing.parse(text)
    expect(Preprocessing.parse(str(found)) == found, found)


READERS = [
    Reader("command line", _lines, _read_line, make=_line, writes=True),
    Reader("address", _addresses, _read_address, make=_address, quoted=10),
    Reader("pattern", _patterns, _read_pattern, make=_pattern, quoted=10),
    Reader("condition", _conditions, _read_condition),
    Reader("preprocessing", _preprocessings, _read_preprocessing, quoted=10),
]
