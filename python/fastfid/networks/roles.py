"""What the outputs of a network are for: a metric asks for a role, not for a tensor."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..checks import shown
from ..errors import InputError, ModelError
from .architecture import LOGITS

FEATURES = "features"
SPATIAL_CHANNELS = 7
_SPATIAL_SIDE = 17  # of Mixed_6d, in pixels

# What an output of our Inception is made of: a tap by its dims (1008: the logits), or what has no number of its own.
Source = int | str

#: The roles of our Inception besides "features", whose source is the tap that `dims` names.
ROLES: dict[str, Source] = {
    "features_64": 64,
    "features_192": 192,
    "features_768": 768,
    "features_2048": 2048,
    "logits": LOGITS,
    "logits_unbiased": "logits_unbiased",  # pool3 @ fc.weight.T, as the Inception Score takes them
    "spatial": "spatial",  # Mixed_6d.branch1x1[:, :7], flattened as NHWC, as ADM's sFID takes them
}
_OF_FC = ("logits", "logits_unbiased")


def source_of(role: str, dims: int) -> Source:
    """What an output of our Inception is made of.

    Raises
    ------
    ModelError
        If it has no such output.
    """
    check_inception(role)
    return dims if role == FEATURES else ROLES[role]


def width(source: Source) -> int:
    """Length of a row.

    Examples
    --------
    >>> width("spatial"), width(2048)
    (2023, 2048)
    """
    if source == "spatial":
        return _SPATIAL_SIDE**2 * SPATIAL_CHANNELS
    return source if isinstance(source, int) else LOGITS


def check_inception(role: str, network: str = "inception-v3", *, fc: bool = True) -> None:
    """Raise `ModelError` if our Inception has no output for a role; `fc` says whether its weights have logits."""
    there = [FEATURES, *(name for name in ROLES if fc or name not in _OF_FC)]
    if role not in there:
        why = " (these weights have no layer of logits)" if role in _OF_FC else ""
        raise ModelError(f"{network} has no output {role!r}{why}; it has {', '.join(there)}")


def check_roles(roles: Any) -> tuple[str, ...]:
    """Return roles in the order of their names, each once.

    Raises
    ------
    InputError
        If they are not one or more names.
    """
    found = tuple(roles) if isinstance(roles, Iterable) and not isinstance(roles, str | bytes) else ()
    if not found or not all(isinstance(role, str) and role for role in found):
        raise InputError(f"roles must be one or more names, as in ('features', 'logits'); got {shown(roles)}")
    return tuple(sorted(set(found)))
