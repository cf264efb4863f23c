"""The threads of one stream, which decode images into lanes while the network runs on full lanes."""

import atexit
import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DeviceError, ImageError, ModelError
from ..images.observed import Seen
from ..sources import Item
from .lanes import Lane
from .session import Course, Rows, Session
from .workers import Workers, result_of, settle

Fill = Callable[[Item, NDArray[np.float32]], Seen]

_DECODE, _RUN = "fastfid-decode", "fastfid-run"  # names of the threads
_PATIENCE = 1.0  # seconds to wait for threads that decode; then they are abandoned
_LAST_PATIENCE = {_DECODE: 1.0, _RUN: 5.0}  # seconds to wait for threads when Python exits


class Result(NamedTuple):
    """The result of one batch.

    Attributes
    ----------
    features : dict of str to ndarray of float32
        Rows (k, d) of each role, for the images that could be decoded.
    seen : list of Seen
        What was observed about each image.
    chunk : int
        Images per run so far, halved after each out-of-memory error.
    """

    features: Rows
    seen: list[Seen]
    chunk: int


class Batch:
    """The images of one batch, and the lane into which they are decoded.

    Attributes
    ----------
    result : Future
        Rows of the images that could be decoded, and what was observed about each image.
    """

    def __init__(self, items: Sequence[Item], lane: Lane) -> None:
        self.items, self.lane = items, lane
        self.result: Future[tuple[Rows, list[Seen]]] = Future()
        self._outcomes: list[Seen | BaseException | None] = [None] * len(items)
        self._left, self._lock = len(items), threading.Lock()

    def decode(self, i: int, fill: Fill, skip: bool) -> bool:
        """Decode one image into the lane; return True if it was the last one of the batch to finish."""
        try:
            seen = fill(self.items[i], self.lane.images[i])
            self._outcomes[i] = seen if seen.rejected is None or skip else ImageError(seen.rejected)
        except ImageError as error:
            self._outcomes[i] = Seen(rejected=str(error)) if skip else error
        except BaseException as error:
            self._outcomes[i] = error
        with self._lock:
            self._left -= 1
            return self._left == 0

    def seen(self) -> list[Seen]:
        """Return what was observed about each image, once all are decoded; raise the first exception, if any."""
        for outcome in self._outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return [outcome for outcome in self._outcomes if isinstance(outcome, Seen)]


class Pipeline:
    """Threads and buffers of one stream.

    Parameters
    ----------
    session : Session
    fill : callable
        Decodes an item into its place in a lane.
    rows : int
        Images per batch.
    workers : int
        Threads that decode.
    skip : bool
        Whether to leave out images that cannot be decoded.
    """

    def __init__(self, session: Session, fill: Fill, *, rows: int, workers: int, skip: bool) -> None:
        session.check_process()
        if _ending:
            raise _too_late()
        self.rows, self.depth = rows, session.runs_at_once + 1  # one more batch, which is being filled
        self.course = Course(session)
        self._session, self._fill, self._skip = session, fill, skip
        self._flying: deque[Batch] = deque()
        self._process = os.getpid()
        self._decoders = Workers(min(workers, rows * self.depth), _DECODE)
        try:
            self._runners = Workers(session.runs_at_once, _RUN)
        except BaseException:
            self._decoders.stop()
            raise
        _live.add(self)

    @property
    def flying(self) -> int:
        """Number of batches that are being processed."""
        return len(self._flying)

    def put(self, items: Sequence[Item]) -> None:
        """Start processing a batch."""
        batch = Batch(items, self._session.borrow(self.rows))
        self._flying.append(batch)
        for i in range(len(items)):
            self._decoders.do(partial(self._decode, batch, i))

    def get(self) -> Result:
        """Wait for the oldest batch and return its result."""
        try:
            features, seen = result_of(self._flying[0].result)
        except (ModelError, CancelledError) as error:
            raise _too_late() if _ending else error from None
        self._flying.popleft()
        return Result(features, seen, self.course.chunk)

    def stop(self) -> None:
        """Drop waiting batches and stop running ones; abandon threads that hang in a slow read, with their buffers."""
        if not self.end():
            return
        try:
            self._runners.join()
            self._decoders.join(_PATIENCE)
        finally:
            _live.discard(self)
            for batch in self._flying:
                self._session.give_up(batch.lane)

    def end(self) -> bool:
        """Make the threads end; return False if there are none, as in a fork of the process."""
        if os.getpid() != self._process:
            return False
        self.course.stop()
        self._decoders.stop()
        self._runners.stop()
        for batch in list(self._flying):
            batch.result.cancel()
        return True

    def _decode(self, batch: Batch, i: int) -> None:
        if batch.decode(i, self._fill, self._skip):
            self._runners.do(partial(settle, batch.result, partial(self._run, batch)))

    def _run(self, batch: Batch) -> tuple[Rows, list[Seen]]:
        seen = batch.seen()
        kept = [i for i, image in enumerate(seen) if image.rejected is None]
        if kept:
            features = {role: rows[kept] for role, rows in self._session.run(batch.lane, self.course).items()}
            self._session.check_finite(features, [batch.items[i].name for i in kept])
        else:
            features = {role: np.empty((0, dims), np.float32) for role, dims in self._session.roles.items()}
        self._session.give_back(batch.lane)  # at once, so that a slow reader of the features does not hold the lane
        return features, seen


_live: set[Pipeline] = set()
_ending = False


@contextlib.contextmanager
def pipeline(session: Session, fill: Fill, *, rows: int, workers: int, skip: bool) -> Iterator[Pipeline]:
    """Open a pipeline, and stop it at the end of the block, also after an exception."""
    opened = Pipeline(session, fill, rows=rows, workers=workers, skip=skip)
    try:
        yield opened
    finally:
        opened.stop()


@atexit.register
def _end_all() -> None:
    """End pipelines of daemon threads and of streams that were never closed, because Python exits now."""
    global _ending
    _ending = True
    for opened in list(_live):
        opened.end()
    for name, seconds in _LAST_PATIENCE.items():
        end = time.monotonic() + seconds
        for thread in threading.enumerate():
            if thread.name.startswith(name):
                thread.join(max(0.0, end - time.monotonic()))


def _too_late() -> DeviceError:
    return DeviceError("Python is exiting, so no more images can be scored: join the thread that scores before that")
