"""The ranges of a file behind an address that were fetched last, for one reader or for the threads that share it.

A read at a new place fetches little more than it needs. A read that goes on behind what another has fetched, or is
fetching, fetches twice as much. So images that lie one after the other need one request for many, and threads that read
neighbours wait for one request instead of making one each.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .remote import Remote

FIRST_RANGE = 1 << 16  # bytes that are fetched at a new place, if the reader does not say
LONGEST_RANGE = 1 << 22
_GAP = 1 << 18  # bytes that are sooner read than another request is answered
_LEAST = 1 << 14  # a request for fewer takes as long
_KEPT = 4  # ranges of a file
_FILES = 4  # files whose ranges are kept for several threads


class _Window(NamedTuple):
    end: int
    data: "Future[bytes]"


class Windows:
    """The last ranges of one file.

    Parameters
    ----------
    remote : Remote
    name : str
        The file, below `remote`.
    size : int
        Its size.
    check : callable, optional
        Called after each request; raises if the file has changed.
    """

    def __init__(self, remote: "Remote", name: str, size: int, check: Callable[[], None] | None = None) -> None:
        self.size = size
        self._remote, self._name, self._check = remote, name, check
        self._kept: OrderedDict[int, _Window] = OrderedDict()  # by the position of the first byte
        self._lock = threading.Lock()

    def read(self, at: int, size: int, first: int) -> bytes:
        """Return 1 to `size` bytes at a position; `first` is the least to fetch at a new place."""
        with self._lock:
            start, window, is_new = self._find(at, size, first)
        if is_new:
            self._fetch(start, window)
        data = window.data.result()
        return data[at - start : at - start + size]

    def clear(self) -> None:
        """Forget all ranges."""
        with self._lock:
            self._kept.clear()

    def _find(self, at: int, size: int, first: int) -> tuple[int, _Window, bool]:
        longest = 0
        for start, window in reversed(self._kept.items()):
            if start <= at < window.end:
                self._kept.move_to_end(start)
                return start, window, False
            if 0 <= at - window.end <= _GAP:
                longest = max(longest, window.end - start)
        ahead = min(2 * longest, LONGEST_RANGE) if longest else max(first, _LEAST)
        new = _Window(min(self.size, at + max(size, ahead)), Future())
        self._kept[at] = new
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return at, new, True

    def _fetch(self, start: int, window: _Window) -> None:
        try:
            data = self._remote.fetch(self._name, start, window.end)
            if self._check is not None:
                self._check()
        except BaseException as error:
            with self._lock:
                self._kept.pop(start, None)
            window.data.set_exception(error)  # also for the threads that wait for it
            raise
        window.data.set_result(data)


_shared: "deque[Windows]" = deque()
_lock = threading.Lock()


def keep(windows: Windows) -> None:
    """Note that threads read from a file now; the ranges of the files that were read before the last few are dropped.

    Shards are read one after the other, and there may be thousands.
    """
    if _shared and _shared[-1] is windows:
        return
    with _lock:
        if windows in _shared:
            _shared.remove(windows)
        _shared.append(windows)
        dropped = [_shared.popleft() for _ in range(len(_shared) - _FILES)]
    for old in dropped:
        old.clear()
