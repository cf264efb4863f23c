"""A fit as the bytes of an ``.npz``: ``piece``, a text in JSON, and an array for each array of a state.

Nothing is unpickled: a state is a flat dict of arrays, numbers and texts. The checksums of the zip find out damage.
What is read back has the same bits, also when images are added to it or it is merged.
"""

import io
import json
from collections import Counter
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
from ..images.observed import Tally
from ..metrics.base import Accumulator, Need
from ..metrics.moments import Statistics
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
        "seen": _plain_tally(fit.seen),
        "states": states,
    }
    arrays["digests"] = np.array(sorted(fit.seen.digests), np.uint64)
    write_npz(file, [("piece", np.array(json.dumps(whole))), *arrays.items()])


def packed(fit: Fit, needs: Sequence[Need], facts: Mapping[str, Any]) -> bytes:
    """Return a fit as the bytes that `pack` writes."""
    file = io.BytesIO()
    pack(file, fit, needs, facts)
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
            yield json.loads(str(npz.read("piece", 4 * _MOST_TEXT))), npz
    except (MemoryError, FileNotFoundError):
        raise
    except Exception as error:
        raise DamagedError(f"{name} is damaged: {cause(error)}") from error


def unpacked(facts: Mapping[str, Any], npz: Npz, needs: Sequence[Need], roles: Mapping[str, int], name: str) -> Fit:
    """Return the fit of a file that is `opened`; an exception of any kind says that it is damaged."""
    states: dict[Need, Accumulator] = {}
    for i, (need, plain) in enumerate(zip(needs, facts["states"], strict=True)):
        keys = [key for key in npz.keys if key.startswith(f"{i}.")]
        arrays = {key.partition(".")[2]: npz.read(key, MOST_BYTES) for key in keys}
        states[need] = need.accumulator(roles[need.role])
        states[need].__setstate__({**plain, **arrays})
        dims = getattr(states[need], "dims", roles[need.role])
        if dims != roles[need.role]:
            raise ValueError(f"its {need} have {dims} dims, not {roles[need.role]}")
    seen = _tally(facts["seen"], npz.read("digests", MOST_BYTES))
    text = facts["provenance"]
    made = Provenance.from_json(text, name) if text is not None else None
    n = whole_number("n", facts["n"], 0)
    if {n, seen.accepted, *(state.n for state in states.values() if isinstance(state, Statistics))} != {n}:
        raise ValueError(f"it says that it has {n} images, and holds others")
    return Fit(states, n, seen, made)


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


def _plain_tally(seen: Tally) -> dict[str, Any]:
    """Return a tally as plain data, without the digests."""
    counters = {name: [*value.items()] for name, value in vars(seen).items() if isinstance(value, Counter)}
    return {name: value for name, value in vars(seen).items() if name != "digests"} | counters


def _tally(plain: Mapping[str, Any], digests: NDArray[np.uint64]) -> Tally:
    seen = Tally()
    if digests.dtype != np.uint64:
        raise TypeError(f"digests are {digests.dtype}")
    for name, usual in vars(Tally()).items():
        value = set(digests.tolist()) if name == "digests" else plain[name]
        if isinstance(usual, Counter):
            value = Counter({tuple(key) if isinstance(key, list) else key: int(count) for key, count in value})
        if type(value) is not type(usual):
            raise TypeError(f"{name} is {value!r}")
        setattr(seen, name, value)
    return seen
