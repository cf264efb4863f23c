"""The history of a score: one line of JSON for each run, appended by any number of processes and read again later."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite
from typing import IO, Any, Self

from .checks import shown
from .comparison import Comparison
from .errors import InputError
from .files.appending import append
from .files.reading import cause, failures, open_regular
from .flat import named
from .gate import Gate
from .metrics.feature_rows import MOST_ROWS

FORMAT = 1
_MOST_LINE = 1 << 20  # bytes
_MOST_BYTES = 1 << 30
_MOST_NOTE = 1000  # characters
_MOST_WARNING = 300
_FEW = 0.01  # share of the images; their bias differs by as little
_IDENTITY = {"sha256": "model", "mode": "mode", "dims": "dims", "precision": "precision"}


@dataclass(frozen=True)
class Entry:
    """One run.

    Attributes
    ----------
    time : datetime
        When it ended, in UTC.
    metrics : dict of str to float or None
        The numbers of each score, such as "fid", "fid.low" or "prdc.recall"; None for what was not a finite number.
    verdict : str
        Of the gate; "" if there was none.
    note : str
    n : tuple of int or None
        Number of images of each side.
    line : dict
        Everything that the line holds.
    """

    time: datetime
    metrics: Mapping[str, float | None]
    verdict: str = ""
    note: str = ""
    n: tuple[int | None, ...] = ()
    line: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, text: bytes) -> Self:
        """Read a line; any exception means that it is none."""
        line = json.loads(text)
        if not isinstance(line, dict) or not isinstance(line.get("format"), int):
            raise ValueError("it was not written by fastfid")
        if line["format"] > FORMAT:
            raise ValueError("it was written by a newer fastfid")
        metrics = {str(name): _number(value) for name, value in dict(line["metrics"]).items()}
        time = datetime.strptime(line["time"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        n = tuple(side["n"] for side in (line["a"], line["b"]) if side is not None)
        if not all(count is None or (type(count) is int and 0 <= count <= MOST_ROWS) for count in n):
            raise ValueError(f"n is {shown(n)}")
        if not isinstance(line["provenance"], dict | None) or not isinstance(line["conventions"], dict):
            raise ValueError("the provenance is damaged")
        verdict = dict(line["gate"] or {}).get("verdict", "")
        return cls(time, metrics, str(verdict), str(line["note"]), n, line)

    def changes(self, before: "Entry") -> list[str]:
        """Return what makes the numbers of two runs incomparable: "mode pytorch to clean"."""
        found = []
        of_self, of_other = (entry.line["provenance"] or {} for entry in (self, before))
        if of_self and of_other:
            for name, label in _IDENTITY.items():
                if of_self.get(name) != of_other.get(name):
                    found.append(_changed(label, *(_named(made, name) for made in (of_other, of_self))))
        for name in ("protocol", "method"):
            if self.line.get(name) != before.line.get(name):
                found.append(_changed(name, before.line.get(name), self.line.get(name)))
        ours, theirs = self.line["conventions"], before.line["conventions"]
        for name in ours.keys() & theirs.keys():
            if ours[name] != theirs[name]:
                found.append(_changed(f"convention of {name}", theirs[name], ours[name]))
        if not _alike(self.n, before.n):
            found.append(_changed("images", *(_counts(entry.n) for entry in (before, self))))
        real = [entry.line["b"].get("name") if entry.line["b"] else None for entry in (before, self)]
        if real[0] != real[1]:
            found.append(_changed("real side", *real))
        return found


@dataclass(frozen=True)
class History:
    """Runs in the order of their lines, the newest last.

    Attributes
    ----------
    entries : tuple of Entry
    skipped : tuple of str
        The lines that cannot be read, with the reason.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> import fastfid
    >>> generated, real = np.random.RandomState(0).randn(2, 100, 4)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for step in (0, 1):
    ...         result = fastfid.compare(generated + step, real, features=True)
    ...         fastfid.History.record(f"{folder}/history.jsonl", result, note=f"step {step}")
    ...     history = fastfid.History.load(f"{folder}/history.jsonl")
    >>> first, last = history.entries
    >>> last.note, last.metrics["fid"] > first.metrics["fid"]
    ('step 1', True)
    """

    entries: tuple[Entry, ...]
    skipped: tuple[str, ...] = ()

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a file. Lines that are damaged, such as one that was cut by a crash, are left out and listed.

        Raises
        ------
        InputError
            If the file is missing, or no regular file.
        """
        entries, skipped = [], []
        with failures(f"cannot read {os.fspath(path)}"), open_regular(path, most=_MOST_BYTES) as file:
            for number, text in enumerate(_lines(file), 1):
                if not text.strip():
                    continue
                try:
                    if len(text) > _MOST_LINE:
                        raise ValueError(f"it has more than {_MOST_LINE:,} bytes")
                    entries.append(Entry.of(text))
                except Exception as problem:  # damaged lines make nearly any class of exception
                    skipped.append(f"{os.fspath(path)}, line {number}: not read: {_told(problem)}")
        return cls(tuple(entries), tuple(skipped))

    @staticmethod
    def record(
        path: str | os.PathLike[str], comparison: Comparison, gate: Gate | None = None, *, note: str = ""
    ) -> None:
        """Append a run to a file. Processes that do so at the same time wait for each other.

        Parameters
        ----------
        path : path
            Created if it does not exist.
        comparison : Comparison
        gate : Gate, optional
            Its verdict.
        note : str
            What to call the run, such as a commit or a step.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        if not isinstance(path, str | os.PathLike) or not os.fspath(path):
            raise InputError(f"a history is the path of a file, got {shown(path)}")
        append(path, line_of(comparison, gate, note, datetime.now(UTC)))


def line_of(comparison: Comparison, gate: Gate | None, note: str, time: datetime) -> bytes:
    """Return the line of a run."""
    result = comparison.as_dict()
    sides = {
        name: None if side is None else {"name": side["name"], "n": side["n"], "rejected": len(side["rejected"])}
        for name, side in (("a", result["a"]), ("b", result["b"]))
    }
    line = {
        "format": FORMAT,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "note": note_text(note),
        "metrics": {".".join(words): value if isfinite(value) else None for words, value in named(comparison.scores)},
        **sides,
        **{name: result.get(name) for name in ("protocol", "method", "forced", "baseline", "citation", "provenance")},
        "conventions": {name: score.convention for name, score in comparison.scores.items()},
        "warnings": [text[:_MOST_WARNING] for text in comparison.warnings[:20]],
        "gate": None if gate is None else gate.as_dict(),
    }
    return json.dumps(line).encode() + b"\n"


def note_text(note: Any) -> str:
    """Return a note, or raise `InputError` if it is none."""
    if not isinstance(note, str) or len(note) > _MOST_NOTE:
        raise InputError(f"a note is a text of at most {_MOST_NOTE} characters, got {shown(note)}")
    return note


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines, of very long ones only the beginning."""
    while line := file.readline(_MOST_LINE + 1):
        rest = line
        while len(rest) > _MOST_LINE and not rest.endswith(b"\n"):
            rest = file.readline(_MOST_LINE + 1)
        yield line


def _number(value: Any) -> float | None:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)):
        return None if value is None else float(value)
    raise ValueError(f"{shown(value)} is no number")


def _told(problem: Exception) -> str:
    known = isinstance(problem, ValueError) and not isinstance(problem, json.JSONDecodeError | UnicodeDecodeError)
    return cause(problem) if known else f"it is damaged or cut short ({cause(problem)})"


def _changed(what: str, before: Any, after: Any) -> str:
    return f"{what} {'none' if before is None else before} to {'none' if after is None else after}"


def _named(made: Mapping[str, Any], name: str) -> str:
    if name == "sha256":
        return f"{made.get('model')} ({str(made.get('sha256'))[:12]})"
    return str(made.get(name))


def _alike(n: tuple[int | None, ...], m: tuple[int | None, ...]) -> bool:
    """Return whether numbers of images are the same, but for a few that were left out."""
    return len(n) == len(m) and all(map(_near, n, m))


def _near(one: int | None, other: int | None) -> bool:
    if one is None or other is None:
        return one == other
    return abs(one - other) <= _FEW * max(one, other)


def _counts(n: tuple[int | None, ...]) -> str:
    return " and ".join("unknown" if count is None else str(count) for count in n)
