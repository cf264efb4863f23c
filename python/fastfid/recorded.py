"""What a result or a statistics file records of how it was made, read from a file of anybody."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import numpy as np

from .checks import shown, type_of
from .comparison import Comparison
from .errors import InputError
from .files.reading import failures, open_regular
from .files.remote import is_address, without_secrets
from .identity import Identity
from .metrics import statistics_file
from .provenance import Provenance

_MOST_BYTES = 256 << 20  # of a result; those with the neighbours of all images are long
_NO_RESULT = "it is no result of `fastfid A B --json`"


@dataclass(frozen=True)
class Recorded:
    """A side of a result, or a whole one, with what is recorded about it.

    Attributes
    ----------
    name : str
    made : Provenance or None
    n : tuple of int or None
    names : tuple of str
        The name of each side.
    identities : tuple of Identity
        What tells the images of each side from others, as far as it is known.
    numbers : dict of str to float or None
        The value of each metric; empty for a statistics file.
    errors : dict of str to float
        Their standard errors, as far as they are known.
    facts : dict
        What a result says besides: "method", "protocol", "forced", "warnings", "conventions", "settings", "a", "b".
    digest : str
        Of the mean and covariance of a statistics file.
    """

    name: str
    made: Provenance | None
    n: tuple[int | None, ...]
    names: tuple[str, ...]
    identities: tuple[Identity, ...]
    numbers: Mapping[str, float | None] = field(default_factory=dict)
    errors: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""


def recorded(given: Any, otherwise: str) -> Recorded:
    """Read what is recorded; raise `InputError` if it is neither a result nor a statistics file."""
    if isinstance(given, Comparison):
        return _of_result(json.loads(json.dumps(given.as_dict())), otherwise)
    if not isinstance(given, str | os.PathLike):
        raise InputError(f"diff takes results and statistics files, or a Comparison, not {type_of(given)}")
    name = os.fsdecode(given)
    if is_address(name):
        return _of_statistics(name)
    with failures(f"cannot read {name}"), open_regular(name.partition("#")[0]) as file:
        start = file.read(64).lstrip()
        if not start.startswith((b"{", b"[")):
            return _of_statistics(name)
        file.seek(0)
        text = file.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES:,} bytes")
        try:
            result = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"it is damaged JSON, or several results in one file: {error}") from None
        return _of_result(result, name)


def _of_statistics(name: str) -> Recorded:
    stored = statistics_file.load(name, lambda text: None, force=True)
    known = stored.known
    digest = hashlib.sha256(known.mu.tobytes() + known.covariance.tobytes()).hexdigest()
    own = without_secrets(name)
    identity = Identity.of_moments(stored.seen, known.mu, np.trace(known.covariance))
    return Recorded(own, stored.provenance, (stored.n,), (own,), (identity,), digest=digest)


def _of_result(result: Any, name: str) -> Recorded:
    """Check the parts of a result that are used. Results of earlier versions lack some."""
    if not isinstance(result, dict) or not {"citation", "a", "b", "provenance"} <= result.keys():
        raise ValueError(_NO_RESULT)
    scores = {"fid": {"value": result["fid"], **result}} if "fid" in result else {}
    scores |= _dict(result.get("scores", {}))
    sides = [side for side in (result["a"], result["b"]) if side is not None]
    made = result["provenance"]
    facts = {
        "method": _text(result.get("method", "auto")),
        "protocol": None if result.get("protocol") is None else _text(result["protocol"]),
        "forced": result.get("forced") is True,
        "warnings": sorted({_text(text).partition(":")[0] for text in result.get("warnings", ())}),
        "conventions": {key: _text(_dict(score).get("convention", "")) for key, score in scores.items()},
        "settings": _dict(result.get("settings", {})),
        **{place: _side(result[place]) for place in ("a", "b")},
    }
    return Recorded(
        name,
        None if made is None else Provenance.from_json(json.dumps({"format": 1, **_dict(made)}), name),
        tuple(_count(_dict(side).get("n")) for side in sides),
        tuple(_text(_dict(side).get("name", "")) for side in sides),
        tuple(Identity.read(_dict(side).get("identity")) for side in sides),
        {key: _number(_dict(score).get("value")) for key, score in scores.items()},
        {key: error for key, score in scores.items() if (error := _error(_dict(score))) is not None},
        facts,
    )


def _side(side: Any) -> dict[str, Any]:
    own = {} if side is None else _dict(side)
    formats = _dict(own.get("formats", {}))
    return {
        "name": _text(own.get("name", "")),
        "formats": list(formats),
        "rejected": len(own.get("rejected", ())),
        **_chosen(own),
    }


def _chosen(side: Mapping[str, Any]) -> dict[str, str]:
    """Return how some images were chosen from more, as a text."""
    return {"choice": ", ".join(f"{name} {value}" for name, value in _dict(side.get("chosen", {})).items())}


def _error(score: Mapping[str, Any]) -> float | None:
    sure = score.get("certainty")
    return None if sure is None else _number(_dict(sure).get("standard_error"))


def _dict(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{_NO_RESULT}: {shown(value)} is where several values belong")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{_NO_RESULT}: {shown(value)} is where a text belongs")
    return value


def _number(value: Any) -> float | None:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return float(value) if value is not None and isfinite(value) else None
    raise ValueError(f"{_NO_RESULT}: {shown(value)} is where a number belongs")


def _count(value: Any) -> int | None:
    if value is not None and not (type(value) is int and 0 <= value < 1 << 53):
        raise ValueError(f"{_NO_RESULT}: {shown(value)} is where a number of images belongs")
    return value
