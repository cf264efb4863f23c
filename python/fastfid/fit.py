"""One side of a comparison, read once: what is kept of its images, piece by piece."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .images.observed import Seen, Tally
from .metrics.base import Accumulator, Need
from .provenance import Provenance
from .sources import Piece, Source


@dataclass(frozen=True)
class Facts:
    """What is known of a network once an engine has opened it.

    Attributes
    ----------
    roles : mapping of str to int
        What it gives, "features" say, and the dims of each.
    provenance : Provenance or None
        What makes the features.
    comparable : bool
        Whether scores compare with published FIDs: the weights are the official ones.
    """

    roles: Mapping[str, int]
    provenance: Provenance | None = None
    comparable: bool = True

    @property
    def mode(self) -> str:
        """The preprocessing, "" if it is not known."""
        return self.provenance.mode if self.provenance else ""


@dataclass
class Fit:
    """What is kept of a set of images, or of a piece of it: the state of every need.

    Attributes
    ----------
    states : dict of Need to Accumulator
        ``fit[need]`` looks one up.
    n : int or None
        Number of images; None where a statistics file does not say.
    seen : Tally
        What the images showed besides features.
    """

    states: dict[Need, Accumulator]
    n: int | None = 0
    seen: Tally = field(default_factory=Tally)

    @classmethod
    def empty(cls, needs: Iterable[Need], roles: Mapping[str, int]) -> Self:
        """Start a fit; `roles` says how many dims the features of each role have."""
        return cls({need: need.accumulator(roles[need.role]) for need in needs})

    def update(self, features: Mapping[str, NDArray[np.float32]], seen: Sequence[Seen] = (), chunk: int = 0) -> Self:
        """Add images.

        Parameters
        ----------
        features : mapping of str to ndarray, shape (k, dims), float32
            The rows of each role, those of one image at the same place in all.
        seen : sequence of Seen
            What the images showed, those included that were left out.
        chunk : int
            Images per run of the network, if memory did not suffice for the batch size.

        Returns
        -------
        Fit
            self
        """
        for need, state in self.states.items():
            state.update(features[need.role])
        self.n = (self.n or 0) + len(next(iter(features.values()), ()))
        self.seen.add(list(seen), chunk)
        return self

    def merge(self, other: "Fit") -> Self:
        """Add another fit of the same needs, as if its images had followed; return self."""
        for need, state in self.states.items():
            state.merge(other[need])
        self.n = None if self.n is None or other.n is None else self.n + other.n
        self.seen.merge(other.seen)
        return self

    def __getitem__(self, need: Need) -> Accumulator:
        if need not in self.states:
            raise InputError(f"there is no {need} here")
        return self.states[need]

    def get(self, need: Need) -> Accumulator | None:
        """Return the accumulator of a need, or None."""
        return self.states.get(need)


def fold(fits: Iterable[tuple[Piece, Fit]], empty: Fit) -> Fit:
    """Merge the fits of the pieces of a set, in the order of the pieces; `empty` stands for a set without images.

    The order and the cut into pieces decide the last bits, so both come from the source alone.
    """
    whole: Fit | None = None
    for _, fit in fits:
        whole = fit if whole is None else whole.merge(fit)
    return empty if whole is None else whole


@dataclass(frozen=True)
class Side:
    """One side of a comparison: its name, the number of images counted, and those left out.

    Attributes
    ----------
    name : str
    n : int or None
        Number of images; before they are read, the number expected. None where nobody knows.
    rejected : tuple of str
        The images that could not be decoded, with the reason.
    """

    name: str
    n: int | None
    rejected: tuple[str, ...] = ()
    # What the run works with; the result of a comparison does not hold it.
    source: Source | None = field(default=None, repr=False, compare=False)
    fit: Fit | None = field(default=None, repr=False, compare=False)
    seen: Tally | None = field(default=None, repr=False, compare=False)
    provenance: Provenance | None = field(default=None, repr=False, compare=False)

    def result(self) -> "Side":
        """Return the side without what the run worked with."""
        return Side(self.name, self.n, self.rejected)

    def as_dict(self) -> dict[str, Any]:
        """Return the side as plain data."""
        return {"name": self.name, "n": self.n, "rejected": self.rejected}
