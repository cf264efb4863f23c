"""The buffers of batches on their way to the network; each session has only a few."""

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..forks import keep_in_children
from . import device as devices

if TYPE_CHECKING:
    import onnxruntime as ort

MOST_LANES = 8  # in use at once; with more, additional callers only need more memory
_LONGEST_WAIT = 10.0  # seconds without a lane given back until one more is created, since the others may hang for ever


class Lane:
    """The buffers of one batch, bound to a session and to some of its outputs.

    For a GPU the pages of the buffer are locked, so that the GPU copies from them while it computes.

    Attributes
    ----------
    images : ndarray of float32, shape (n, 3, H, W)
        Fill it before a run.
    name : str
        Name of the model's input.
    """

    def __init__(
        self, session: "ort.InferenceSession", images: NDArray[np.float32], channels_last: bool, outputs: Sequence[str]
    ) -> None:
        self.images = images
        self._input = np.ascontiguousarray(images.transpose(0, 2, 3, 1)) if channels_last else images
        self.name = session.get_inputs()[0].name
        self.binding = session.io_binding()
        for output in outputs:
            self.binding.bind_output(output, "cpu")
        keep_in_children(self)

    def pin(self, device: str) -> None:
        """Lock the pages of the bound buffer."""
        devices.pin(self._input, device)

    def input(self) -> NDArray[np.float32]:
        """Return the images in the model's own layout, in the buffer that is bound."""
        if self._input is not self.images:
            np.copyto(self._input, self.images.transpose(0, 2, 3, 1))
        return self._input

    def bind(self) -> None:
        """Bind the current images. A GPU gets a copy of them now, not when it runs."""
        self.binding.bind_cpu_input(self.name, self.input())


class Lanes:
    """Lends lanes, each for one batch, in a limited number, so that memory does not grow with the number of callers.

    A caller must be able to give its lane back without waiting for others, so that no two callers wait for each other.

    Parameters
    ----------
    kept : int
        Number of unused lanes to keep.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._idle: list[Lane] = []
        self._lent: set[Lane] = set()
        self._returned = threading.Condition()

    def borrow(self, rows: int, new: Callable[[int], Lane]) -> Lane:
        """Lend a lane for `rows` images as soon as one is free; `new` creates one."""
        with self._returned:
            while len(self._lent) >= MOST_LANES and self._returned.wait(_LONGEST_WAIT):
                pass
            self._idle = [lane for lane in self._idle if len(lane.images) == rows]  # keeps one size at a time only
            lane = self._idle.pop() if self._idle else new(rows)
            self._lent.add(lane)
            return lane

    def give_back(self, lane: Lane) -> None:
        """Take back a lane that nobody writes into any more, unless it was given up."""
        with self._returned:
            if lane in self._lent:
                self._lent.remove(lane)
                if len(self._idle) < self._kept:
                    self._idle.append(lane)
                self._returned.notify_all()

    def give_up(self, lane: Lane) -> None:
        """Stop using a lane that a thread may still write into; another can be lent instead."""
        with self._returned:
            self._lent.discard(lane)
            self._returned.notify_all()
