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

from ..errors import ImageError, InputError
from ..files.npz import Npz
from ..files.store import Store
from ..fit import Facts, Fit
from ..images.observed import Seen, Tally
from ..messages import Messages
from ..metrics.base import Need
from ..provenance import Provenance
from ..sources import Piece
from ..sources.pieces import read_checked
from ..sources.proofs import proof_of_all
from .packed import MOST_BYTES, opened, packed, unpacked
from .run_facts import FORMAT, agree, facts_of_run

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
    anew : bool
        True to use none that is there.
    """

    store: Store
    needs: tuple[Need, ...]
    roles: Mapping[str, int]
    run: str
    provenance: Provenance | None
    anew: bool = False

    def numbers(self) -> set[int]:
        """Return the numbers of the pieces that are there."""
        found = map(_NAME.fullmatch, () if self.anew else self.store.names())
        return {int(match[1]) for match in found if match}

    def write(self, piece: Piece, fit: Fit, proof: str) -> None:
        """Write the fit of a piece; an earlier file of it is replaced.

        `proof` is what `proof_of_piece` returned before the images were read: a later change must show.
        """
        facts = {
            "format": FORMAT,
            "run": self.run,
            "number": piece.number,
            "source": piece.source.name,
            "proof": proof,
        }
        whole = replace(fit, provenance=fit.provenance or self.provenance)
        self.store.write(_name(piece.number), packed(whole, self.needs, facts))

    def read(self, piece: Piece) -> tuple[Fit, bool]:
        """Read the fit of a piece, and check that its images are still those from which it was made.

        If their proofs do not say so, the images are read and compared with what was seen of them.

        Returns
        -------
        fit : Fit
        proven : bool
            False if the images were read.

        Raises
        ------
        InputError
            If the images of the piece have changed since.
        DamagedError
            If the file is damaged, or belongs to another run.
        FileNotFoundError
            If there is no such file.
        """
        fit, source, proof = self._read(piece.number)
        proven = proof != "" and proof == proof_of_piece(piece)
        if not proven and _content_of(piece) != fit.seen.content:
            raise InputError(
                f"{self.store}/{_name(piece.number)} was made from {source}, and {len(piece.indices)} images from "
                f"{piece.source.name_of(int(piece.indices[0]))} on are others, or have changed since: give another "
                "folder, or remove that file to read them again"
            )
        return fit, proven

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
            return fit, str(facts["source"]), str(facts["proof"])

    @contextmanager
    def _opened(self, number: int) -> Iterator[tuple[dict[str, Any], Npz]]:
        name = _name(number)
        with opened(partial(self.store.read, name, MOST_BYTES), f"{self.store}/{name}") as (facts, npz):
            if (facts["format"], facts["run"], facts["number"]) != (FORMAT, self.run, number):
                raise ValueError("it belongs to another run")
            yield facts, npz


def keep_of(
    store: Store,
    pieces: Sequence[Piece],
    needs: Sequence[Need],
    facts: Facts,
    reading: Mapping[str, Any],
    messages: Messages,
) -> PieceFiles:
    """Return the files of a run in a folder, which are to be of the same run if there are any; raises as `agree`."""
    run, anew = agree(store, facts_of_run(pieces, needs, facts, reading), messages)
    return PieceFiles(store, tuple(needs), facts.roles, run, facts.provenance, anew)


def proof_of_piece(piece: Piece) -> str:
    """Return what is surely different once the images of a piece have changed; "" if only their content tells that."""
    return proof_of_all(piece.source, map(int, piece.indices))


def _content_of(piece: Piece) -> int:
    """Read the images of a piece, and return what `Tally.content` is for them."""
    seen = Tally()
    for item in read_checked(piece.source, map(int, piece.indices)):
        try:
            seen.add([Seen.of(item.decode())])
        except ImageError as error:
            seen.add([Seen(rejected=str(error))])
    return seen.content


def _name(number: int) -> str:
    return f"piece-{number:06d}.npz"
