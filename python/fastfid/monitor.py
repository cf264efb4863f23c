"""`Monitor`: scores the images of a training loop or a service as they come, against real ones that are read once."""

import copy
import io
import os
import threading
import weakref
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

from .arguments import default
from .checks import type_of
from .compare import compare
from .comparison import Comparison
from .engines.choose import check_brought, opened_engine, tell_of_model
from .engines.packed import DamagedError, opened, packed, unpacked
from .engines.run_facts import text_of
from .errors import InputError
from .extractor import Extractor
from .fit import Facts, Fit, Side, fold
from .images.preprocess import Preprocessing
from .messages import Messages
from .metrics.base import Metric
from .metrics.moments import Statistics
from .metrics.registry import asked_for, needs_of
from .options import Model, Options
from .progress import ProgressOption
from .provenance import Provenance, merged
from .sides import check_sides, open_side, read
from .sources import open_source, pieces
from .sources.terms import Terms

_FORMAT = 1
_NAME = "the monitor's images"


class Monitor:
    """Scores of images that come batch by batch, as in a training loop, against a real set that is read once.

    `update` adds generated images, `compute` returns the scores of all images so far, and `reset` begins anew. Memory
    does not grow with the number of images, except for metrics that keep the features: 8 KiB per image at 2048 dims.

    With several processes, each updates a monitor of its own. `state` returns its content as bytes, which any way of
    gathering can carry, and ``compute(states)`` returns the scores of all of them together.

    Several threads may use one monitor. It can be pickled and copied, with the images so far; unpickling opens the
    network again. After a fork, `update` raises `DeviceError`, while `state` and `compute` work: make another monitor
    in the child.

    Parameters
    ----------
    real : path, array, Statistics, Fit or iterable, optional
        The real images, or their statistics: anything that `compare` takes. It can be left out if all metrics take one
        side, as ``metrics=["is"]`` does. To read real images with other options, give what `fit` returns.
    model, mode, dims, batch_size, device, precision, value_range, quantise, force, progress, cache
        As in `score`. With one process per GPU, give each its own device, such as "cuda:3".
    certainty, metrics
        As in `compare`.

    Raises
    ------
    InputError
        If the real images cannot be read. If their statistics are of another model, mode or dims, it is a
        `StatisticsMismatch`.
    ModelError, DeviceError
        If the model or the device cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> import fastfid
    >>> rng = np.random.RandomState(0)
    >>> real = rng.randint(0, 256, (80, 3, 32, 32))
    >>> monitor = fastfid.Monitor(real, model="inception-v3-random", dims=64, value_range=(-1, 1), quantise="round")
    >>> for _ in range(5):
    ...     monitor.update(rng.uniform(-1, 1, (16, 3, 32, 32)))
    >>> monitor.n, 0 < monitor.compute().fid < 1
    (80, True)
    >>> monitor.reset()
    """

    def __init__(
        self,
        real: Any = None,
        *,
        model: Model = "inception-v3",
        mode: str | Preprocessing = default("pytorch"),
        dims: int = default(2048),
        batch_size: int | None = None,
        device: str = default("auto"),
        precision: str = default("fp32"),
        value_range: tuple[float, float] | None = None,
        quantise: str | None = None,
        force: bool = False,
        progress: ProgressOption = None,
        certainty: bool = False,
        metrics: Sequence[str | Metric] = ("fid",),
        cache: bool = False,
    ) -> None:
        options, messages = Options.of(locals()), Messages()
        self._metrics = asked_for(options.metrics, options)
        self._needs = needs_of(self._metrics, 0)
        self._floats: dict[str, Any] = {"value_range": options.value_range, "quantise": options.quantise}
        Terms.of(**self._floats)  # refuses one without the other
        self._extractor = _extractor(options, self._metrics, messages)
        self._real = self._read(real, options, messages)
        for metric in self._metrics:
            metric.check(*(None, self._real.n if self._real else None)[: metric.sides])
        self._force, self._notes = options.force, tuple(dict.fromkeys(messages.notes))
        self._lock = threading.Lock()
        self.reset()
        _all.add(self)

    def _read(self, real: Any, options: Options, messages: Messages) -> Fit | None:
        """Return what the metrics need of the real side; it is checked before its images are read."""
        network = self._extractor
        facts = Facts(network.opened.roles, network.provenance, network.comparable)
        tell_of_model(facts, messages)
        if not (needs := needs_of(self._metrics, 1)):
            if real is not None:
                messages.note(f"the real side is not read: {', '.join(self._names())} takes one side")
            return None
        if real is None:
            raise InputError(f"{self._names()[0]} compares two sides: give the real one")
        side = open_side(real, "the real side", needs, options, messages)
        ours = Side(_NAME, None, needs=self._needs, provenance=facts.provenance)
        check_sides([ours, side], facts, options.force, messages)
        with opened_engine([side], replace(options, model=network), messages) as (engine, facts):
            fit = read(side, engine, facts, options, messages).fit
        assert fit is not None
        own = copy.copy(fit) if isinstance(real, Fit | Statistics) else fit  # the caller may add to theirs
        return replace(own, name=side.name)

    @property
    def n(self) -> int:
        """Number of images so far, in this process."""
        return self._fit.n or 0

    def __repr__(self) -> str:
        real = f", real={self._real.name!r}" if self._real else ""
        return f"Monitor(n={self.n}{real}, metrics={self._names()})"

    def _names(self) -> list[str]:
        return [metric.name for metric in self._metrics]

    def update(self, images: Any) -> None:
        """Add generated images.

        The features of one call are kept until all its images are done; a call that raises adds none of them. The one
        exception is an accumulator that cannot take them, because a metric of your own raises or no disk has room for
        the rows: `compute`, `state` and `update` then raise until `reset`, rather than return a wrong score.

        Parameters
        ----------
        images : array, tensor or iterable
            A batch as a model gives it: a tensor of torch, JAX or any library with DLPack, or an array, of shape
            (N, 3, H, W) or (N, H, W, 3), of integers in 0…255, or of floats with the options `value_range` and
            `quantise`; a list of PIL images; or anything else that `score` takes as images.

        Raises
        ------
        InputError
            If this is no batch of images; said before the network runs. If the values of an image are at fault, such as
            a NaN, it is an `ImageError`. Also after an earlier call has added a part of its images.
        DeviceError
            If memory does not suffice for a single image, or the process was forked after the monitor was made.
        """
        with closing(self._extractor.opened.results_of(pieces(open_source(images, **self._floats)))) as results:
            done = [result for _, result in results]
        with self._lock:
            fit = self._whole()
            self._torn = True
            for result in done:
                fit.update(result.features, result.seen, result.chunk)
            self._torn = False

    def _whole(self) -> Fit:
        """Return the fit of the images so far, or raise `InputError` if only a part of a batch is in it."""
        if self._torn:
            raise InputError(f"{_NAME} have a part of a batch, since adding it was interrupted by an error: call reset")
        return self._fit

    def compute(self, states: Iterable[bytes] | None = None) -> Comparison:
        """Return the scores of the images so far, which stay; `reset` removes them.

        Parameters
        ----------
        states : iterable of bytes, optional
            What `state` returned in each process, in the order of the processes. Their images are then scored, and not
            those of this monitor, whose own state is one of them. The same states in the same order give the same bits.

        Raises
        ------
        InputError
            If there are fewer than two images, a state is damaged or of other metrics, or an earlier `update` added a
            part of its images only.
        StatisticsMismatch
            If a state is of another model, mode or dims.
        """
        fits = None if states is None else [self._unpacked(f"state {i}", state) for i, state in enumerate(states)]
        with self._lock:
            fit = self._whole() if fits is None else fold(((None, fit) for fit in fits), self._empty())
            if (fit.n or 0) < 2:
                raise InputError(f"the monitor has {fit.n} images, and a score needs at least 2: call update first")
            result = compare(fit, self._real, metrics=self._metrics, force=self._force)
        return replace(result, notes=(*self._notes, *result.notes))

    def reset(self) -> None:
        """Remove the images so far; the real side stays."""
        with self._lock:
            self._fit, self._torn = self._empty(), False

    def state(self) -> bytes:
        """Return the images so far as bytes, for ``compute(states)`` in another process of the same settings.

        At 2048 dims they are about 20 MB for the FID, and 8 KiB per image for metrics that keep the features. Reading
        them unpickles nothing, so they may travel in any way; a process can also save its state and go on later. Their
        checksums show accidental damage. They are not signed: who can write a state can write any score.
        """
        facts = {"format": _FORMAT, "needs": list(map(text_of, self._needs))}
        with self._lock:
            return packed(self._whole(), self._needs, facts)

    def _unpacked(self, name: str, state: Any) -> Fit:
        if not isinstance(state, bytes | bytearray | memoryview):
            raise InputError(f"{name} is {type_of(state)}, not the bytes that Monitor.state returns")
        fit, ours = None, {"format": _FORMAT, "needs": list(map(text_of, self._needs))}
        try:
            with opened(partial(io.BytesIO, state), name) as (facts, npz):
                found = {key: facts[key] for key in ours}
                made = Provenance.from_json(facts["provenance"], name)
                if found == ours and made.dims == self._extractor.dims:
                    fit = unpacked(facts, npz, self._needs, self._extractor.opened.roles, name)
        except DamagedError as error:
            raise InputError(str(error)) from error
        merged(self._extractor.provenance, made)  # raises if they differ
        if fit is None:
            raise InputError(f"{name} is of a monitor of other metrics: it has {found}, and this one {ours}")
        return replace(fit, name=_NAME)

    def _empty(self) -> Fit:
        fit = Fit.empty(self._needs, self._extractor.opened.roles)
        return replace(fit, provenance=self._extractor.provenance, name=_NAME)

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:  # images that are added later are not those of the copy
            state = {**vars(self), "_fit": copy.copy(self._fit)}
        del state["_lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lock = threading.Lock()
        _all.add(self)


def _extractor(options: Options, metrics: Sequence[Metric], messages: Messages) -> Extractor:
    """Return the network that was given, or open one with every role that the metrics need."""
    if isinstance(options.model, Extractor):
        check_brought(options.model, options, several=False)
        return options.model
    return Extractor(
        options.model,
        mode=options.mode,
        dims=options.dims,
        device=options.device,
        precision=options.precision,
        batch_size=options.batch_size,
        roles=tuple(dict.fromkeys(need.role for place in (0, 1) for need in needs_of(metrics, place))),
        messages=messages,
    )


_all: "weakref.WeakSet[Monitor]" = weakref.WeakSet()


def _after_fork() -> None:
    """Replace the locks in a child, since their holders may not exist there."""
    for monitor in list(_all):
        monitor._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
