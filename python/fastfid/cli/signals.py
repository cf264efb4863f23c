"""SIGTERM and SIGHUP end a command as Ctrl-C does: threads stop, and half-written files are removed."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn


class Ended(KeyboardInterrupt):
    """Raised when a signal asks the process to end; `number` is the number of the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextlib.contextmanager
def ending_as_ctrl_c() -> Iterator[None]:
    """In this block SIGTERM and SIGHUP raise `Ended` in the main thread, unless they are ignored, as under nohup."""
    kept, received = {}, list[int]()

    def end(number: int, frame: FrameType | None) -> NoReturn:
        received.append(number)
        raise Ended(number)

    try:
        if threading.current_thread() is threading.main_thread():
            for name in ("SIGTERM", "SIGHUP"):
                number = getattr(signal, name, None)  # Windows has no SIGHUP
                if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                    kept[number] = signal.signal(number, end)
        yield
    except KeyboardInterrupt as interrupt:
        if received and not isinstance(interrupt, Ended):  # a library has put an exception of its own in its place
            raise Ended(received[0]) from interrupt
        raise
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
