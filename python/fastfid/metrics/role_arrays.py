"""The arrays of a statistics file that belong to other outputs of the network than the features.

the roles R               roles                 text, their names with spaces between; other keys are ignored
rows of role R            rows_R                (n, dims), float32
mean, covariance of R     mu_R and sigma_R      float64; those of "spatial" are called mu_s and sigma_s, as in ADM's
"""

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import numbers, require_finite
from ..errors import InputError
from ..files.npz import Npz
from ..networks.roles import FEATURES
from .base import Accumulator, Need
from .frechet import gaussian_from_moments
from .moments import Statistics
from .rows import Rows
from .statistics_file import MOST_DIMS, MOST_ROWS_BYTES

_ADM = {"spatial": "s"}  # its name for the role
_MOST_TEXT = 1 << 16  # bytes of the list of roles
_NUMBER = 16  # bytes of the longest real type


def arrays_of(states: Mapping[Need, Accumulator]) -> dict[str, NDArray[Any]]:
    """Return what to write of the states whose role is not "features".

    Raises
    ------
    InputError
        If a state is neither a `Statistics` nor `Rows`.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for need, state in states.items():
        name = _ADM.get(need.role, need.role)
        if need.role == FEATURES:
            continue
        if isinstance(state, Statistics):
            arrays |= {f"mu_{name}": state.mu, f"sigma_{name}": state.sigma}
        elif isinstance(state, Rows):
            arrays[f"rows_{name}"] = state.matrix
        else:
            raise InputError(f"{need} cannot be saved; files hold means, covariances and rows")
    if arrays:
        arrays["roles"] = np.array(" ".join(dict.fromkeys(need.role for need in states if need.role != FEATURES)))
    return arrays


def states_of(npz: Npz, n: int | None, roles: Collection[str] | None) -> Iterator[tuple[Need, Accumulator]]:
    """Yield what a file has of the given roles, or of all that it names; sizes are checked before anything is read."""
    room = MOST_ROWS_BYTES
    for role in _roles_in(npz):
        if role == FEATURES or (roles is not None and role not in roles):
            continue
        name = _ADM.get(role, role)
        if {f"mu_{name}", f"sigma_{name}"} <= set(npz.keys):
            yield Need(role, Statistics), _moments(npz, name, n)
        if f"rows_{name}" in npz.keys:
            room -= npz.header(f"rows_{name}").nbytes
            if room < 0:
                raise InputError(f"its rows have more than {MOST_ROWS_BYTES:,} bytes")
            yield Need(role, Rows), _rows(npz, f"rows_{name}", n)


def _roles_in(npz: Npz) -> list[str]:
    """Return the roles that a file names, and the one that ADM's files have without naming it."""
    named = str(npz.read("roles", _MOST_TEXT)).split() if "roles" in npz.keys else []
    return list(dict.fromkeys([*named, *_ADM]))


def _moments(npz: Npz, name: str, n: int | None) -> Statistics:
    mean, shape = (npz.header(f"{kind}_{name}").shape for kind in ("mu", "sigma"))
    size = math.prod(mean)
    if len(mean) != 1 or not 0 < size <= MOST_DIMS or shape != (size, size):
        raise InputError(f"mu_{name} and sigma_{name} must have shapes (d,) and (d, d), with at most {MOST_DIMS} dims")
    mu, sigma = (numbers(npz.read(f"{kind}_{name}", _NUMBER * size**2), f"{kind}_{name}") for kind in ("mu", "sigma"))
    known = gaussian_from_moments(mu, sigma, f"_{name}")
    return Statistics.from_moments(known.mu, known.covariance, n)


def _rows(npz: Npz, key: str, n: int | None) -> Rows:
    header = npz.header(key)
    if n is None:
        raise InputError(f"{key} needs n, the number of images, which the file does not have")
    if len(header.shape) != 2 or not 0 < header.shape[1] <= MOST_DIMS or header.shape[0] != n:
        raise InputError(f"{key} must have shape ({n}, dims) with at most {MOST_DIMS} dims, got {header.shape}")
    rows = numbers(npz.read(key, MOST_ROWS_BYTES), key).astype(np.float32, copy=False)
    require_finite(rows, key)
    return Rows(header.shape[1]).update(rows)
