"""One run of a history: what its line holds, and whether its numbers compare with those of another run."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite
from os.path import normpath
from typing import Any, Self

from .checks import shown
from .identity import Identity
from .metrics.feature_rows import MOST_ROWS

FORMAT = 1
NEWER = "it was written by a newer fastfid"
_FEW = 0.01  # share of the images; their bias differs by as little
_IDENTITY = {"sha256": "model", "mode": "mode", "dims": "dims", "precision": "precision"}
#: The FID without bias, minus that of the baseline; where its bias is not known, the plain difference.
MINUS_BASELINE = "fid.minus_baseline"


@dataclass(frozen=True)
class Entry:
    """One run.

    Attributes
    ----------
    time : datetime
        When it ended, in UTC.
    metrics : dict of str to float or None
        The numbers of each score, such as "fid", "fid.low", "prdc.recall", "classes/mean/fid" or "fid.minus_baseline";
        None for what was not a finite number.
    verdict : str
        Of the gate; "" if there was none.
    note : str
    n : tuple of int or None
        Number of images of each side.
    real : Identity
        What tells the real side from others; lines of earlier versions do not say it.
    line : dict
        Everything that the line holds.
    """

    time: datetime
    metrics: Mapping[str, float | None]
    verdict: str = ""
    note: str = ""
    n: tuple[int | None, ...] = ()
    real: Identity = field(default_factory=Identity)
    line: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, text: bytes) -> Self:
        """Read a line; any exception means that it is none."""
        line = json.loads(text)
        if not isinstance(line, dict) or not isinstance(line.get("format"), int):
            raise ValueError("it was not written by fastfid")
        if line["format"] > FORMAT:
            raise ValueError(NEWER)
        metrics = {str(name): _number(value) for name, value in dict(line["metrics"]).items()}
        time = datetime.strptime(line["time"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        n = tuple(side["n"] for side in (line["a"], line["b"]) if side is not None)
        if not all(count is None or (type(count) is int and 0 <= count <= MOST_ROWS) for count in n):
            raise ValueError(f"n is {shown(n)}")
        if not isinstance(line["provenance"], dict | None) or not isinstance(line["conventions"], dict):
            raise ValueError("the provenance is damaged")
        verdict = dict(line["gate"] or {}).get("verdict", "")
        metrics |= dict(_against_baseline(dict(line.get("baseline") or {}), metrics.get("fid")))
        real = Identity.read((line["b"] or {}).get("identity"))
        return cls(time, metrics, str(verdict), str(line["note"]), n, real, line)

    @property
    def by_name(self) -> bool:
        """Whether only its name tells the real side from others."""
        return self.line["b"] is not None and self.real == Identity()

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
        return [*found, *self._other_real_side(before)]

    def _other_real_side(self, before: "Entry") -> Iterator[str]:
        made = [entry.line["provenance"] or {} for entry in (before, self)]
        one_network = all(made[0].get(name) == made[1].get(name) for name in _IDENTITY)
        same = before.real.same(self.real, one_network=one_network)
        names = [entry.line["b"].get("name") if entry.line["b"] else None for entry in (before, self)]
        paths = [name and normpath(str(name)) for name in names]
        if same is False and paths[0] == paths[1]:
            yield f"real side: other images under the name {names[1]}"
        elif not same and paths[0] != paths[1]:
            yield _changed("real side", *names)


def _against_baseline(baseline: Mapping[str, Any], fid: float | None) -> Iterator[tuple[str, float | None]]:
    """Yield the difference to the baseline, without bias if it is known so, and its standard error."""
    difference, other = _number(baseline.get("difference")), _number(baseline.get("fid"))
    if difference is not None:
        yield MINUS_BASELINE, difference
        yield f"{MINUS_BASELINE}.standard_error", _number(baseline.get("standard_error"))
    elif other is not None and fid is not None:
        yield MINUS_BASELINE, fid - other


def _number(value: Any) -> float | None:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)):
        return None if value is None else float(value)
    raise ValueError(f"{shown(value)} is no number")


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
