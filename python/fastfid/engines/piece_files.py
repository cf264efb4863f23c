"""The files of a resumable run: the fit of each piece, and the facts of the run that made them.

A folder holds

run.json             the facts that all pieces share: model, mode, versions, needs, the images and their order
piece-000017.npz     the fit of a piece: ``piece``, a text in JSON, and an array for each array of a state

Nothing is unpickled: a state is a flat dict of arrays, numbers and texts. Each file is written as a whole, and the
checksums of the zip find out a damaged one, which counts as missing.
"""

import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import whole_number
from ..errors import InputError
from ..files.npz import Npz, write_npz
from ..files.reading import cause
from ..files.store import Store
from ..fit import Facts, Fit
from ..images.observed import Tally
from ..metrics.base import Accumulator, Need
from ..metrics.moments import Statistics
from ..provenance import Provenance
from ..sources import Piece
from .run_facts import FORMAT, agree, digest, facts_of_run

READERS = 4  # files that are read at a time, ahead of merging them, which takes less time
_MOST_TEXT = 1 << 26  # bytes of the facts of a piece: 8192 images left out, each with a long reason
_MOST_BYTES = 1 << 33
_NAME = re.compile(r"piece-(\d{6,})\.npz", re.ASCII)
_PLAIN = (bool, int, float, str, type(None))


class DamagedError(Exception):
    """A file that does not hold what its name says."""


@dataclass(frozen=True)
class PieceFiles:
    """The files of one run in a folder; can be pickled.

    Attributes
    ----------
    store : Store
    needs : tuple of Need
    roles : mapping of str to int
        The dims of each role.
    run : str
        The digest of the facts of the run, which each file repeats.
    provenance : Provenance or None
        How the pieces written here are made.
    """

    store: Store
    needs: tuple[Need, ...]
    roles: Mapping[str, int]
    run: str
    provenance: Provenance | None

    def numbers(self) -> set[int]:
        """Return the numbers of the pieces that are there."""
        found = map(_NAME.fullmatch, self.store.names())
        return {int(match[1]) for match in found if match}

    def write(self, piece: Piece, fit: Fit, stamps: str) -> None:
        """Write the fit of a piece; an earlier file of it is replaced.

        `stamps` is what `stamps_of` returned before the images were read: a later change must show.
        """
        provenance = fit.provenance or self.provenance
        states, arrays = [], dict[str, NDArray[Any]]()
        for i, need in enumerate(self.needs):
            plain, of_state = _flat(need, fit[need])
            states.append(plain)
            arrays |= {f"{i}.{name}": array for name, array in of_state.items()}
        facts = {
            "format": FORMAT,
            "run": self.run,
            "number": piece.number,
            "n": fit.n,
            "source": piece.source.name,
            "stamps": stamps,
            "provenance": provenance.to_json() if provenance else None,
            "seen": _plain_tally(fit.seen),
            "states": states,
        }
        arrays["digests"] = np.array(sorted(fit.seen.digests), np.uint64)
        file = io.BytesIO()
        write_npz(file, [("piece", np.array(json.dumps(facts))), *arrays.items()])
        self.store.write(_name(piece.number), file.getvalue())

    def read(self, piece: Piece) -> Fit:
        """Read the fit of a piece.

        Raises
        ------
        InputError
            If the images of the piece have changed since.
        DamagedError
            If the file is damaged, or belongs to another run.
        FileNotFoundError
            If there is no such file.
        """
        fit, source, stamps = self._read(piece.number)
        if stamps != stamps_of(piece):
            raise InputError(
                f"{self.store}/{_name(piece.number)} was made from {source}, and {len(piece.indices)} images from "
                f"{piece.source.name_of(int(piece.indices[0]))} on are others, or have changed since: give another "
                "folder, or remove that file to read them again"
            )
        return fit

    def glance(self, number: int) -> None:
        """Raise `DamagedError` if a file is not whole, or belongs to another run; its arrays are not read."""
        with self._opened(number) as npz:
            self._facts(npz, number)

    def read_number(self, number: int) -> Fit:
        """Read the fit of a piece by its number, without a look at its images; raises as `read`."""
        return self._read(number)[0]

    def _read(self, number: int) -> tuple[Fit, str, str]:
        with self._opened(number) as npz:
            facts = self._facts(npz, number)
            return self._fit(facts, npz), str(facts["source"]), str(facts["stamps"])

    @contextmanager
    def _opened(self, number: int) -> Iterator[Npz]:
        try:
            with Npz(self.store.read(_name(number), _MOST_BYTES)) as npz:
                yield npz
        except (MemoryError, FileNotFoundError):
            raise
        except Exception as error:
            raise DamagedError(f"{self.store}/{_name(number)} is damaged: {cause(error)}") from error

    def _facts(self, npz: Npz, number: int) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads(str(npz.read("piece", 4 * _MOST_TEXT)))
        if (facts["format"], facts["run"], facts["number"]) != (FORMAT, self.run, number):
            raise ValueError("it belongs to another run")
        return facts

    def _fit(self, facts: Mapping[str, Any], npz: Npz) -> Fit:
        states: dict[Need, Accumulator] = {}
        for i, (need, plain) in enumerate(zip(self.needs, facts["states"], strict=True)):
            keys = [key for key in npz.keys if key.startswith(f"{i}.")]
            arrays = {key.partition(".")[2]: npz.read(key, _MOST_BYTES) for key in keys}
            states[need] = need.accumulator(self.roles[need.role])
            states[need].__setstate__({**plain, **arrays})
            dims = getattr(states[need], "dims", self.roles[need.role])
            if dims != self.roles[need.role]:
                raise ValueError(f"its {need} have {dims} dims, not {self.roles[need.role]}")
        seen = _tally(facts["seen"], npz.read("digests", _MOST_BYTES))
        text = facts["provenance"]
        made = Provenance.from_json(text, _name(facts["number"])) if text is not None else None
        n = whole_number("n", facts["n"], 0)
        if {n, seen.accepted, *(state.n for state in states.values() if isinstance(state, Statistics))} != {n}:
            raise ValueError(f"it says that it has {n} images, and holds others")
        return Fit(states, n, seen, made)


def keep_of(
    store: Store, pieces: Sequence[Piece], needs: Sequence[Need], facts: Facts, reading: Mapping[str, Any]
) -> PieceFiles:
    """Return the files of a run in a folder, which are to be of the same run if there are any; raises as `agree`."""
    run = agree(store, facts_of_run(pieces, needs, facts, reading))
    return PieceFiles(store, tuple(needs), facts.roles, run, facts.provenance)


def stamps_of(piece: Piece) -> str:
    """Return a digest of what tells whether the images of a piece have changed."""
    source = piece.source
    stamps = source.stamps_of(map(int, piece.indices))
    return digest(f"{source.key_of(int(i))}\0{stamp}" for i, stamp in zip(piece.indices, stamps, strict=True))


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


def _name(number: int) -> str:
    return f"piece-{number:06d}.npz"


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
