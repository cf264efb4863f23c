"""Where statistics come from, so that two numbers that cannot be compared are not."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, get_origin, get_type_hints

from .errors import InputError, StatisticsMismatch

FORMAT = 1  # of the JSON in a statistics file


@dataclass(frozen=True)
class Provenance:
    """What made a set of features.

    Attributes
    ----------
    model : str
        Name of the model, for people.
    sha256 : str
        Identity of the model: SHA-256 of its weights.
    mode : str
        Preprocessing protocol.
    dims : int
        Length of a feature vector.
    device, precision : str
        Where and how the network ran.
    batch_size : int
        Images per run of the network.
    versions : dict of str to str
        Versions of fastfid and of what decided the features.
    """

    model: str
    sha256: str
    mode: str
    dims: int
    device: str = "cpu"
    precision: str = "fp32"
    batch_size: int = 0
    versions: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the JSON text that goes into a statistics file."""
        return json.dumps({"format": FORMAT, **asdict(self)})

    @classmethod
    def from_json(cls, text: str, name: str) -> "Provenance":
        """Read what `to_json` wrote; `name` is the file, for the error message."""
        try:
            data: dict[str, Any] = json.loads(text)
            if data.pop("format") > FORMAT:
                raise InputError(f"{name} was written by a newer fastfid; upgrade to read it")
            result = cls(**data)
            for key, kind in get_type_hints(cls).items():
                if not isinstance(getattr(result, key), get_origin(kind) or kind):
                    raise TypeError(f"{key} is {getattr(result, key)!r}")
            return result
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{name}: its provenance cannot be read ({error})") from error


# What makes two numbers incomparable, and what only makes them differ in their last digits.
_IDENTITY = {"sha256": "model", "mode": "mode", "dims": "dims"}
_CIRCUMSTANCE = ("device", "precision")


def differences(
    a: Provenance | None, b: Provenance | None, names: tuple[str, str], *, force: bool = False
) -> tuple[list[str], bool]:
    """Compare two provenances.

    Returns
    -------
    warnings : list of str
        What is unknown or differs without making the comparison meaningless.
    forced : bool
        Whether they do not fit and `force` alone let them through.

    Raises
    ------
    StatisticsMismatch
        Where model, mode or dims differ, naming each of them with both values, unless `force`.
    """
    unknown = [name for name, p in zip(names, (a, b), strict=True) if p is None]
    if a is None or b is None:
        return [f"{' and '.join(unknown)}: no record of the model and mode that made these statistics"], False
    clashes = [
        f"{label} {_shown(a, name)} in {names[0]}, {_shown(b, name)} in {names[1]}"
        for name, label in _IDENTITY.items()
        if getattr(a, name) != getattr(b, name)
    ]
    if clashes and not force:
        raise StatisticsMismatch(f"these cannot be compared: {'; '.join(clashes)} (force=True, --force overrides)")
    warnings = [f"compared by force although they do not fit: {'; '.join(clashes)}"] if clashes else []
    soft = [
        f"{name} {getattr(a, name)} and {getattr(b, name)}"
        for name in _CIRCUMSTANCE
        if getattr(a, name) != getattr(b, name)
    ]
    soft += [f"{name} {v} and {w}" for name, v, w in _version_changes(a.versions, b.versions)]
    if soft:
        warnings.append(f"{names[0]} and {names[1]} were made differently: {'; '.join(soft)}")
    return warnings, bool(clashes)


def _shown(p: Provenance, name: str) -> str:
    return f"{p.model} ({p.sha256[:12]})" if name == "sha256" else str(getattr(p, name))


def _version_changes(a: Mapping[str, str], b: Mapping[str, str]) -> list[tuple[str, str, str]]:
    return [(name, a[name], b[name]) for name in a if name in b and a[name] != b[name]]
