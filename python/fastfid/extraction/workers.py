"""Threads that can be abandoned if they hang, for example when slow storage blocks the reading of a file."""

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, wait
from functools import partial
from itertools import islice
from typing import TypeVar

from ..errors import DeviceError

STEP = 0.5  # seconds of one wait

A = TypeVar("A")
T = TypeVar("T")
_Task = Callable[[], None]


class Workers:
    """Threads that run tasks in the order in which they are added.

    Python does not wait for them when it exits, unlike for those of a ThreadPoolExecutor.

    Parameters
    ----------
    count : int
    name : str
        Name of the threads, to which a number is added.

    Raises
    ------
    DeviceError
        If the system cannot start more threads, or Python is exiting.
    """

    def __init__(self, count: int, name: str) -> None:
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        try:
            for i in range(count):
                thread = threading.Thread(target=_work, args=(self._tasks,), name=f"{name}_{i}", daemon=True)
                thread.start()
                self._threads.append(thread)
        except RuntimeError as error:
            self.stop()
            raise DeviceError(f"no thread can be started to work on the images: {error}") from error
        except BaseException:
            self.stop()
            raise

    def do(self, task: _Task) -> None:
        """Add a task, which must not raise."""
        self._tasks.put(task)

    def stop(self) -> None:
        """Drop the waiting tasks; each thread ends after its current task."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._tasks.get_nowait()
        for _ in self._threads:
            self._tasks.put(None)

    def join(self, seconds: float | None = None) -> None:
        """Wait until the threads have ended, for at most `seconds`."""
        end = None if seconds is None else time.monotonic() + seconds
        for thread in self._threads:
            thread.join(None if end is None else max(0.0, end - time.monotonic()))


def _work(tasks: "queue.SimpleQueue[_Task | None]") -> None:
    while (task := tasks.get()) is not None:
        task()
        del task  # releases the buffers that it refers to while the thread waits


def in_a_thread(function: Callable[[], T], *, stop: Callable[[], None]) -> T:
    """Call a function that ignores Ctrl-C in a thread; on Ctrl-C, call `stop`, which must make the function return."""
    future: Future[T] = Future()
    workers = Workers(1, "fastfid-run")
    try:
        workers.do(lambda: settle(future, function))
        return result_of(future)
    finally:
        stop()
        workers.stop()
        workers.join()


def result_of(future: "Future[T]") -> T:
    """Return the result of a future, and listen to Ctrl-C meanwhile.

    A signal that comes after Python's last look for one, and before the wait begins, does not interrupt that wait.
    """
    while not future.done():
        wait([future], timeout=STEP)
    return future.result()


def ahead(function: Callable[[A], T], values: Iterable[A], count: int) -> Generator[T, None, None]:
    """Yield what a function returns for each value, in order; the next `count` calls are made in threads meanwhile.

    Close the iterator if you stop early.
    """
    coming, results, workers = iter(values), deque[Future[T]](), Workers(count, "fastfid-ahead")
    try:
        while True:
            for value in islice(coming, count - len(results)):
                results.append(Future())
                workers.do(partial(settle, results[-1], partial(function, value)))
            if not results:
                return
            yield result_of(results.popleft())
    finally:
        workers.stop()


def settle(future: "Future[T]", function: Callable[[], T]) -> None:
    """Call a function and put its result or exception into a future, unless the future was cancelled."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = function()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
