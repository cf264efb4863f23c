"""The engine for many machines: actors of a Ray cluster, each of which keeps the network open and fits piece by piece.

A call fits one piece, and nothing accumulates in an actor: if it dies, Ray starts it again and repeats the call. A
piece that had been written before is replaced by the same bytes.
"""

import os
import pickle
import time
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from ..errors import FastFIDWarning, InputError
from ..extraction.recipe import Recipe
from ..extraction.workers import STEP, Workers, result_of, settle
from ..fit import Facts, Fit
from ..messages import Messages
from ..metrics.base import Need
from ..provenance import merged
from ..sources import Piece, Source
from ..threads import set_num_threads
from .base import Engine, How, check_shareable, pickled
from .local import Local
from .piece_files import READERS, proof_of_piece
from .ray_cluster import ActorDiedError, attach, check_options, plan, result_of_call

_AHEAD = 2  # pieces per actor that are given out and not yet yielded; finished ones wait in Ray's object store
_QUEUED = 2  # pieces per actor at a time: one is fitted, the next one waits there
_TRIES = 3  # times that a piece is tried again after its actor has died
_PATIENCE = 30.0  # seconds until a note says that the cluster has no room


class Ray(Engine):
    """Fits pieces in actors of a running Ray cluster.

    Parameters
    ----------
    options : mapping
        "workers" (number of actors), "num_gpus" and "num_cpus" (of each; both may be fractions), "address" (of the
        cluster). By default there is an actor for each GPU, or for each 4 CPUs of a cluster without GPUs.

    Raises
    ------
    InputError
        If an option is unknown or has a bad value.
    """

    keeps = True

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._asked = check_options(options)
        self._ray: Any = None
        self._attached = False
        self._actors: list[Any] = []
        self._opening: dict[Any, Any] = {}  # the actors that are not ready yet, by the result of `facts`
        self._died = 0  # how often an actor has died while it opened the network
        self._joined: Facts | None = None  # of the first actor
        self._opened: tuple[Recipe, Facts] | None = None

    def open(self, recipe: Recipe, messages: Messages, *, download_bar: bool = False) -> Facts:
        """Start the actors, each of which opens the network, and wait for the first; others may come later."""
        if (self._actors or self._opening) and self._opened is not None and self._opened[0] == recipe:
            return self._opened[1]
        self.close()
        self._ray, self._attached = attach(self._asked.get("address"))
        planned = plan(self._asked, self._ray.nodes(), recipe.device)
        kind = self._ray.remote(
            num_cpus=planned.num_cpus,
            num_gpus=planned.num_gpus,
            max_restarts=-1,
            max_task_retries=_TRIES,
            concurrency_groups={"progress": 1},
        )(_Actor)
        for _ in range(planned.workers):
            self._ask(kind.remote(recipe, max(1, int(planned.num_cpus)), _current_folder()))
        facts = self._first(messages)
        self._opened = recipe, facts
        return facts

    def check(self, source: Source) -> None:
        """Raise `InputError` for a source that only one process can read."""
        check_shareable(source)

    def fit(self, needs: Sequence[Need], pieces: Iterable[Piece], how: How) -> Iterator[tuple[Piece, Fit]]:
        """Yield the fit of each piece; the next piece goes to the actor with the least to do."""
        waiting = deque(pieces)
        if not waiting:
            return
        self.check(waiting[0].source)
        if not (self._actors or self._opening) and self._opened is not None:  # an earlier run ended with an error
            self.open(self._opened[0], Messages())
        try:
            yield from _Round(self, waiting, tuple(needs), how).fits()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the actors, whatever they are doing, and leave the cluster if this run has joined it."""
        for actor in [*self._actors, *self._opening.values()]:
            self._ray.kill(actor)
        self._actors, self._opening, self._joined, self._died = [], {}, None, 0
        if self._attached:
            self._ray.shutdown()
            self._attached = False

    def _ask(self, actor: Any) -> None:
        """Have an actor open the network; Ray does not repeat this call, since it would report each one given up."""
        self._opening[actor.facts.options(max_task_retries=0).remote()] = actor

    def _first(self, messages: Messages) -> Facts:
        begun, told = time.monotonic(), False
        while not self._actors:
            self._join(messages)
            if not told and time.monotonic() - begun > _PATIENCE:
                messages.note("the Ray cluster has no room for an actor yet: waiting")
                told = True
        assert self._joined is not None
        return self._joined

    def _join(self, messages: Messages | None = None, seconds: float = STEP) -> None:
        """Take in the actors that have opened the network meanwhile."""
        ready, _ = self._ray.wait(list(self._opening), num_returns=1, timeout=seconds)
        for result in ready:
            actor = self._opening.pop(result)
            try:
                facts, spoken = result_of_call(self._ray, result)
            except ActorDiedError:
                self._died += 1
                if self._died > _TRIES * (1 + len(self._actors) + len(self._opening)):
                    raise
                self._ask(actor)  # Ray starts it again
                continue
            if self._joined is not None and self._joined.provenance and facts.provenance:
                merged(self._joined.provenance, facts.provenance)  # raises if it is another model or mode
            if messages is not None:
                messages.repeat(spoken)
            self._joined = self._joined or facts
            self._actors.append(actor)


class _Round:
    """One pass of the actors over a source."""

    def __init__(self, engine: Ray, pieces: deque[Piece], needs: tuple[Need, ...], how: How) -> None:
        self._engine, self._ray, self._pieces = engine, engine._ray, pieces
        self._needs, self._how = needs, how
        parts = (pieces[0].source, needs, replace(how, progress=None))
        self._run = self._ray.put(_pickled(self._ray, parts))  # once for all calls
        self._given: deque[tuple[Piece, Any]] = deque()  # given out and not yet yielded, in order
        self._busy: dict[Any, tuple[Piece, Any]] = {}  # being fitted: piece and actor by result
        self._fits: dict[int, Future[Fit]] = {}  # being fetched, by the number of the piece
        self._images, self._shown, self._asked = 0, 0, dict[Any, Any]()

    def fits(self) -> Iterator[tuple[Piece, Fit]]:
        readers = Workers(READERS, "fastfid-read")
        try:
            while self._pieces or self._given:
                self._give()
                self._fetch(readers)
                while self._given and self._given[0][0].number in self._fits:
                    piece, _ = self._given.popleft()
                    yield piece, result_of(self._fits.pop(piece.number))
                    self._give()
                    self._fetch(readers)
                if self._given:
                    self._hear()
        finally:
            readers.stop()

    def _fetch(self, readers: Workers) -> None:
        """Fetch the next fits in threads, which takes longer than merging them."""
        for piece, result in islice(self._given, READERS):
            if result not in self._busy and piece.number not in self._fits:
                future: Future[Fit] = Future()
                self._fits[piece.number] = future
                readers.do(partial(settle, future, partial(self._fit, piece, result)))

    def _give(self) -> None:
        """Give pieces to actors, as long as not too many wait for an earlier one."""
        actors = self._engine._actors
        load = {id(actor): 0 for actor in actors}
        for _, actor in self._busy.values():
            load[id(actor)] += 1
        while self._pieces and len(self._given) < _AHEAD * len(actors):
            actor = min(actors, key=lambda actor: load[id(actor)])
            if load[id(actor)] == _QUEUED:
                return
            piece = self._pieces.popleft()
            result = actor.fit.remote([self._run], piece.number, piece.indices, piece.of, piece.label)
            self._given.append((piece, result))
            self._busy[result] = (piece, actor)
            load[id(actor)] += 1

    def _hear(self) -> None:
        """Wait until a piece is fitted, or a moment."""
        ready, _ = self._ray.wait(list(self._busy), num_returns=1, timeout=STEP, fetch_local=False)
        for result in ready:
            piece, _ = self._busy.pop(result)
            self._images += len(piece.indices)
        if self._engine._opening:
            self._engine._join(seconds=0)
        self._show()

    def _show(self) -> None:
        """Report the images of the pieces that are fitted, and those that the actors say they have done."""
        if self._how.progress is None:
            return
        actors = {id(actor): actor for _, actor in self._busy.values()}
        done = 0
        for key, actor in actors.items():
            asked = self._asked.setdefault(key, [_done(actor), (0, 0)])
            if self._ray.wait([asked[0]], timeout=0)[0]:
                try:
                    asked[1] = self._ray.get(asked[0])
                except self._ray.exceptions.RayError:
                    asked[1] = (-1, 0)  # it has died, and begins again
                asked[0] = _done(actor)
            number, images = asked[1]
            done += images if any(piece.number == number for piece, _ in self._busy.values()) else 0
        self._shown = max(self._shown, self._images + done)  # an actor that died begins its piece again
        self._how.progress(self._shown)

    def _fit(self, piece: Piece, result: Any) -> Fit:
        content = result_of_call(self._ray, result)
        if self._how.keep is not None:
            try:
                return self._how.keep.read_number(piece.number)
            except FileNotFoundError as error:
                raise InputError(
                    f"piece {piece.number} is not in {self._how.keep.store}, although an actor has written it: resume "
                    "must be a folder, or an address, that all machines of the cluster share"
                ) from error
        states, n, seen, provenance, roles = content
        fit = Fit({}, n, seen, provenance)
        for need, state in zip(self._needs, map(pickle.loads, states), strict=True):
            fit.states[need] = need.accumulator(roles[need.role])
            fit.states[need].__setstate__(state)
        return fit


def _done(actor: Any) -> Any:
    return actor.done.options(max_task_retries=0).remote()


def _current_folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it has been removed
        return ""


def _pickled(ray: Any, parts: tuple[Source, tuple[Need, ...], How]) -> bytes:
    """Pickle what the actors need, classes of the running script included; raise `InputError` if that is impossible.

    All of it in one pickle, so that a class remains one class.
    """
    dumps = ray.cloudpickle.dumps
    try:
        return bytes(dumps(parts))
    except Exception:  # a caller's class may raise anything
        source, needs, how = parts
        for name, part in ((source.name, source), *((str(need), need) for need in needs), ("how", how)):
            pickled(name, part, dumps)  # raises for the one that is at fault
        raise


class _Actor:
    """What runs in the cluster. It opens the network when it is used first, so also after a restart."""

    def __init__(self, recipe: Recipe, threads: int, folder: str) -> None:
        with suppress(OSError):  # relative paths mean the same as for the driver, if the folder is there too
            os.chdir(folder)
        warnings.simplefilter("ignore", FastFIDWarning)  # the messages are sent to the driver, which issues them
        set_num_threads(threads)
        self._recipe, self._messages = recipe, Messages()
        self._engine: Local | None = None
        self._facts: Facts | None = None
        self._run: Any = None
        self._parts: Any = None
        self._done = (-1, 0)

    def facts(self) -> tuple[Facts, Messages]:
        if self._facts is None:
            self._engine = Local()
            self._facts = self._engine.open(self._recipe, self._messages)
        return self._facts, self._messages

    def fit(self, run: list[Any], number: int, indices: Any, of: int | None, label: str) -> Any:
        """Fit a piece; return the states, or nothing if they are written to a file."""
        import ray

        facts, _ = self.facts()
        if self._run != run[0]:
            self._run, self._parts = run[0], pickle.loads(ray.get(run[0]))
        source, needs, how = self._parts
        piece = Piece(source, number, indices, of, label)
        proof = "" if how.keep is None else proof_of_piece(piece)  # before the images are read
        how = replace(how, progress=lambda done: self._say(number, done))
        assert self._engine is not None
        ((_, fit),) = self._engine.fit(needs, [piece], how)
        fit.provenance = facts.provenance
        if how.keep is not None:
            how.keep.write(piece, fit, proof)
            return None
        states = [pickled(str(need), fit[need].__getstate__(), ray.cloudpickle.dumps) for need in needs]
        return states, fit.n, fit.seen, fit.provenance, facts.roles

    def _say(self, number: int, done: int) -> None:
        self._done = number, done

    def done(self) -> tuple[int, int]:
        """Return the number of the piece, and how many of its images are done."""
        return self._done
