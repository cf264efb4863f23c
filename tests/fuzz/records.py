"""What fastfid itself writes and reads again, changed by others: results, histories, states, pieces, records."""

import copy
import io
import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

import fastfid
from fastfid import Need
from fastfid.engines.packed import DamagedError, opened, packed, unpacked
from fastfid.engines.run_facts import FORMAT, digest_of, facts_in, text_of
from fastfid.errors import InputError
from fastfid.files.npz import Npz, write_npz
from fastfid.files.reading import failures
from fastfid.files.store import Store
from fastfid.fit import Fit
from fastfid.history import History, line_of
from fastfid.history_picture import picture
from fastfid.history_table import number_of, table
from fastfid.images.observed import Tally
from fastfid.metrics.moments import MOMENTS
from fastfid.metrics.rows import Rows
from fastfid.protocols import registry
from fastfid.protocols.prepared import Prepared, prepared_of
from fastfid.provenance import Provenance

from .damage import damaged
from .reader import Reader, expect

_MADE = Provenance("own", "0" * 64, "pytorch", 4, versions={"pillow": "1", "numpy": "2"})
_VALUES = [
    *(None, True, -1, 0, 1.5, 1e308, 2**31 - 1, 2**70, 10**400, float("nan"), float("-inf"), "", "x", "x" * 5000),
    *("\ud800\x1b[2J", "</svg><script>", "1" * 5000, "2026-01-02T03:04:05Z", [], [[]], [[1, 2]], ["x"], {}, {"a": 1}),
    *([[[1, 2], 3]], {"n": True}, {"n": 2**70}, {"n": 5, "name": "\x1b"}, {"value": "nan"}),
]


# --- changes of JSON


def _places(held: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each dict or list inside, and each of its keys."""
    for key, value in held.items() if isinstance(held, dict) else enumerate(held):
        yield held, key
        if isinstance(value, dict | list):
            yield from _places(value)


def _changed(rng: np.random.RandomState, held: Any) -> Any:
    """Return data with one to three of its values replaced, left out or added."""
    held = json.loads(json.dumps(held))
    for _ in range(rng.randint(1, 4)):
        if not (places := list(_places(held))):
            break
        inside, key = places[rng.randint(len(places))]
        kind = rng.randint(6)
        if kind == 0:
            del inside[key]
        elif kind == 1 and isinstance(inside, dict):
            inside[str(_VALUES[rng.randint(len(_VALUES))])[:50]] = inside[key]
        else:
            inside[key] = copy.deepcopy(_VALUES[rng.randint(len(_VALUES))])
    return held


def _json(good: Callable[[], list[bytes]], rng: np.random.RandomState) -> bytes:
    """Return good JSON with damaged bytes, or with other values."""
    if rng.randint(3) == 0:
        return damaged(rng, good())
    every = good()
    text = json.dumps(_changed(rng, json.loads(every[rng.randint(len(every))])))
    return text.encode() if rng.randint(20) else b"[" * 100_000 + text.encode()


# --- results and histories


@cache
def _result() -> Any:
    x, y = np.random.RandomState(0).standard_normal((2, 30, 4))
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = fastfid.compare(x + 1, y, features=True, metrics=["fid", "prdc"])
    return replace(found, provenance=_MADE)


@cache
def _results() -> list[bytes]:
    return [json.dumps(_result().as_dict()).encode()]


def _read_result(data: bytes, path: Path) -> None:
    """A difference that is found can be printed and written."""
    found = fastfid.diff(_result(), str(path))
    expect(bool(json.dumps(found.as_dict())) and bool(list(found.lines())), "no lines")


@cache
def _lines() -> list[bytes]:
    gate = fastfid.gate(_result(), ["fid > 1e6", "prdc.recall < 0.1"])
    time = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    return [line_of(_result(), each, "night 1", time) for each in (None, gate)]


def _history(rng: np.random.RandomState) -> bytes:
    """Return three to six lines, one to all of them changed."""
    lines = [_lines()[rng.randint(2)] for _ in range(rng.randint(3, 7))]
    for place in {int(rng.randint(len(lines))) for _ in range(rng.randint(1, 4))}:
        lines[place] = _json(_lines, rng) if rng.randint(3) else damaged(rng, _lines())
        lines[place] += b"" if lines[place].endswith(b"\n") or not rng.randint(5) else b"\n"
    return b"".join(lines)


def _read_history(data: bytes, path: Path) -> None:
    """Every line is an entry, or is said not to be one; what there is can be shown, without control characters."""
    history = History.load(path)
    lines = [line for line in data.split(b"\n") if line.strip()]
    expect(len(history.entries) + len(history.skipped) == len(lines), f"{len(lines)} lines")
    if not any(entry.metrics for entry in history.entries):
        return
    course = number_of(history)
    text = "\n".join(table(history, course))
    expect(all(line.isprintable() for line in text.split("\n")), "control characters in the table")
    drawn = picture(history, course)
    expect("<script" not in drawn, "a script in the picture")


# --- protocols


@cache
def _prepared() -> list[bytes]:
    made = Prepared("adm", "square", 64, "images", 5, 9, None, "a" * 64, "b" * 32, ("x.png: no",), "0.1.0", "13.0.0")
    return [made.to_json().encode()]


def _read_prepared(data: bytes, path: Path) -> None:
    """What is read is written and read again as the same."""
    made = prepared_of(path.parent)
    expect(made is not None and Prepared.from_json(made.to_json()) == made, made)


@cache
def _registries() -> list[bytes]:
    from importlib.resources import files

    whole = (files("fastfid.protocols") / "registry.toml").read_text(encoding="utf-8")
    parts = whole.split("\n\n[")
    few = [parts[0] + "\n\n[" + part for part in parts[1:] if "like =" not in part][:4]
    expect(all(registry.read(text) for text in few), "no protocols")
    return [text.encode() for text in few]


def _read_registry(data: bytes, path: Path) -> None:
    with failures("x"):
        text = data.decode()
    registry.read(text)


# --- states and pieces

_NEEDS = (MOMENTS, Need("features", Rows))
_ROLES = {"features": 4}
_FACTS: dict[str, Any] = {"format": FORMAT, "needs": list(map(text_of, _NEEDS)), "run": "r", "number": 0, "source": "s"}


@cache
def _pieces() -> list[bytes]:
    found = []
    for n in (3, 9):  # fewer rows than dims, which are kept, and more
        rows = np.random.RandomState(n).standard_normal((n, 4)).astype(np.float32)
        fit = Fit.empty(_NEEDS, _ROLES)
        for need in _NEEDS:
            fit[need].update(rows)
        seen = Tally()
        seen.accepted, seen.rejected, seen.gaps = n, ["x.png: no"], [1]
        seen.digests, seen.sizes[8, 8] = {1, 2, 2**64 - 1}, n
        found.append(packed(replace(fit, n=n, seen=seen, provenance=_MADE), _NEEDS, {**_FACTS, "stamps": "t"}))
    return found


def _piece(rng: np.random.RandomState) -> bytes:
    """Return a piece with damaged bytes, other facts, or other arrays."""
    data = _pieces()[rng.randint(2)]
    if (kind := rng.randint(4)) == 0:
        return damaged(rng, _pieces())
    with Npz(io.BytesIO(data)) as npz:
        arrays = {key: npz.read(key, 1 << 20) for key in npz.keys}
    facts = json.loads(str(arrays.pop("piece")))
    if kind & 1:
        facts = _changed(rng, facts)
    if kind & 2:
        for _ in range(rng.randint(1, 3)):
            key = list(arrays)[rng.randint(len(arrays))]
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of complex numbers that become real
                change = _ARRAYS[rng.randint(len(_ARRAYS))]
                arrays[key] = change(arrays[key]) if arrays[key].dtype.kind in "biufc" else arrays[key]
            arrays = {name: array for name, array in arrays.items() if array is not None} or {"x": np.zeros(1)}
    file = io.BytesIO()
    write_npz(file, [("piece", np.array(json.dumps(facts))), *arrays.items()])
    return file.getvalue()


_ARRAYS: list[Callable[[Any], Any]] = [
    *(
        lambda x: np.abs(x).astype(np.int64),
        lambda x: np.abs(x).astype(np.float16),
        lambda x: x.astype(np.float64) + 0.0,
    ),
    *(lambda x: x.astype(complex), lambda x: x.astype(x.dtype.newbyteorder(">")), lambda x: x.astype(bool)),
    *(lambda x: np.array("x"), lambda x: np.array(3.0), lambda x: x.T.copy(), np.asfortranarray),
    *(lambda x: x[..., :-1] if x.ndim else x, lambda x: np.concatenate([x, x]) if x.ndim else x, lambda x: None),
    *(
        lambda x: x[:-1] if x.ndim else x,
        lambda x: x[:0] if x.ndim else x,
        lambda x: x * np.float64("nan"),
        lambda x: x.ravel(),
    ),
    *(lambda x: x * 1e30 if x.dtype.kind == "f" else x, lambda x: 0 - x, np.ravel),
]


def _read_piece(data: bytes, path: Path) -> None:
    """A damaged file is said to be one; else its statistics are finite, and can be written and merged."""
    try:
        with opened(partial(io.BytesIO, data), "p.npz") as (facts, npz):
            fit = unpacked(facts, npz, _NEEDS, _ROLES, "p.npz")
    except DamagedError as error:
        raise InputError(str(error)) from error
    expect(type(fit.n) is int and fit.n >= 0, fit.n)
    again = io.BytesIO(packed(fit, _NEEDS, _FACTS))
    with opened(lambda: again, "again") as (facts, npz):
        expect(unpacked(facts, npz, _NEEDS, _ROLES, "again").n == fit.n, "another number")
    if (fit.n or 0) >= 2:
        statistics: Any = fit[_NEEDS[0]]
        expect(statistics.sigma.shape == (4, 4), statistics.sigma.shape)


@cache
def _runs() -> list[bytes]:
    whole = {**_FACTS, "model": "own", "sha256": "0" * 64, "roles": _ROLES, "source": "s", "images": 9, "pieces": 1}
    return [json.dumps(whole, indent=1).encode()]


def _read_run(data: bytes, path: Path) -> None:
    """The facts of a run are taken, or merge says what is wrong with the folder; it holds no piece of theirs."""
    store = Store(path.parent)
    facts = facts_in(store)
    expect(len(digest_of(facts)) == 32, facts)
    try:
        fastfid.merge(path.parent)
    except InputError as error:
        expect(any(word in str(error) for word in ("lacks", "hold", "damaged", "must be", "version")), error)
    else:
        expect(False, "there are no pieces")


READERS = [
    Reader("result", _results, _read_result, "x.json", partial(_json, _results)),
    Reader("history", _lines, _read_history, "h.jsonl", _history),
    Reader("prepared", _prepared, _read_prepared, "prepared.json", partial(_json, _prepared)),
    Reader("registry", _registries, _read_registry),
    Reader("piece", _pieces, _read_piece, make=_piece),
    Reader("run", _runs, _read_run, "run.json", partial(_json, _runs)),
]
