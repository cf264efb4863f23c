"""Published protocols by name: each fixes everything that its number depends on, except the images."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .arguments import default, spelled
from .checks import one_of
from .errors import ModelError, StatisticsMismatch
from .fit import Facts, Side
from .images.modes import resolve
from .messages import Messages
from .metrics.base import Metric, Score
from .metrics.cmmd import CMMD
from .metrics.fid import FID
from .metrics.inception_score import InceptionScore
from .metrics.prdc import PRDC
from .metrics.sfid import SFID
from .networks.roles import FEATURES

_DIMS = 2048  # of Inception's pool3


@dataclass(frozen=True)
class Network:
    """The network of a protocol, which the user exports; see docs/protocols.md.

    Attributes
    ----------
    name : str
    dims : int
        Length of its feature vectors.
    output : str
        What the feature vector is.
    export : str
        The subcommand of models/export_torch.py that writes it.
    """

    name: str
    dims: int
    output: str
    export: str


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
        The options that it fixes. A mode that is marked as a default can be stated by the network's file.
    metrics : tuple of Metric
    lines : tuple of Line
        What the command prints.
    network : Network or None
        None for the Inception network.
    n : (int or None, int or None)
        Number of generated and of real images; None for any number.
    seed : int or None
        The seed with which the tool chooses that many from more, where ``limit`` and ``seed`` choose the same.
    bounds : mapping of str to (float, float)
        For metrics that must lie between two values: the smallest and the largest that pass.
    """

    name: str
    tool: str
    settings: Mapping[str, Any]
    metrics: tuple[Metric, ...]
    lines: tuple[Line, ...]
    network: Network | None = None
    n: tuple[int | None, int | None] = (None, None)
    seed: int | None = None
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def fixed(self) -> dict[str, Any]:
        """The values of all options that the protocol fixes."""
        return {**self.settings, "metrics": self.metrics}

    @contextmanager
    def opening(self, model: object) -> Iterator[None]:
        """Refuse a model that is not a network of the user's, and say in errors how to get one.

        Raises
        ------
        ModelError
            If the model is the Inception network, or an error is raised inside the ``with``.
        """
        if self.network is None:
            yield
            return
        if isinstance(model, str) and model.startswith("inception-v3"):
            raise ModelError(f"protocol {self.name} does not use {model}: {self._way_out()}")
        try:
            yield
        except ModelError as error:
            raise ModelError(f"{error} (protocol {self.name}: {self._way_out()})") from error

    def check(self, facts: Facts, sides: Sequence[Side], messages: Messages, *, force: bool) -> None:
        """Check the open network, or the saved statistics, before an image is read.

        Raises
        ------
        ModelError
            If the network has other dims or another preprocessing.
        StatisticsMismatch
            If statistics were made with another preprocessing, and `force` is False.
        """
        made, mode = facts.provenance, resolve(self.settings["mode"]).name
        model = made.model if made else "this"
        if made is not None and made.mode != mode:
            raise ModelError(f"protocol {self.name} fixes mode {mode}; {model} states {made.mode}: {self._way_out()}")
        dims = self.network.dims if self.network else _DIMS
        if facts.roles.get(FEATURES, dims) != dims:
            raise ModelError(
                f"protocol {self.name} has features of {dims} dims; {model} has {facts.roles[FEATURES]}: "
                f"{self._way_out()}"
            )
        for side in sides:
            if side.provenance is None or side.provenance.mode == mode:
                continue
            text = f"{side.name} was made with mode {side.provenance.mode}; protocol {self.name} fixes mode {mode}"
            if not force:
                raise StatisticsMismatch(
                    f"{text}: make it again with this protocol's mode ({spelled('force', True)} overrides)"
                )
            messages.warn_once(("protocol", side.name), f"compared because of force although {text}")

    def tell_of_n(self, sides: Sequence[Side], messages: Messages) -> None:
        """Warn about a number of images other than the protocol's; update warnings that were issued before."""
        for place, (side, wanted) in enumerate(zip(sides, self.n, strict=False)):
            if wanted is None or side.n in (wanted, None):
                continue
            kind = ("generated", "real")[place]
            text = f"protocol-n: {side.name}: {side.n} images; protocol {self.name} takes {wanted:,} {kind} images"
            if (side.n or 0) > wanted and self.seed is not None:
                text += f", chosen as by {spelled('limit', wanted)} and {spelled('seed', self.seed)}"
            messages.warn_once(("protocol-n", place), f"{text}; state the number beside the result")

    def _way_out(self) -> str:
        if self.network is None:
            return f"use the Inception network with {spelled('dims', _DIMS)}"
        return (
            f"it needs {self.network.name}, {self.network.dims} dims ({self.network.output}), as an ONNX file given as "
            f"{spelled('model')}; python models/export_torch.py {self.network.export} --protocol {self.name} NAME.onnx "
            "writes one (docs/protocols.md)"
        )


_CLS = "class token after the last norm"
_EMBEDDING = "class token after the last norm and the projection, not normalised"
_DINOV2 = Network("DINOv2 ViT-L/14", 1024, _CLS, "dinov2")
_FD = (Line("FD-DINOv2", "fid"),)

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="adm",
            tool="evaluations/evaluator.py of guided-diffusion (Dhariwal and Nichol 2021)",
            settings={"mode": "tensorflow", "dims": _DIMS},
            metrics=(InceptionScore("adm"), FID(), SFID(), PRDC("adm")),
            lines=(
                Line("Inception Score", "is"),
                Line("FID", "fid"),
                Line("sFID", "sfid"),
                Line("Precision", "prdc", "precision"),
                Line("Recall", "prdc", "recall"),
            ),
            n=(50_000, None),
        ),
        Protocol(
            name="fd-dinov2-dgm-eval",
            tool="dgm-eval 74c79f7 (Stein et al. 2023)",
            settings={"mode": default("dinov2-dgm-eval")},
            metrics=(FID(),),
            lines=_FD,
            network=_DINOV2,
            n=(50_000, 50_000),
            seed=13579,
        ),
        Protocol(
            name="fd-dinov2-edm2",
            tool="calculate_metrics.py of EDM2 4bf8162 (Karras et al. 2024)",
            settings={"mode": default("dinov2-edm2")},
            metrics=(FID(),),
            lines=_FD,
            network=_DINOV2,
            n=(50_000, None),
            seed=0,
        ),
        Protocol(
            name="fd-dinov2-torch-fidelity",
            tool="torch-fidelity 0.4.0, feature extractor dinov2-vit-l-14",
            settings={"mode": default("dinov2-torch-fidelity")},
            metrics=(FID(),),
            lines=_FD,
            network=_DINOV2,
        ),
        Protocol(
            name="cmmd",
            tool="cmmd of google-research (Jayasumana et al. 2024)",
            settings={"mode": default("cmmd")},
            metrics=(CMMD(),),
            lines=(Line("CMMD", "cmmd"),),
            network=Network("CLIP ViT-L/14 at 336 pixels", 768, _EMBEDDING, "clip"),
            n=(30_000, 30_000),
        ),
        Protocol(
            name="clip-fid",
            tool="clean-fid 0.1.35, model clip_vit_b_32 (Kynkäänniemi et al. 2023)",
            settings={"mode": default("clip")},
            metrics=(FID(),),
            lines=(Line("CLIP-FID", "fid"),),
            network=Network("CLIP ViT-B/32", 512, _EMBEDDING, "clip"),
            n=(50_000, None),
        ),
        Protocol(
            name="mlperf-sdxl",
            tool="accuracy_coco.py of MLPerf Inference, text to image (SDXL)",
            settings={"mode": "pytorch", "dims": _DIMS},
            metrics=(FID(),),
            lines=(Line("FID_SCORE", "fid"),),
            n=(5000, None),
            # 23.48046692 of the reference, ± 2 %: mlcommons/inference, tools/submission/submission_checker.py
            bounds={"fid": (23.01085758, 23.95007626)},
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
