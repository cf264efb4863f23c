"""What a protocol fixes, and the checks that a run really has it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..arguments import spelled
from ..errors import FastFIDError, InputError, ModelError, StatisticsMismatch
from ..fit import Facts, Side
from ..images.modes import resolve
from ..messages import Messages
from ..metrics.base import Metric, Score
from ..networks.roles import FEATURES
from ..provenance import DIMS
from ..sources.pieces import read_checked

if TYPE_CHECKING:
    from ..options import Options


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
class Reference:
    """The real side of a protocol of one data set.

    Attributes
    ----------
    file : str
        Name of the file in the cache.
    url : str
        Where its authors say to get it; "" if everyone makes it from the images.
    entry : str
        Which of several sets of statistics in the file.
    sha256 : str
        Its SHA-256; "" if no source states it.
    git : str
        Its identity as a file in git, a SHA-1; "" if it lies in no repository.
    """

    file: str
    url: str = ""
    entry: str = ""
    sha256: str = ""
    git: str = ""


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
    sources : tuple of str
        What states all this: repository, commit, file, and what it says.
    base : str
        The protocol that this one applies to one data set; "" if there is none.
    data : str
        The data set and its split; "" for any.
    size : int or None
        Height and width of the images in pixels.
    crop : str
        How they were brought to that size, a name in `images.crops.CROPS`; "" if no source says it.
    quantise : str
        How the tool turns floats into 8 bits, as for the option ``quantise``; "" if it takes files only.
    reference : Reference or None
        The real side; None if it is the caller's.
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
    sources: tuple[str, ...] = ()
    base: str = ""
    data: str = ""
    size: int | None = None
    crop: str = ""
    quantise: str = ""
    reference: Reference | None = None
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def fixed(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of all options that the protocol fixes, beside those that are asked for."""
        floats = self.quantise and asked.get("value_range") is not None
        return {**self.settings, "metrics": self.metrics, **({"quantise": self.quantise} if floats else {})}

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
        if made is not None and made.mode != mode and any(side.source for side in sides):
            raise ModelError(f"protocol {self.name} fixes mode {mode}; {model} states {made.mode}: {self._way_out()}")
        dims = self.network.dims if self.network else DIMS
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
            messages.warn_once(("protocol", side.name), f"forced: compared because of force although {text}")

    def choosing(self, generated: Side, options: "Options", messages: Messages) -> Side:
        """Choose as many generated images as the protocol takes, if its tool chooses from more."""
        size, n = getattr(generated.source, "size", None), self.n[0]
        if not (self.reference and self.seed is not None and size and n and size > n):
            return generated
        if options.limit is not None or options.per_class or generated.fit is not None:
            return generated
        messages.note(f"{generated.name}: {n} of {size} images, {_chosen(n, self.seed)}")
        return replace(generated, n=n, chosen=(size, self.seed), selection=(n, self.seed))

    def tell_of_n(self, sides: Sequence[Side], messages: Messages) -> None:
        """Warn about a number of images other than the protocol's; update warnings that were issued before."""
        for place, (side, wanted) in enumerate(zip(sides, self.n, strict=False)):
            if wanted is None or side.n in (wanted, None):
                continue
            kind = ("generated", "real")[place]
            text = f"protocol-n: {side.name}: {side.n} images; protocol {self.name} takes {wanted:,} {kind} images"
            if (side.n or 0) > wanted and self.seed is not None:
                text += f", {_chosen(wanted, self.seed)}"
            messages.warn_once(("protocol-n", place), f"{text}; state the number beside the result")

    def check_sizes(self, sides: Sequence[Side], messages: Messages, *, force: bool) -> None:
        """Check the size of the images that were looked at, or of all once they have been read.

        Raises
        ------
        InputError
            If an image has another size, and `force` is False.
        """
        for side in sides if self.size else ():
            others = [size for size in _sizes(side) if size != (self.size, self.size)]
            if not others:
                continue
            height, width = others[0]
            text = (
                f"{side.name} has images of {width}x{height} pixels; protocol {self.name} takes {self.size}x{self.size}"
            )
            if not force:
                way_out = f"`fastfid prepare` with --protocol {self.name} makes them; " if self.crop else ""
                raise InputError(f"{text}: {way_out}{spelled('force', True)} compares them as they are")
            messages.warn_once(("protocol-size", side.name), f"protocol-size: {text}; state it beside the result")

    def _way_out(self) -> str:
        if self.network is None:
            return f"use the Inception network with {spelled('dims', DIMS)}"
        return (
            f"it needs {self.network.name}, {self.network.dims} dims ({self.network.output}), as an ONNX file given as "
            f"{spelled('model')}; python models/export_torch.py {self.network.export} --protocol "
            f"{self.base or self.name} NAME.onnx writes one (docs/protocols.md)"
        )


def _chosen(n: int, seed: int) -> str:
    return f"chosen as by {spelled('limit', n)} and {spelled('seed', seed)}"


def _sizes(side: Side) -> list[tuple[int, int]]:
    """Return the sizes of the images of a side, as far as they are known; that of the first one, if it can be read."""
    if side.seen is not None:
        return [size for size, _ in side.seen.sizes.most_common()]
    if side.source is None or side.source.ordered:
        return []
    try:
        first = next(read_checked(side.source, [0])).decode().pixels
    except FastFIDError:  # the run itself reports it, or leaves the image out
        return []
    return [(first.shape[0], first.shape[1])]
