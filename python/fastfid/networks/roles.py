"""The roles of outputs: a metric needs an output with a role, whatever the name of the tensor."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..checks import shown
from ..errors import InputError, ModelError
from .architecture import LOGITS

FEATURES = "features"
SPATIAL_CHANNELS = 7
_SPATIAL_SIDE = 17  # of Mixed_6d, in pixels

# The source of an output of our Inception: a tap by its dims (1008 for the logits), or a name.
Source = int | str

#: The roles of our Inception besides "features", whose source is the tap that `dims` selects.
ROLES: dict[str, Source] = {
    "features_64": 64,
    "features_192": 192,
    "features_768": 768,
    "features_2048": 2048,
    "logits": LOGITS,
    "logits_unbiased": "logits_unbiased",  # pool3 @ fc.weight.T, for the Inception Score
    "spatial": "spatial",  # Mixed_6d.branch1x1[:, :7], flattened as NHWC, for ADM's sFID
}
_OF_FC = ("logits", "logits_unbiased")


def source_of(role: str, dims: int) -> Source:
    """Return the source of an output of our Inception.

    Raises
    ------
    ModelError
        If it has no such output.
    """
    check_inception(role)
    return dims if role == FEATURES else ROLES[role]


def width(source: Source) -> int:
    """Return the length of a row.

    Examples
    --------
    >>> width("spatial"), width(2048)
    (2023, 2048)
    """
    if source == "spatial":
        return _SPATIAL_SIDE**2 * SPATIAL_CHANNELS
    return source if isinstance(source, int) else LOGITS


def check_inception(role: str, network: str = "inception-v3", *, fc: bool = True) -> None:
    """Raise `ModelError` if our Inception has no output for a role; `fc` is False if its weights lack the logits."""
    there = [FEATURES, *(name for name in ROLES if fc or name not in _OF_FC)]
    if role not in there:
        why = " (these weights have no layer of logits)" if role in _OF_FC else ""
        raise ModelError(f"{network} has no output {role!r}{why}; it has {', '.join(there)}")


def check_roles(roles: Any) -> tuple[str, ...]:
    """Return the roles sorted by name, each once.

    Raises
    ------
    InputError
        If they are not one or more names.
    """
    found = tuple(roles) if isinstance(roles, Iterable) and not isinstance(roles, str | bytes) else ()
    if not found or not all(isinstance(role, str) and role for role in found):
        raise InputError(f"roles must be one or more names, as in ('features', 'logits'); got {shown(roles)}")
    return tuple(sorted(set(found)))
