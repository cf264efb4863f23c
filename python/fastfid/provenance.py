"""Records how statistics were made, and checks whether two of them can be compared."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, get_origin, get_type_hints

from .arguments import spelled
from .errors import InputError, StatisticsMismatch
from .files.reading import failures

FORMAT = 1  # of the JSON in a statistics file
_AND = " + "  # between the values of statistics that were merged


DIMS = 2048  # of published FIDs, Inception's pool3


@dataclass(frozen=True)
class Provenance:
    """How a set of features was made.

    Attributes
    ----------
    model : str
        Name of the model, for people.
    sha256 : str
        Identity of the model: SHA-256 of its weights.
    mode : str
        Preprocessing.
    dims : int
        Length of a feature vector.
    device, precision : str
        Device and arithmetic of the network. If merged statistics differ, all values, sorted: "cpu + cuda:0".
    batch_size : int
        Images per run of the network; 0 if it is not known, or if merged statistics differ.
    versions : dict of str to str
        Versions of fastfid and of the libraries that affect the features. If merged statistics differ, as for `device`.
    provider : str
        ONNX Runtime's execution provider and its settings; empty for the CPU, or if it is not known. If merged
        statistics differ, as for `device`.
    """

    model: str
    sha256: str
    mode: str
    dims: int
    device: str = "cpu"
    precision: str = "fp32"
    batch_size: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    provider: str = ""

    def cited(self) -> list[str]:
        """Return what to state beside a number: mode, unusual dims and precision, and the weights."""
        usual = [f"dims {self.dims}"] if self.dims != DIMS else []
        usual += [f"precision {self.precision}"] if self.precision != "fp32" else []
        return [f"mode {self.mode}", *usual, f"{self.model} (SHA-256 {self.sha256[:12]})"]

    def to_json(self) -> str:
        """Return the JSON text for a statistics file."""
        made = asdict(self)
        if not self.provider:
            del made["provider"]
        return json.dumps({"format": FORMAT, **made})

    @classmethod
    def from_json(cls, text: str, name: str) -> "Provenance":
        """Read the text that `to_json` wrote; `name` is the file, for the error message."""
        with failures(f"{name}: its provenance cannot be read"):
            data: dict[str, Any] = json.loads(text)
            written = data.pop("format")
            if not _is_a(written, int) or written < 1:
                raise TypeError(f"format is {written!r}")
            if written > FORMAT:
                raise InputError(f"{name} was written by a newer fastfid; upgrade to read it")
            result = cls(**data)
            result._check()
        return result

    def _check(self) -> None:
        for name, kind in get_type_hints(type(self)).items():
            value = getattr(self, name)
            if not _is_a(value, get_origin(kind) or kind):
                raise TypeError(f"{name} is {value!r}")
        if not all(isinstance(version, str) for version in self.versions.values()):
            raise TypeError(f"versions are {self.versions!r}")
        if self.dims < 1 or self.batch_size < 0:
            raise ValueError(f"dims are {self.dims}, batch_size is {self.batch_size}")


def _is_a(value: object, kind: type) -> bool:
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))


# Fields that make two numbers incomparable if they differ, and fields that only change the last digits.
_IDENTITY = {"sha256": "model", "mode": "mode", "dims": "dims"}
_CIRCUMSTANCE = ("device", "precision")


def differences(a: Provenance, b: Provenance, names: tuple[str, str], *, force: bool = False) -> tuple[list[str], bool]:
    """Compare two provenances.

    Returns
    -------
    warnings : list of str
        Differences that leave the comparison meaningful.
    forced : bool
        True if they differ in model, mode or dims and only `force` allows the comparison.

    Raises
    ------
    StatisticsMismatch
        If model, mode or dims differ and `force` is False. The message lists them with both values.
    """
    clashes = [
        f"{label} {_shown(a, name)} in {names[0]}, {_shown(b, name)} in {names[1]}"
        for name, label in _IDENTITY.items()
        if getattr(a, name) != getattr(b, name)
    ]
    if clashes and not force:
        raise StatisticsMismatch(f"these cannot be compared: {'; '.join(clashes)} ({spelled('force', True)} overrides)")
    warnings = [f"forced: compared because of force although they differ: {'; '.join(clashes)}"] if clashes else []
    soft = _circumstances(a, b)
    if soft:
        warnings.append(f"{names[0]} and {names[1]} were made differently: {'; '.join(soft)}")
    return warnings, bool(clashes)


def without_record(names: Sequence[str], what: str = "statistics") -> str:
    """Return the warning about sides of which nothing says how they were made."""
    listed = ", ".join([*names[:-2], " and ".join(names[-2:])])
    return f"no-record: {listed}: no record of the model and mode that made these {what}"


def merged(a: Provenance, b: Provenance) -> tuple[Provenance, str]:
    """Return the provenance of two merged sets of features, and the values in `b` that are new.

    A field that differs lists the values of both, and the list does not depend on the order of merging.

    Returns
    -------
    provenance : Provenance
    news : str
        For a warning: "device cpu and cuda:0; precision fp32 and fp16"; empty if nothing is new.

    Raises
    ------
    StatisticsMismatch
        If model, mode or dims differ.
    """
    if any(getattr(a, name) != getattr(b, name) for name in _IDENTITY):
        shown = (f"{_shown(p, 'sha256')}, mode {p.mode}, {p.dims} dims" for p in (a, b))
        raise StatisticsMismatch(f"cannot merge statistics of {' and '.join(shown)}")
    both = replace(
        a,
        device=_joined(a.device, b.device),
        precision=_joined(a.precision, b.precision),
        provider=_joined(a.provider, b.provider),
        batch_size=a.batch_size if a.batch_size == b.batch_size else 0,
        versions={**b.versions, **a.versions, **{name: _joined(v, w) for name, v, w in _version_changes(a, b)}},
    )
    return both, "; ".join(_circumstances(a, b)) if _circumstances(a, both) else ""


def _joined(value: str, other: str) -> str:
    return _AND.join(sorted({*value.split(_AND), *other.split(_AND)} - {""}))


def _circumstances(a: Provenance, b: Provenance) -> list[str]:
    """Return the differences that leave a comparison meaningful, with both values."""
    changes = [(name, getattr(a, name), getattr(b, name)) for name in _CIRCUMSTANCE] + _version_changes(a, b)
    return [f"{name} {value} and {other}" for name, value, other in changes if value != other]


def _shown(p: Provenance, name: str) -> str:
    return f"{p.model} ({p.sha256[:12]})" if name == "sha256" else str(getattr(p, name))


def _version_changes(a: Provenance, b: Provenance) -> list[tuple[str, str, str]]:
    ours, theirs = a.versions, b.versions
    return [(name, ours[name], theirs[name]) for name in ours if name in theirs and ours[name] != theirs[name]]
