"""What a metric is: what it needs of each side, and the number that it makes of that."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError


class Accumulator(ABC):
    """What is kept of the rows of features that pass by.

    A subclass is made with the number of dims. It is filled row by row, in order, and merged with another in the order
    of their rows; both must be deterministic. Its pickle holds its exact state: after it, the same rows give the same
    bits. Here the state is all attributes and a version; a subclass with attributes that cannot be pickled writes its
    own ``__getstate__`` and ``__setstate__``.

    Attributes
    ----------
    version : int
        Of the state; raise it when the attributes change, and read the old ones in ``__setstate__``.
    """

    version: ClassVar[int] = 1

    @abstractmethod
    def update(self, rows: NDArray[np.float32], /) -> object:
        """Add rows (k, dims)."""

    @abstractmethod
    def merge(self, other: Self, /) -> object:
        """Add what another has seen, as if its rows had followed."""

    def __getstate__(self) -> dict[str, Any]:
        return {"version": self.version, **vars(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        check_version(self, state)
        vars(self).update({name: value for name, value in state.items() if name != "version"})


def check_version(accumulator: Accumulator, state: Mapping[str, Any]) -> None:
    """Raise `InputError` for a state that a newer fastfid wrote."""
    version = state.get("version", 1)
    if version > accumulator.version:
        kind = type(accumulator).__name__
        raise InputError(f"a state of {kind} has version {version}, this fastfid reads up to {accumulator.version}")


@dataclass(frozen=True)
class Need:
    """What a metric needs of each side; metrics with equal needs share one accumulator.

    Parameters
    ----------
    role : str
        Which output of the network: "features", "logits", "logits_unbiased", "spatial".
    accumulator : callable
        From the number of dims to an empty `Accumulator`; usually its class.
    optional : bool
        Whether the metric does without on a side of which only statistics were saved.
    """

    role: str
    accumulator: Callable[[int], Accumulator]
    optional: bool = False

    def __str__(self) -> str:
        return f"{getattr(self.accumulator, '__name__', self.accumulator)} of {self.role}"


@dataclass(frozen=True)
class Score:
    """The result of one metric.

    Attributes
    ----------
    value : float
    parts : mapping of str to object
        What else the metric computes: its terms, its errors, its other numbers.
    convention : str
        Whose definition it follows.
    parameters : mapping of str to object
        What the metric was asked for with.
    n : tuple of int or None
        Number of images of each side; None where a statistics file does not say.
    better : {"lower", "higher"}
        Which way is better.
    warnings : tuple of str
        What a reader of the number should know.
    """

    value: float
    parts: Mapping[str, Any] = field(default_factory=dict)
    convention: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    n: tuple[int | None, ...] = ()
    better: str = "lower"
    warnings: tuple[str, ...] = ()


class Metric(ABC):
    """A number made of one side or of two.

    A subclass has `name`, `needs` and `value`, and is usually a frozen dataclass whose fields are its parameters.

    Attributes
    ----------
    name : str
        What it is asked for by, and called in results.
    sides : int
        How many sides it takes, 1 or 2.
    """

    name: ClassVar[str]
    sides: ClassVar[int] = 2

    @property
    @abstractmethod
    def needs(self) -> tuple[Need, ...]:
        """What it needs of each side."""

    @abstractmethod
    def value(self, *sides: Any) -> Score:
        """Return the number, from the `Fit` of each side; ``fit[need]`` is the accumulator of a need."""
