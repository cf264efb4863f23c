"""The engine for several devices: one process per device, which fits pieces as a machine of a cluster would.

Decoding holds Python's lock part of the time, so each device has a process of its own. A process asks for its next
piece when it has read the last images of the current one, before their features are computed, so it never waits between
two pieces.
"""

import itertools
import pickle
import signal
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any

from ..errors import DeviceError, FastFIDWarning
from ..extraction.recipe import Recipe
from ..extraction.workers import STEP
from ..fit import Facts, Fit
from ..messages import Messages
from ..metrics.base import Need
from ..provenance import merged
from ..sources import Piece, Source
from ..threads import num_threads, set_num_threads
from .base import Engine, How, check_shareable, pickled
from .local import Local

_AHEAD = 2  # finished pieces per process that may wait for an earlier one; each takes memory
_PATIENCE = 5.0  # seconds to wait for a process to end


class Processes(Engine):
    """Fits pieces in one process per device.

    Parameters
    ----------
    devices : sequence of str
        "cpu" or "cuda:N", one entry per process; a device can be listed several times.
    """

    def __init__(self, devices: Sequence[str]) -> None:
        self._devices = tuple(devices)
        self._workers: list[_Worker] = []
        self._opened: tuple[Recipe, Facts] | None = None

    def open(self, recipe: Recipe, messages: Messages, *, download_bar: bool = False) -> Facts:
        """Start the processes, each of which opens the network; the first alone, since it may have to download it."""
        if self._workers and self._opened is not None and self._opened[0] == recipe:
            return self._opened[1]
        self.close()
        threads = max(1, num_threads() // len(self._devices))
        facts: Facts | None = None
        for device in self._devices:
            bar = download_bar and facts is None
            self._workers.append(_Worker(replace(recipe, device=device), threads, download_bar=bar))
            if facts is None:
                facts, spoken = self._workers[0].receive()
                messages.repeat(spoken)
        assert facts is not None
        for worker in self._workers[1:]:
            other, _ = worker.receive()
            if facts.provenance and other.provenance:
                facts = replace(facts, provenance=merged(facts.provenance, other.provenance)[0])
        self._opened = recipe, facts
        return facts

    def check(self, source: Source) -> None:
        """Raise `InputError` for a source that only one process can read."""
        check_shareable(source)

    def fit(self, needs: Sequence[Need], pieces: Iterable[Piece], how: How) -> Iterator[tuple[Piece, Fit]]:
        """Yield the fit of each piece; the next piece goes to the first process that is free."""
        pieces = iter(pieces)
        first = next(pieces, None)
        if first is None:
            return
        self.check(first.source)
        if not self._workers and self._opened is not None:  # an earlier run ended with an error
            self.open(self._opened[0], Messages())
        parts = [pickled(first.source.name, first.source), *(pickled(str(need), need) for need in needs)]
        try:
            for worker in self._workers:
                worker.send((parts, replace(how, progress=None)))
            yield from _Round(self._workers, itertools.chain([first], pieces), tuple(needs), how).fits()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the processes, whatever they are doing."""
        for worker in self._workers:
            worker.end()
        self._workers = []


class _Round:
    """One pass of the processes over a source."""

    def __init__(
        self, workers: Sequence["_Worker"], pieces: Iterator[Piece], needs: tuple[Need, ...], how: How
    ) -> None:
        self._pieces, self._needs, self._progress = pieces, needs, how.progress
        self._busy = {worker.connection: worker for worker in workers}
        self._most = _AHEAD * len(workers)
        self._asking: list[_Worker] = []
        self._given: deque[tuple[Piece, _Worker]] = deque()  # given out and not yet yielded, in order
        self._fits: dict[int, Fit] = {}
        self._images: dict[_Worker, int] = {}

    def fits(self) -> Iterator[tuple[Piece, Fit]]:
        while self._busy:
            ready = wait(list(self._busy), timeout=STEP)  # in steps, as `result_of` does
            for worker in [worker for connection, worker in self._busy.items() if connection in ready]:
                self._hear(worker)
            while self._given and self._given[0][0].number in self._fits:
                piece, _ = self._given.popleft()
                yield piece, self._fits.pop(piece.number)
            self._asking = [worker for worker in self._asking if not self._give(worker)]

    def _hear(self, worker: "_Worker") -> None:
        kind, *content = worker.receive()
        if kind == "next":
            self._asking.append(worker)
        elif kind == "fit":
            number, states, n, seen = content
            self._fits[number] = Fit(dict(zip(self._needs, map(pickle.loads, states), strict=True)), n, seen)
        elif kind == "done":
            del self._busy[worker.connection]
        else:
            self._images[worker] = content[0]
            if self._progress is not None:
                self._progress(sum(self._images.values()))

    def _give(self, worker: "_Worker") -> bool:
        """Give a process its next piece; return False if too many finished pieces wait for an earlier one."""
        # The process that works on that earlier piece always gets another: it delivers a piece when it has the next.
        if len(self._given) >= self._most and self._given[0][1] is not worker:
            return False
        piece = next(self._pieces, None)
        if piece is not None:
            self._given.append((piece, worker))
        worker.send(None if piece is None else (piece.number, piece.indices, piece.of))
        return True


class _Worker:
    """A process and the connection to it."""

    def __init__(self, recipe: Recipe, threads: int, *, download_bar: bool) -> None:
        context = get_context("spawn")  # ONNX Runtime does not survive a fork
        self._device = recipe.device
        self.connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, recipe, threads, download_bar), name=f"fastfid-{self._device}", daemon=True
        )
        try:
            self._process.start()
        except AssertionError as error:  # in a daemonic process, as those of multiprocessing.Pool are
            raise DeviceError(f"no process can be started here: {error}") from error
        theirs.close()

    def send(self, content: object) -> None:
        try:
            self.connection.send(content)
        except OSError:
            raise self._gone() from None

    def receive(self) -> Any:
        """Return the next message of the process; raise the exception that it raised, or `DeviceError` if it ended."""
        try:
            while not self.connection.poll(STEP):
                pass
            content = self.connection.recv()
        except (EOFError, OSError):
            raise self._gone() from None
        if isinstance(content, BaseException):
            raise content
        return content

    def _gone(self) -> DeviceError:
        self._process.join(_PATIENCE)
        code = self._process.exitcode
        why = {
            -9: "; it was killed, as happens when memory runs out",
            1: "; a script that uses several processes must call fastfid below if __name__ == '__main__':",
        }.get(code or 0, "")
        return DeviceError(f"the process for {self._device} ended with exit code {code}{why}")

    def end(self) -> None:
        self.connection.close()
        self._process.terminate()
        self._process.join(_PATIENCE)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        self._process.close()


def _serve(connection: "Connection[Any, Any]", recipe: Recipe, threads: int, download_bar: bool) -> None:
    """Run in a process: open the network, then fit the pieces of one source after the other."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent ends the others
    warnings.simplefilter("ignore", FastFIDWarning)  # the messages are sent to the parent, which issues them
    try:
        set_num_threads(threads)
        engine, messages = Local(), Messages()
        facts = engine.open(recipe, messages, download_bar=download_bar)
        connection.send((facts, messages))
        while True:
            parts, how = connection.recv()
            source, *needs = map(pickle.loads, parts)
            how = replace(how, progress=lambda done: connection.send(("done so far", done)))
            for piece, fit in engine.fit(needs, _asked_for(connection, source), how):
                states = [pickled(str(need), state) for need, state in fit.states.items()]
                connection.send(("fit", piece.number, states, fit.n, fit.seen))
            connection.send(("done",))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent has closed the connection
    except BaseException as error:
        connection.send(_picklable(error))


def _asked_for(connection: "Connection[Any, Any]", source: Source) -> Iterator[Piece]:
    while True:
        connection.send(("next",))
        given = connection.recv()
        if given is None:
            return
        number, indices, of = given
        yield Piece(source, number, indices, of)


def _picklable(error: BaseException) -> BaseException:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return DeviceError(f"in another process: {type(error).__name__}: {error}")
    return error
