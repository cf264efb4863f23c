"""The results of one pass over the images of one side, kept piece by piece."""

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
    """

    states: dict[Need, Accumulator]
    n: int | None = 0
    seen: Tally = field(default_factory=Tally)

    @classmethod
    def empty(cls, needs: Iterable[Need], roles: Mapping[str, int]) -> Self:
        """Return a fit of no images; `roles` gives the dims of each role."""
        return cls({need: need.accumulator(roles[need.role]) for need in needs})

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
    """

    name: str
    n: int | None
    rejected: tuple[str, ...] = ()
    # Used during the run only; the result of a comparison does not have these.
    needs: tuple[Need, ...] = field(default=(), repr=False, compare=False)
    source: Source | None = field(default=None, repr=False, compare=False)
    fit: Fit | None = field(default=None, repr=False, compare=False)
    seen: Tally | None = field(default=None, repr=False, compare=False)
    provenance: Provenance | None = field(default=None, repr=False, compare=False)

    def result(self) -> "Side":
        """Return the side without the fields that only the run needs."""
        return Side(self.name, self.n, self.rejected)

    def as_dict(self) -> dict[str, Any]:
        """Return the side as plain data."""
        return {"name": self.name, "n": self.n, "rejected": self.rejected}
