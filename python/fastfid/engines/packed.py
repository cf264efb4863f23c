"""A fit as the bytes of an ``.npz``: ``piece``, a text in JSON, and an array for each array of a state.

Nothing is unpickled: a state is a flat dict of arrays, numbers and texts. The checksums of the zip find out damage.
What is read back has the same bits, also when images are added to it or it is merged.
"""

import io
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..checks import whole_number
from ..errors import InputError
from ..files.npz import Npz, write_npz
from ..files.reading import cause
from ..fit import Fit
from ..images.observed_data import digests_of, plain_tally, tally_of
from ..metrics.base import Accumulator, Need
from ..metrics.intervals import Blocks
from ..metrics.moments import Statistics
from ..metrics.rows import Rows
from ..metrics.vendi import UnitMoments
from ..provenance import Provenance

MOST_BYTES = 1 << 33
_MOST_TEXT = 1 << 26  # bytes of the facts of a piece: 8192 images left out, each with a long reason
_PLAIN = (bool, int, float, str, type(None))


class DamagedError(Exception):
    """A file that does not hold what its name says."""


def pack(file: IO[bytes], fit: Fit, needs: Sequence[Need], facts: Mapping[str, Any]) -> None:
    """Write a fit to an open file.

    Parameters
    ----------
    file : IO
    fit : Fit
    needs : sequence of Need
        What to keep of it.
    facts : mapping
        What else to keep, as plain data.

    Raises
    ------
    InputError
        If the state of an accumulator holds something else than arrays, numbers and texts.
    """
    states, arrays = [], dict[str, NDArray[Any]]()
    for i, need in enumerate(needs):
        plain, of_state = _flat(need, fit[need])
        states.append(plain)
        arrays |= {f"{i}.{name}": array for name, array in of_state.items()}
    whole = {
        **facts,
        "n": fit.n,
        "provenance": fit.provenance.to_json() if fit.provenance else None,
        "seen": plain_tally(fit.seen),
        "states": states,
    }
    arrays["digests"] = digests_of(fit.seen)
    write_npz(file, [("piece", np.array(json.dumps(whole))), *arrays.items()])


def packed(fit: Fit, needs: Sequence[Need], facts: Mapping[str, Any]) -> bytes:
    """Return a fit as the bytes that `pack` writes."""
    file = io.BytesIO()
    try:
        pack(file, fit, needs, facts)
    except ValueError as error:
        if file.closed:  # as one calls itself that could not grow
            raise MemoryError("no memory for a piece") from error
        raise
    return file.getvalue()


@contextmanager
def opened(open_file: Callable[[], IO[bytes]], name: str) -> Iterator[tuple[dict[str, Any], Npz]]:
    """Yield the facts and the arrays of what `pack` wrote, for the block of a ``with``.

    Raises
    ------
    DamagedError
        If it is damaged, which may show in the block only; the message begins with `name`.
    """
    try:
        with Npz(open_file()) as npz:
            _require_whole(npz)
            yield json.loads(str(npz.read("piece", 4 * _MOST_TEXT))), npz
    except (MemoryError, FileNotFoundError):
        raise
    except Exception as error:
        raise DamagedError(f"{name} is damaged: {cause(error)}") from error


def unpacked(facts: Mapping[str, Any], npz: Npz, needs: Sequence[Need], roles: Mapping[str, int], name: str) -> Fit:
    """Return the fit of a file that is `opened`; an exception of any kind says that it is damaged."""
    states: dict[Need, Accumulator] = {}
    n = whole_number("n", facts["n"], 0)
    for i, (need, plain) in enumerate(zip(needs, facts["states"], strict=True)):
        keys = [key for key in npz.keys if key.startswith(f"{i}.")]
        arrays = {key.partition(".")[2]: npz.read(key, MOST_BYTES) for key in keys}
        states[need] = _restored(need, roles[need.role], n, {**plain, **arrays})
    seen = tally_of(facts["seen"], npz.read("digests", MOST_BYTES))
    if seen.accepted != n:
        raise ValueError(f"it says that it has {n} images, and has seen {seen.accepted}")
    text = facts["provenance"]
    made = Provenance.from_json(text, name) if text is not None else None
    return Fit(states, n, seen, made)


def _require_whole(npz: Npz) -> None:
    """Raise `ValueError` if the arrays have more bytes than the file, or something stands before them.

    `pack` compresses none, so the first is a trap. The second is another fit, which would be lost: of files that are
    joined, a zip is the last one.
    """
    if npz.begin:
        raise ValueError(f"{npz.begin:,} bytes stand before it, as if several were joined")
    size = npz.file.seek(0, os.SEEK_END)
    if npz.size > size:
        raise ValueError(f"its arrays have {npz.size:,} bytes, although it has {size:,} itself")


def _restored(need: Need, dims: int, n: int, state: dict[str, Any]) -> Accumulator:
    """Return the accumulator of a state, and check that it has n rows of so many dims."""
    restored = need.accumulator(dims)
    if isinstance(restored, Rows):
        rows = state["rows"]
        if rows.shape != (n, dims) or rows.dtype != np.float32 or not rows.flags.c_contiguous:
            raise ValueError(f"its {need} are {rows.dtype} of shape {rows.shape}, not float32 of {(n, dims)}")
    if state.get("dims", dims) != dims:  # before memory is taken for them
        raise ValueError(f"its {need} have {state['dims']} dims, not {dims}")
    restored.__setstate__(state)
    if getattr(restored, "dims", dims) != dims:
        raise ValueError(f"its {need} have {getattr(restored, 'dims', None)} dims, not {dims}")
    if isinstance(restored, Statistics | UnitMoments | Blocks) and restored.n != n:
        raise ValueError(f"its {need} are of {restored.n} images, not {n}")
    return restored


def _flat(need: Need, state: Accumulator) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Divide the state of an accumulator into plain values and arrays; raise `InputError` if it holds others."""
    plain: dict[str, Any] = {}
    arrays: dict[str, NDArray[Any]] = {}
    whole: Any = state.__getstate__()
    for name, value in whole.items():
        if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
            arrays[name] = value
        elif isinstance(value, np.generic) and value.dtype.kind in "biuf":
            plain[name] = value.item()
        elif isinstance(value, _PLAIN):
            plain[name] = value
        else:
            raise InputError(
                f"{need} cannot be kept for resuming: {name} of its __getstate__() is a {type(value).__name__}, and "
                "files hold arrays, numbers and texts"
            )
    return plain, arrays
