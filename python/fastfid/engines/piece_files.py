"""The files of a resumable run: the fit of each piece, and the facts of the run that made them.

A folder holds

run.json             the facts that all pieces share: model, mode, versions, needs, the images and their order
piece-000017.npz     the fit of a piece: ``piece``, a text in JSON, and an array for each array of a state

Each file is written as a whole. One that turns out to be damaged counts as missing; `packed` says what is in it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ..errors import InputError
from ..files.npz import Npz
from ..files.store import Store
from ..fit import Facts, Fit
from ..metrics.base import Need
from ..provenance import Provenance
from ..sources import Piece
from .packed import MOST_BYTES, opened, packed, unpacked
from .run_facts import FORMAT, agree, digest, facts_of_run

READERS = 4  # files that are read at a time, ahead of merging them, which takes less time
_NAME = re.compile(r"piece-(\d{6,})\.npz", re.ASCII)


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
        facts = {
            "format": FORMAT,
            "run": self.run,
            "number": piece.number,
            "source": piece.source.name,
            "stamps": stamps,
        }
        whole = replace(fit, provenance=fit.provenance or self.provenance)
        self.store.write(_name(piece.number), packed(whole, self.needs, facts))

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
        with self._opened(number):
            pass

    def read_number(self, number: int) -> Fit:
        """Read the fit of a piece by its number, without a look at its images; raises as `read`."""
        return self._read(number)[0]

    def _read(self, number: int) -> tuple[Fit, str, str]:
        with self._opened(number) as (facts, npz):
            fit = unpacked(facts, npz, self.needs, self.roles, _name(number))
            return fit, str(facts["source"]), str(facts["stamps"])

    @contextmanager
    def _opened(self, number: int) -> Iterator[tuple[dict[str, Any], Npz]]:
        name = _name(number)
        with opened(partial(self.store.read, name, MOST_BYTES), f"{self.store}/{name}") as (facts, npz):
            if (facts["format"], facts["run"], facts["number"]) != (FORMAT, self.run, number):
                raise ValueError("it belongs to another run")
            yield facts, npz


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


def _name(number: int) -> str:
    return f"piece-{number:06d}.npz"
