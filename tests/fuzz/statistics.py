"""Statistics files, ours and those of other tools, as .npz and as pickles; and the text that says what made them."""

import contextlib
import io
import json
import pickle
import random
import struct
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from fastfid import Statistics
from fastfid.files.pickled_arrays import PickledArrays
from fastfid.files.places import Local
from fastfid.files.reading import failures
from fastfid.provenance import Provenance

from .damage import damaged
from .reader import Reader, expect

MADE_BY = {"format": 1, "model": "m", "sha256": "a" * 64, "mode": "pytorch", "dims": 3}


@cache
def _files() -> list[bytes]:
    rows = np.random.RandomState(3).standard_normal((5, 3))
    made_by = Provenance("m", "a" * 64, "pytorch", 3, versions={"fastfid": "0.1.0"})
    files = []
    for save, n in ((np.savez, 2), (np.savez_compressed, 3), (np.savez, 5), (np.savez_compressed, 5)):
        s, file = Statistics(3, made_by).update(rows[:n]), io.BytesIO()
        arrays = {"mu": s.mu, "sigma": s.sigma, "n": np.array(s.n), "fastfid": np.array(made_by.to_json())}
        save(file, **arrays, **({} if s.rows is None else {"rows": s.rows}))
        files.append(file.getvalue())
    return files


def _read(data: bytes, path: Path) -> None:
    """What is read are finite moments, those of the rows where there are rows, and the mean that NumPy reads."""
    s = Statistics.load(path)
    expect(bool(np.isfinite(s.mu).all() and np.isfinite(s.sigma).all()), "not finite")
    expect(s.n is None or 2 <= s.n < 2**53, s.n)
    expect(s.provenance is None or s.provenance.dims == s.dims, s.provenance)
    if s.rows is not None:
        with np.errstate(over="ignore"):
            scale = np.float64(max(1, np.abs(s.rows).max())) ** 2
            close = np.allclose(np.cov(s.rows, rowvar=False), s.sigma, rtol=0, atol=1e-5 * scale)
        expect(bool(close), "another covariance than that of its rows")
    with contextlib.suppress(Exception):
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            known = file["mu"].astype(np.float64)
        expect(known.size != s.mu.size or np.array_equal(known.ravel(), s.mu), "another mean than NumPy's")


_ARRAYS = [
    *(np.zeros(()), np.zeros(0), np.zeros(3), np.zeros((3, 1)), np.zeros((2, 3)), np.zeros((3, 3))),
    *(np.eye(3), -np.eye(3), np.eye(3) * 1e200, np.eye(3) * 1e-320, np.triu(np.ones((3, 3))), np.ones((3, 3))),
    *(np.full(3, np.nan), np.full(3, np.inf), np.full((3, 3), -np.inf), np.full(3, 1e308), np.full(3, 5e-324)),
    *(np.eye(3, dtype=np.float16), np.eye(3, dtype=">f4"), np.eye(3, dtype=complex), np.eye(3, dtype=bool)),
    *(np.eye(3, dtype=np.longdouble), np.arange(3, dtype=np.uint64) + 2**63, np.asfortranarray(np.eye(3))),
    *(np.array("text"), np.array(b"bytes"), np.array(["a"] * 3), np.zeros(3, "M8[s]"), np.zeros(3, [("a", "i4")])),
    *(np.array(5), np.array([5]), np.array(2**64 - 1, np.uint64), np.array(-(2**63)), np.array(3.0), np.array(1e300)),
    np.zeros((1, 3, 3)),
]
_KEYS = ("mu", "sigma", "n", "rows", "fastfid", "images")


def _strange(rng: np.random.RandomState) -> bytes:
    """Return a good file with one to three of its arrays replaced, scaled, left out or added."""
    with np.load(io.BytesIO(_files()[rng.randint(4)])) as file:
        arrays: dict[str, Any] = dict(file)
    for _ in range(rng.randint(1, 4)):
        key = _KEYS[rng.randint(len(_KEYS))]
        kind = rng.randint(4)
        if kind == 0:
            arrays.pop(key, None)
        elif kind == 1 and key in arrays and arrays[key].dtype.kind in "fiuc":
            with np.errstate(all="ignore"):
                arrays[key] = np.asarray(arrays[key]) * 10.0 ** rng.randint(-300, 300)
        elif kind == 2 and key == "fastfid":
            arrays[key] = np.array(_strange_text(rng))
        else:
            arrays[key] = _ARRAYS[rng.randint(len(_ARRAYS))]
    made = io.BytesIO()
    np.savez(made, **arrays)
    return made.getvalue()


# --- provenance

_VALUES = [
    *(None, True, False, 0, 1, -1, 2, 3, 2**31, 2**53, 2**63, 2**64, 10**400, 0.5, 1e308, float("nan"), float("inf")),
    *("", "m", "\ud800", "\x00", "\x1b[2J", "a" * 70_000, [], [1], {}, {"a": 1}, {"a": {"b": []}}),
]


def _strange_text(rng: np.random.RandomState) -> str:
    """Return the JSON of a provenance with some of its values replaced, left out or added."""
    data: dict[str, Any] = {**MADE_BY, "versions": {"fastfid": "0.1.0"}, "device": "cpu", "precision": "fp32"}
    data["batch_size"] = 16
    for _ in range(rng.randint(1, 4)):
        key = [*data, "unheard of"][rng.randint(len(data) + 1)]
        if rng.randint(4):
            data[key] = _VALUES[rng.randint(len(_VALUES))]
        else:
            data.pop(key, None)
    text = json.dumps(data, allow_nan=True)
    return text if rng.randint(8) else "[" * rng.choice([1, 100, 100_000]) + text


def _text(rng: np.random.RandomState) -> bytes:
    if rng.randint(2):
        return damaged(rng, _texts())
    return _strange_text(rng).encode("utf-8", "surrogatepass")


def _texts() -> list[bytes]:
    return [json.dumps({**MADE_BY, "versions": {"fastfid": "0.1.0"}}).encode()]


def _read_text(data: bytes, path: Path) -> None:
    """What is read is written and read again as the same, and its values are of their types."""
    made_by = Provenance.from_json(data.decode("latin-1"), "f.npz")
    expect(Provenance.from_json(made_by.to_json(), "again") == made_by, made_by)
    expect(type(made_by.dims) is int, made_by.dims)
    expect(all(isinstance(version, str) for version in made_by.versions.values()), made_by.versions)


# --- pickles


@cache
def _pickles() -> list[bytes]:
    """Every layout, in every protocol."""
    from fastfid.metrics.foreign_files import write
    from test_pickled_arrays import PROTOCOLS, dumped

    rows = np.random.RandomState(3).standard_normal((6, 3))
    mu, sigma = rows.mean(axis=0), np.cov(rows, rowvar=False)
    edm2 = {"num_images": 6, "fid": {"mu": mu, "sigma": sigma}, "fd_dinov2": {"mu": mu, "sigma": sigma}}
    sums = {"num_items": 6, "raw_mean": rows.sum(axis=0), "raw_cov": rows.T @ rows, "num_features": 3}
    stylegan = {"capture_all": True, "max_items": None, **sums, "all_features": [rows[:2], rows[2:]]}
    modules = ("numpy._core", "numpy.core")
    found = [dumped(each, p, module) for p in PROTOCOLS for module in modules for each in (edm2, stylegan)]
    ours = io.BytesIO()
    write(ours, {"mu": mu, "sigma": sigma, "n": np.array(6)}, "edm2")
    return [*found, ours.getvalue()]


def _spliced(rng: np.random.RandomState) -> bytes:
    """Return a good file damaged anywhere, or with one to three opcodes dropped, doubled, or replaced by others."""
    import pickletools

    if rng.randint(2):
        return damaged(rng, _pickles())
    generator = random.Random(int(rng.randint(2**31)))
    data = _pickles()[rng.randint(len(_pickles()))]
    places = [place for _, _, place in pickletools.genops(data)] + [len(data)]
    parts = [data[start:end] for start, end in pairwise(places)]
    parts = [part for part in parts if part[:1] != b"\x95"]  # without frames, every order of opcodes parses
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(len(parts))
        kind = rng.randint(4)
        if kind == 0:
            del parts[at]
        elif kind == 1:
            parts.insert(at, parts[rng.randint(len(parts))])
        elif kind == 2:
            parts[at] = generator.choice(_PARTS)
        else:
            parts.insert(at, generator.choice(_PARTS))
        parts = parts or [b"N"]
    return b"".join(parts)


_PARTS = [
    *(b"cos\nsystem\n", b"cbuiltins\neval\n", b"cnumpy\nload\n", b"cnumpy\nndarray\n", b"cnumpy\ndtype\n", b"R", b"b"),
    *(b"c_codecs\nencode\n", b"cnumpy.core.multiarray\n_reconstruct\n", b"cnumpy._core.numeric\n_frombuffer\n"),
    *(b"\x93", b"\x81", b"\x92", b"o", b"ios\nsystem\n", b"Q", b"P1\n", b"\x82\x01", b"0", b"1", b"2", b"h\0", b"q\0"),
    *(b"N", b"\x88", b"\x89", b"]", b"}", b")", b"(", b"t", b"\x85", b"\x86", b"\x87", b"a", b"e", b"s", b"u", b"\x94"),
    *(b"K\0", b"M\xff\xff", b"J\xff\xff\xff\xff", b"\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"G" + bytes(8)),
    *(b"X\x02\0\0\0O8", b"X\x02\0\0\0f8", b"X\x06\0\0\0latin1", b"C\x08" + bytes(8), b"\x96" + bytes(8), b"X\0\0\0\0"),
    *(b"X\x02\0\0\0mu", b"X\x09\0\0\0fastfid\0\0", b"r\xff\xff\xff\xff", b"X\x07\0\0\0fastfidX\x02\0\0\0{}s", b"."),
    *(b"B" + struct.pack("<I", 2**31), b"\x8e" + struct.pack("<Q", 2**62), b"\x8c\xff"),
]


class _Unpickler(pickle.Unpickler):
    """Python's own, for the names of arrays alone."""

    def find_class(self, module: str, name: str) -> Any:
        from fastfid.files.pickled_arrays import NAMES

        if f"{module} {name}" not in NAMES:
            raise pickle.UnpicklingError(name)
        return getattr(__import__(module, fromlist=[name]), name)


def _read_pickle(data: bytes, path: Path) -> None:
    """Nothing is looked up; an array that is read is the one that Python makes of the same bytes."""
    with failures("x"):
        pickled = PickledArrays(Local(str(path)))
        found = {key: pickled.read(key, 1 << 20) for key in pickled.keys if pickled.header(key).plain}
    known: Any = None
    with contextlib.suppress(Exception):
        known = _Unpickler(io.BytesIO(data)).load()
    if isinstance(known, dict):
        for key, array in found.items():
            if isinstance(right := _inside(known, key), np.ndarray):
                expect(array.dtype == right.dtype and array.shape == right.shape, f"{key} {array.dtype} {array.shape}")
                expect(array.tobytes() == right.tobytes(), f"another {key} than Python's")
    _read(data, path)


def _inside(known: dict[str, Any], key: str) -> Any:
    if key in known:
        return known[key]
    first, _, rest = key.partition(".")
    return known[first].get(rest) if isinstance(known.get(first), dict) else None


READERS = [
    Reader("statistics", _files, _read, "f.npz"),
    Reader("statistics of strange arrays", _files, _read, "f.npz", _strange),
    Reader("provenance", _texts, _read_text, make=_text),
    Reader("pickle", _pickles, _read_pickle, "f.pkl", _spliced),
]
