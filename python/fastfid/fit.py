"""The results of one pass over the images of one side, kept piece by piece."""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .files.store import Store
from .images.observed import Seen, Tally
from .metrics.base import Accumulator, Need
from .provenance import Provenance, merged
from .sources import Piece, Source

if TYPE_CHECKING:
    from .engines.fit_cache import Entry
    from .engines.piece_files import PieceFiles
    from .identity import Identity
    from .per_class import Shelf


@dataclass(frozen=True)
class Facts:
    """Facts about a network that an engine has opened.

    Attributes
    ----------
    roles : mapping of str to int
        The outputs of the network, such as "features", and the dims of each.
    provenance : Provenance or None
        How the features are made.
    comparable : bool
        True if the weights are the official ones, so that scores can be compared with published FIDs.
    """

    roles: Mapping[str, int]
    provenance: Provenance | None = None
    comparable: bool = True

    @property
    def mode(self) -> str:
        """The preprocessing; "" if it is not known."""
        return self.provenance.mode if self.provenance else ""


@dataclass
class Fit:
    """The accumulators of a set of images, or of a piece of it: one for each need.

    Attributes
    ----------
    states : dict of Need to Accumulator
        ``fit[need]`` returns one of them.
    n : int or None
        Number of images; None if a statistics file does not say it.
    seen : Tally
        What was observed about the images while they were decoded.
    provenance : Provenance or None
        How the features were made; None if it is not known.
    name : str
        How messages name the images; "" if it is not known.
    """

    states: dict[Need, Accumulator]
    n: int | None = 0
    seen: Tally = field(default_factory=Tally)
    provenance: Provenance | None = None
    name: str = ""

    def __repr__(self) -> str:
        made_by = f", {self.provenance.model}, {self.provenance.mode}" if self.provenance else ""
        return f"Fit(n={self.n}, {', '.join(map(str, self.states)) or 'nothing'}{made_by})"

    @classmethod
    def empty(cls, needs: Iterable[Need], roles: Mapping[str, int]) -> Self:
        """Return a fit of no images; `roles` gives the dims of each role.

        Raises
        ------
        InputError
            If a need does not make an `Accumulator`, or there is no such role.
        """
        states: dict[Need, Accumulator] = {}
        for need in needs:
            if need.role not in roles:
                raise InputError(f"there are no {need.role!r} for {need}; there are {', '.join(roles) or 'no roles'}")
            states[need] = need.accumulator(roles[need.role])
            if not isinstance(states[need], Accumulator):
                raise InputError(f"{need}: a {type(states[need]).__name__} is not a fastfid.Accumulator")
        return cls(states)

    def update(self, features: Mapping[str, NDArray[np.float32]], seen: Sequence[Seen] = (), chunk: int = 0) -> Self:
        """Add images.

        Parameters
        ----------
        features : mapping of str to ndarray, shape (k, dims), float32
            The rows of each role. Row i of every role belongs to the same image.
        seen : sequence of Seen
            What was observed about each image, including the images that were left out.
        chunk : int
            Images per run of the network, if memory did not suffice for the batch size; else 0.

        Returns
        -------
        Fit
            self

        Raises
        ------
        InputError
            If a role is missing, or the roles have different numbers of rows.
        """
        if missing := [need for need in self.states if need.role not in features]:
            raise InputError(f"features have {', '.join(features) or 'no roles'}, and {missing[0]} is needed")
        counts = {len(rows) for rows in features.values()}
        if len(counts) > 1:
            raise InputError(f"the roles have different numbers of rows: {', '.join(map(str, sorted(counts)))}")
        count = counts.pop() if counts else 0
        for need, state in self.states.items() if count else ():
            rows = features[need.role].view()
            rows.flags.writeable = False  # all accumulators of the role get the same rows
            state.update(rows)
        self.n = (self.n or 0) + count
        self.seen.add(list(seen), chunk)
        return self

    def merge(self, other: "Fit") -> Self:
        """Add another fit of the same needs, as if its images had followed; return self.

        Raises
        ------
        InputError
            If the other lacks a need, or its rows have other dims; then nothing is changed.
        """
        for need, state in self.states.items():
            dims, others = getattr(state, "dims", None), getattr(other[need], "dims", None)
            if dims != others:
                raise InputError(f"{need} of {dims} and of {others} dims cannot be merged")
        for need, state in self.states.items():
            state.merge(other[need])
        self.n = None if self.n is None or other.n is None else self.n + other.n
        self.seen.merge(other.seen)
        if self.provenance is not None and other.provenance is not None:
            self.provenance = merged(self.provenance, other.provenance)[0]
        return self

    def __copy__(self) -> Self:
        """Return a fit that has nothing in common with this one that could change; the needs stay equal."""
        states = {need: copy.deepcopy(state) for need, state in self.states.items()}
        return replace(self, states=states, seen=copy.deepcopy(self.seen))

    def __getitem__(self, need: Need) -> Accumulator:
        if need not in self.states:
            raise InputError(f"there is no {need} here")
        return self.states[need]

    def get(self, need: Need) -> Accumulator | None:
        """Return the accumulator of a need, or None."""
        return self.states.get(need)


def checked(
    fits: Iterable[tuple[Piece, Fit]], pieces: Iterable[Piece], facts: Facts, engine: str
) -> Iterator[tuple[Piece, Fit]]:
    """Pass on what an engine yields, and check it against the pieces that it was given.

    Raises
    ------
    InputError
        If a piece is left out, out of order or incomplete, or a fit is not its own; `engine` names the engine.
    """
    if not isinstance(fits, Iterable):
        raise InputError(f"{engine}.fit must yield (piece, fit) pairs, but returns a {type(fits).__name__}")
    previous: Fit | None = None
    expected = iter(pieces)
    for given in fits:
        if not (isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], Fit)):
            raise InputError(f"{engine}.fit must yield (piece, fit) pairs, but yields a {type(given).__name__}")
        piece, fit = given
        wanted = next(expected, None)
        if wanted is None or piece.number != wanted.number:
            asked = "no more pieces" if wanted is None else f"piece {wanted.number}"
            raise InputError(f"{engine}.fit yields piece {piece.number} where {asked} should follow")
        if fit is previous:
            raise InputError(f"{engine}.fit yields one Fit for several pieces; each piece needs its own")
        previous = fit
        counted, asked_for = (fit.n or 0) + len(fit.seen.rejected), len(wanted.indices)
        if wanted.source.exact and counted != asked_for:
            raise InputError(f"{engine}.fit counted {counted} of the {asked_for} images of piece {piece.number}")
        for need, state in fit.states.items():
            dims = getattr(state, "dims", facts.roles[need.role])
            if dims != facts.roles[need.role]:
                raise InputError(f"{engine}.fit gives {need} of {dims} dims, not {facts.roles[need.role]}")
        yield piece, fit
    left = next(expected, None)
    if left is not None and left.source.exact:
        raise InputError(f"{engine}.fit ends before piece {left.number}")


def fold(fits: Iterable[tuple[Piece | None, Fit]], empty: Fit) -> Fit:
    """Merge the fits of the pieces of a set, in the order of the pieces; return `empty` if there are none.

    The last bits of the result depend on the order and on the borders of the pieces, so both depend on the source only.
    """
    whole: Fit | None = None
    for _, fit in fits:
        whole = fit if whole is None else whole.merge(fit)
    return empty if whole is None else whole


@dataclass(frozen=True)
class Side:
    """One side of a comparison: its name, its number of images, and the images left out.

    Attributes
    ----------
    name : str
    n : int or None
        Number of images; before they are read, the expected number. None if it is not known.
    rejected : tuple of str
        The images that could not be decoded, with the reason.
    chosen : (int, int) or None
        If some of the images were chosen: the number that there are, and the seed.
    formats : dict of str to int
        Number of image files of each format, such as "PNG".
    identity : Identity or None
        What tells its images from others; only a result has it.
    """

    name: str
    n: int | None
    rejected: tuple[str, ...] = ()
    chosen: tuple[int, int] | None = None
    formats: Mapping[str, int] = field(default_factory=dict, compare=False)
    identity: "Identity | None" = field(default=None, compare=False)
    # Used during the run only; the result of a comparison does not have these.
    # `needs` are to be made from the images of `source`; `fit` has what is known already, and after the run everything.
    needs: tuple[Need, ...] = field(default=(), repr=False, compare=False)
    selection: tuple[int | None, int] = field(default=(None, 0), repr=False, compare=False)  # limit and seed
    source: Source | None = field(default=None, repr=False, compare=False)
    fit: Fit | None = field(default=None, repr=False, compare=False)
    seen: Tally | None = field(default=None, repr=False, compare=False)
    provenance: Provenance | None = field(default=None, repr=False, compare=False)
    store: Store | None = field(default=None, repr=False, compare=False)  # where the fits of its pieces are kept
    keep: "PieceFiles | None" = field(default=None, repr=False, compare=False)  # the files there
    entry: "Entry | None" = field(default=None, repr=False, compare=False)  # its place in the cache
    shelf: "Shelf | None" = field(default=None, repr=False, compare=False)  # the fits of the classes
    features: bool = field(default=False, repr=False, compare=False)  # given as a plain matrix of features

    def result(self) -> "Side":
        """Return the side without the fields that only the run needs."""
        formats = dict(self.seen.encodings) if self.seen else {}
        return Side(self.name, self.n, self.rejected, self.chosen, formats)

    def as_dict(self) -> dict[str, Any]:
        """Return the side as plain data."""
        chosen = {"chosen": dict(zip(("of", "seed"), self.chosen, strict=True))} if self.chosen else {}
        formats = {"formats": dict(self.formats)} if self.formats else {}
        identity = {"identity": self.identity.as_dict()} if self.identity else {}
        return {"name": self.name, "n": self.n, "rejected": self.rejected, **chosen, **formats, **identity}
