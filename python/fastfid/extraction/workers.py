"""Threads that can be left alone where they hang: reading a file takes as long as the storage likes."""

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

from ..errors import DeviceError

STEP = 0.5  # seconds of one wait

T = TypeVar("T")
_Task = Callable[[], None]


class Workers:
    """Threads that do what they are given, in that order.

    Python does not wait for them when it ends, as it does for those of a ThreadPoolExecutor.

    Parameters
    ----------
    count : int
    name : str
        Of the threads, which get a number besides.

    Raises
    ------
    DeviceError
        The system gives no more threads, or Python is ending.
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
        """Have something done, which must not raise."""
        self._tasks.put(task)

    def stop(self) -> None:
        """Drop what waits; each thread ends when it has done what it is at."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._tasks.get_nowait()
        for _ in self._threads:
            self._tasks.put(None)

    def join(self, seconds: float | None = None) -> None:
        """Wait for the threads to end, so long at most."""
        end = None if seconds is None else time.monotonic() + seconds
        for thread in self._threads:
            thread.join(None if end is None else max(0.0, end - time.monotonic()))


def _work(tasks: "queue.SimpleQueue[_Task | None]") -> None:
    while (task := tasks.get()) is not None:
        task()
        del task  # with the buffers that it knows, while the thread waits


def in_a_thread(function: Callable[[], T], *, stop: Callable[[], None]) -> T:
    """Call a function that does not listen to Ctrl-C, in a thread: on Ctrl-C `stop` is called, which makes it end."""
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


def settle(future: "Future[T]", function: Callable[[], T]) -> None:
    """Put into a future what a function returns or raises, unless nobody wants it any more."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = function()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
