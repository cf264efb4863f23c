"""Calls a function for many values in threads that can be left alone, as when Ctrl-C comes while they wait."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from typing import TypeVar

_STEP = 0.5  # seconds of one wait; a signal is noticed between two

_A = TypeVar("_A")
_B = TypeVar("_B")


def in_threads(function: Callable[[_A], _B], values: Iterable[_A], threads: int) -> list[_B]:
    """Return what a function gives for each value, in order.

    Parameters
    ----------
    function : callable
    values : iterable
    threads : int
        How many calls are made at a time; 1 for none beside the caller's own.

    Raises
    ------
    Exception
        What the function raises for the first value for which it raises; the values after it are then left out.
    """
    if threads == 1:
        return [function(value) for value in values]
    results: list[Future[_B]] = []
    slots = threading.Semaphore(threads)
    failed = threading.Event()

    def work(value: _A, result: "Future[_B]") -> None:
        try:
            result.set_result(function(value))
        except BaseException as error:
            failed.set()
            result.set_exception(error)
        finally:
            slots.release()

    for value in values:
        while not slots.acquire(timeout=_STEP):
            pass
        if failed.is_set():
            break
        results.append(Future())
        threading.Thread(target=work, args=(value, results[-1]), name="fastfid-fetch", daemon=True).start()
    for result in results:
        while not result.done():
            wait([result], timeout=_STEP)
    return [result.result() for result in results]
