"""The contract of a metric: what it needs from each side, and how it computes a number from that."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .certainty import Certainty


class Accumulator(ABC):
    """A summary of rows of features, updated while they are computed.

    A subclass is created with the number of dims. Rows are added in order, and another accumulator is merged as if its
    rows came next; both must be deterministic. A pickle must hold the exact state, so that the same rows added
    afterwards give the same bits. By default the state is all attributes and a version. A subclass with attributes that
    cannot be pickled defines its own ``__getstate__`` and ``__setstate__``.

    Attributes
    ----------
    version : int
        Version of the state. Increase it when the attributes change, and read old states in ``__setstate__``.
    """

    version: ClassVar[int] = 1

    @abstractmethod
    def update(self, rows: NDArray[np.float32], /) -> object:
        """Add rows (k, dims)."""

    @abstractmethod
    def merge(self, other: Self, /) -> object:
        """Add another accumulator, as if its rows had been added after those of this one."""

    def __getstate__(self) -> dict[str, Any]:
        return {"version": self.version, **vars(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        check_version(self, state)
        vars(self).update({name: value for name, value in state.items() if name != "version"})


def check_version(accumulator: Accumulator, state: Mapping[str, Any]) -> None:
    """Raise `InputError` if the state was written by a newer fastfid."""
    version = state.get("version", 1)
    if version > accumulator.version:
        kind = type(accumulator).__name__
        raise InputError(f"a state of {kind} has version {version}, this fastfid reads up to {accumulator.version}")


@dataclass(frozen=True)
class Need:
    """What a metric needs from each side. Metrics with equal needs share one accumulator.

    Parameters
    ----------
    role : str
        Output of the network: "features", "logits", "logits_unbiased" or "spatial".
    accumulator : callable
        Takes the number of dims and returns an empty `Accumulator`; usually the class itself.
    optional : bool
        True if the metric can also be computed when a side is saved statistics, which lack this accumulator.
    """

    role: str
    accumulator: Callable[[int], Accumulator]
    optional: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        """Check the role and the accumulator."""
        if not (isinstance(self.role, str) and self.role):
            raise InputError(f"a Need's role must be a text such as 'features', got {self.role!r}")
        accumulator: Any = self.accumulator
        if not callable(accumulator):
            kind = type(accumulator).__name__
            raise InputError(f"a Need's accumulator must be a class or a function, got a {kind}")
        if isinstance(accumulator, type) and not issubclass(accumulator, Accumulator):
            raise InputError(f"a Need's accumulator must be a fastfid.Accumulator; {accumulator.__name__} is not")

    def __str__(self) -> str:
        return f"{getattr(self.accumulator, '__name__', self.accumulator)} of {self.role}"


@dataclass(frozen=True)
class Score:
    """The result of one metric.

    Attributes
    ----------
    value : float
    parts : mapping of str to object
        Other results of the metric, such as terms and error estimates.
    convention : str
        The paper or tool whose definition it follows.
    parameters : mapping of str to object
        Parameters of the metric.
    n : tuple of int or None
        Number of images of each side; None if a statistics file does not say it.
    better : {"lower", "higher"}
        Which values are better.
    warnings : tuple of str
        Facts that a reader of the number should know.
    role : str
        The output of the network that it is computed from; filled in from the needs of the metric if empty.
    certainty : Certainty or None
        How sure the value is, if that was asked for.
    """

    value: float
    parts: Mapping[str, Any] = field(default_factory=dict)
    convention: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    n: tuple[int | None, ...] = ()
    better: str = "lower"
    warnings: tuple[str, ...] = ()
    role: str = ""
    certainty: Certainty | None = None


class Metric(ABC):
    """A number computed from one side or from two.

    A subclass has `name`, `needs` and `value`. It is usually a frozen dataclass whose fields are its parameters.

    Attributes
    ----------
    name : str
        Name of the metric in the option ``metrics`` and in the results.
    sides : int
        Number of sides it takes, 1 or 2.
    """

    name: ClassVar[str]
    sides: ClassVar[int] = 2

    @property
    @abstractmethod
    def needs(self) -> tuple[Need, ...]:
        """The accumulators that the metric needs from each side."""

    def check(self, *n: int | None) -> None:  # noqa: B027 - most metrics take any number of images
        """Raise `InputError` if the score cannot be computed from so many images of each side.

        Called before any image is read.

        Parameters
        ----------
        n : int or None
            Number of images of each side; None if it is not known yet.
        """

    @abstractmethod
    def value(self, *sides: Any) -> Score:
        """Compute the score from the `Fit` of each side; ``fit[need]`` is the accumulator of a need."""
