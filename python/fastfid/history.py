"""The history of a score: one line of JSON for each run, appended by any number of processes and read again later."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import IO, Any, Self

from .checks import shown
from .comparison import Comparison
from .conditions import MEAN, WORST
from .errors import InputError
from .files.appending import append
from .files.reading import cause, failures, open_regular
from .flat import CLASSES, flat, named
from .history_entry import FORMAT, NEWER, Entry
from .verdicts import Gate

_BEGINNING = re.compile(rb'\s*\{\s*"format"\s*:\s*\d+\s*,\s*"time"\s*:')  # also of a line that was written again
_BEGINNING_CUT = b'{"format": 1, "time":'
_MOST_LINE = 1 << 20  # bytes
_MOST_BYTES = 1 << 30
_MOST_NOTE = 1000  # characters
_MOST_WARNING = 300


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
            If the file is missing, no regular file, or has lines and none of them is a run.
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
        if skipped and not entries:
            newer = any(text.endswith(NEWER) for text in skipped)
            why = NEWER if newer else "it is no history of fastfid: no line of it is a run that --append kept"
            raise InputError(f"cannot read {os.fspath(path)}: {why}")
        return cls(tuple(entries), tuple(skipped))

    @property
    def by_name(self) -> int:
        """How many runs say no more of their real side than its name."""
        return sum(entry.by_name for entry in self.entries)

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
        append(path, line_of(comparison, gate, note, datetime.now(UTC)), ours=_is_ours)


def line_of(comparison: Comparison, gate: Gate | None, note: str, time: datetime) -> bytes:
    """Return the line of a run."""
    result = comparison.as_dict()
    sides = {
        name: None if side is None else {**_of_side(side), "rejected": len(side["rejected"])}
        for name, side in (("a", result["a"]), ("b", result["b"]))
    }
    line: dict[str, Any] = {
        "format": FORMAT,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "note": note_text(note),
        "metrics": {name: value if isfinite(value) else None for name, value in _numbers(comparison).items()},
        **sides,
        **{name: result.get(name) for name in ("protocol", "method", "forced", "baseline", "citation", "provenance")},
        "conventions": {name: score.convention for name, score in comparison.scores.items()},
        "warnings": [text[:_MOST_WARNING] for text in comparison.warnings[:20]],
        "gate": None if gate is None else gate.as_dict(),
    }
    text = json.dumps(line).encode() + b"\n"
    if len(text) <= _MOST_LINE:
        return text
    few = {name: line["metrics"][name] for name in _numbers(comparison, each_class=False)}
    return json.dumps({**line, "metrics": few}).encode() + b"\n"


def _numbers(comparison: Comparison, *, each_class: bool = True) -> dict[str, float]:
    """Return the numbers of a run; those of thousands of classes can be too many for a line."""
    found = {".".join(words): value for words, value in named(comparison.scores)}
    if comparison.classes and each_class:
        found |= flat({}, comparison.classes)
    for metric in comparison.scores if comparison.classes else ():
        mean, worst = comparison.over_classes(metric)
        found[f"{CLASSES}/{MEAN}/{metric}"] = mean
        found[f"{CLASSES}/{WORST}/{metric}"] = float(comparison.classes[worst][metric].value)
    return found


def _of_side(side: Mapping[str, Any]) -> dict[str, Any]:
    return {name: side[name] for name in ("name", "n", "identity") if name in side}


def check_history(path: str | os.PathLike[str]) -> None:
    """Raise `InputError` if no run could be appended to a file; call it before the run."""
    append(path, ours=_is_ours)


def _is_ours(first: bytes) -> bool:
    """Return whether the first line of a file is that of a history, be it cut by a crash."""
    if _BEGINNING.match(first) or _BEGINNING_CUT.startswith(first.rstrip()):
        return True
    try:
        return bool(Entry.of(first))
    except Exception:  # as in `History.load`
        return False


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


def _told(problem: Exception) -> str:
    known = isinstance(problem, ValueError) and not isinstance(problem, json.JSONDecodeError | UnicodeDecodeError)
    return cause(problem) if known else f"it is damaged or cut short ({cause(problem)})"
