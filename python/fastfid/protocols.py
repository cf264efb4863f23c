"""Published protocols by name: each fixes everything that its number depends on, except the images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .checks import one_of
from .errors import ModelError
from .metrics.base import Metric, Score
from .metrics.fid import FID
from .metrics.inception_score import InceptionScore
from .metrics.prdc import PRDC
from .metrics.sfid import SFID


@dataclass(frozen=True)
class Network:
    """The network of a protocol, which the user exports; see docs/protocols.md.

    Attributes
    ----------
    name : str
    dims : int
        Length of its feature vectors.
    """

    name: str
    dims: int


@dataclass(frozen=True)
class Line:
    """A line of the printed result: a metric, or one of its parts."""

    label: str
    metric: str
    part: str = ""

    def of(self, scores: Mapping[str, Score]) -> str:
        """Return the text of the line."""
        score = scores[self.metric]
        return f"{self.label}: {score.parts[self.part] if self.part else score.value}"


@dataclass(frozen=True)
class Protocol:
    """What a published number depends on.

    Attributes
    ----------
    name : str
        Its name in the option ``protocol``.
    tool : str
        The code that defines it, with its version.
    settings : mapping of str to object
        The options that it fixes.
    metrics : tuple of Metric
    lines : tuple of Line
        What the command prints.
    network : Network or None
        None for the Inception network.
    """

    name: str
    tool: str
    settings: Mapping[str, Any]
    metrics: tuple[Metric, ...]
    lines: tuple[Line, ...]
    network: Network | None = None

    @property
    def fixed(self) -> dict[str, Any]:
        """The values of all options that the protocol fixes."""
        return {**self.settings, "metrics": self.metrics}

    def check_dims(self, model: object, dims: int | None) -> None:
        """Raise `ModelError` if a network has other dims than the protocol's."""
        if self.network is not None and dims != self.network.dims:
            raise ModelError(
                f"protocol {self.name} needs {self.network.name}, which has {self.network.dims} dims; {model} has "
                f"{dims}: docs/protocols.md shows how to export the network, and model= or --model names the file"
            )


PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="adm",
            tool="evaluations/evaluator.py of guided-diffusion (Dhariwal and Nichol 2021)",
            settings={"mode": "tensorflow"},
            metrics=(InceptionScore("adm"), FID(), SFID(), PRDC("adm")),
            lines=(
                Line("Inception Score", "is"),
                Line("FID", "fid"),
                Line("sFID", "sfid"),
                Line("Precision", "prdc", "precision"),
                Line("Recall", "prdc", "recall"),
            ),
        ),
    )
}


def check_protocol(name: object) -> None:
    """Raise `InputError` if there is no such protocol."""
    if name is not None:
        one_of("protocol", name, PROTOCOLS)


def protocol_of(name: str | None) -> Protocol | None:
    """Return a protocol by its name, or None."""
    return None if name is None else PROTOCOLS[name]
