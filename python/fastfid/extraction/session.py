"""An ONNX Runtime session for any network: its device, the size and layout of its input, the dims of its outputs.

Each batch is in a `Lane`. The number of runs at once is limited for all callers together. On a CPU it is one, because a
run uses all threads and has its own memory arena. With CUDA it is two, so that one run copies while the other computes.
"""

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arguments import spelled
from ..errors import DeviceError, InputError, ModelError
from ..forks import keep_in_children
from ..messages import Messages
from ..networks.half import to_half
from . import device as devices
from . import runtime
from .accelerators import kind_of
from .lanes import Lane, Lanes
from .settings import check_kept, check_settings
from .signature import image_input, outputs
from .workers import in_a_thread

_MOST_NAMES = 3  # of images in a message

Rows = dict[str, NDArray[np.float32]]  # of each role, (n, d)


class Course:
    """The runs of one stream of batches through a session.

    Attributes
    ----------
    chunk : int
        Images per run: the session's batch size, halved after each out-of-memory error.
    """

    def __init__(self, session: "Session") -> None:
        self.chunk = session.batch_size
        self.options = runtime.load().RunOptions()

    @property
    def stopped(self) -> bool:
        """True after `stop` was called."""
        return bool(self.options.terminate)

    def stop(self) -> None:
        """End current and later runs with a `ModelError`."""
        self.options.terminate = True


class Session:
    """A network ready to run on batches of one fixed shape.

    Parameters
    ----------
    onnx : bytes
        The serialised model: one image input, float32 (N, 3, H, W) or (N, H, W, 3), and outputs of floats (N, d).
    name : str
        Name of the model in errors.
    device, precision, batch_size
        As in `Extractor`.
    size : tuple of int, optional
        Height and width of the input, if the model leaves them open.
    layout : {"NCHW", "NHWC"}, optional
        Order of the axes of the input, if the model's shape does not show it.
    messages : Messages
        Gets a warning if a GPU is visible and unusable.
    roles : sequence of str
        Names of the outputs to compute. "features" also means the only output, whatever its name.

    Attributes
    ----------
    device : str
        The device that is used, such as "cpu" or "cuda:0".
    provider : str
        What ONNX Runtime runs it with, and the settings; empty for the CPU.
    batch_size : int
        Images per run.
    size : tuple of int
        Height and width of the input.
    roles : dict of str to int
        Length of a row of each of these outputs.
    runs_at_once : int
        Largest number of runs at the same time; others wait.
    """

    def __init__(
        self,
        onnx: bytes,
        name: str,
        *,
        device: str,
        precision: str,
        batch_size: int | None,
        size: tuple[int, int] | None = None,
        layout: str | None = None,
        messages: Messages,
        roles: Sequence[str] = ("features",),
    ) -> None:
        check_settings(device, precision, batch_size)
        self.name = name
        self.precision = str(precision)
        self._process = os.getpid()
        problem = devices.both_runtimes()
        if problem is not None:
            messages.warn(problem)
        chosen = devices.choose(device, runtime.load().get_available_providers(), messages)
        self._session, problem = runtime.open_session(
            to_half(onnx, name) if precision == "fp16" else onnx,
            name,
            device=chosen,
            precision=precision,
            batch_size=batch_size or kind_of(chosen).batch_size,
        )
        self.device = chosen if problem is None else devices.fall_back(device, problem, messages)
        keep_in_children(self)
        accelerator = kind_of(self.device)
        self.provider = ""
        if self.device != "cpu":
            self.provider = accelerator.described(self.precision)
            left, nodes = runtime.left_to_the_cpu(self._session)
            if left:
                kinds = ", ".join(sorted(set(left)))
                messages.note(f"{self.device} leaves {len(left)} of {nodes} nodes of {name} to the CPU: {kinds}")
        elif precision == "fp16":
            messages.warn("precision fp16 on a CPU only rounds the weights: arithmetic is float32, unlike on a GPU")
        check_kept(self.device.partition(":")[0], self.precision)  # "auto" may have chosen the CPU
        self._channels_last, self.size, fixed = image_input(self._session, name, size, layout)
        found = outputs(self._session, name, roles)
        self._outputs = {role: output.name for role, output in found.items()}
        self._fetched = list(dict.fromkeys(self._outputs.values()))
        if fixed is not None and batch_size not in (None, fixed):
            raise InputError(
                f"{name} takes batches of exactly {fixed} images; {spelled('batch_size', batch_size)} does not fit"
            )
        self._fixed = fixed is not None
        self.batch_size: int = fixed or batch_size or accelerator.batch_size
        self.runs_at_once = accelerator.runs_at_once
        self._turns = threading.Semaphore(self.runs_at_once)
        self._lanes = Lanes(kept=self.runs_at_once + 1)
        self.roles = {role: output.dims or 0 for role, output in found.items()}  # 0 if the graph does not state it
        if not all(self.roles.values()):
            self.roles = self._find_dims()

    def rows(self, images: int | None) -> int:
        """Return the images per run for a source of `images` images: the batch size, or all if they are fewer."""
        return self.batch_size if self._fixed or images is None else max(1, min(self.batch_size, images))

    def borrow(self, rows: int | None = None) -> Lane:
        """Lend a lane for `rows` images, by default the batch size, as soon as one is free."""
        self.check_process()
        return self._lanes.borrow(rows or self.batch_size, self._new_lane)

    def give_back(self, lane: Lane) -> None:
        """Take back a lane that nobody writes into any more."""
        self._lanes.give_back(lane)

    def give_up(self, lane: Lane) -> None:
        """Stop using a lane that a thread may still write into."""
        self._lanes.give_up(lane)

    def run(self, lane: Lane, course: Course | None = None) -> Rows:
        """Return the rows (n, d) of each role for a filled lane; thread-safe, if each thread has its own lane.

        Parameters
        ----------
        lane : Lane
        course : Course, optional
            The course of the stream that the batch belongs to.

        Raises
        ------
        DeviceError
            If memory does not suffice for a single image, or the process was forked after the session was opened.
        ModelError
            If an output does not have shape (n, d), the course was stopped, or ONNX Runtime raises another error.
        """
        self.check_process()
        course = Course(self) if course is None else course
        with self._turn(course):
            parts = self._run_in_memory(lane, course)
        return {role: _joined(part)[: len(lane.images)] for role, part in parts.items()}

    def check_process(self) -> None:
        """Raise `DeviceError` in a fork, where ONNX Runtime's threads do not exist and a run would wait for ever."""
        if os.getpid() != self._process:
            raise DeviceError(
                f"{self.name} was opened before this process was forked; open an Extractor after the fork"
            )

    def check_finite(self, results: Mapping[str, NDArray[np.float32]], names: Sequence[str]) -> None:
        """Raise `ModelError` if a row has an infinite value or NaN; `names` are those of the images."""
        for role, rows in results.items():
            if np.isfinite(rows).all():
                continue
            bad = [name for name, row in zip(names, rows, strict=True) if not np.isfinite(row).all()]
            shown = ", ".join(bad[:_MOST_NAMES]) + (f" and {len(bad) - _MOST_NAMES} more" if bad[_MOST_NAMES:] else "")
            output = self._outputs[role]
            raise ModelError(f"{self.name}: output {output!r} has values that are infinite or NaN for {shown}")

    @contextmanager
    def _turn(self, course: Course) -> Iterator[None]:
        while not self._turns.acquire(timeout=0.1):
            if course.stopped:
                raise ModelError(f"{self.name}: the run was stopped")
        try:
            yield
        finally:
            self._turns.release()

    def _run_in_memory(self, lane: Lane, course: Course) -> dict[str, list[NDArray[Any]]]:
        """Return the rows of each role for a lane, in parts that are halved after each out-of-memory error."""
        while True:
            chunk = min(course.chunk, len(lane.images))
            try:
                parts = self._run(lane, chunk, course)
                break
            except Exception as error:  # ONNX Runtime's exceptions have no narrower common base class
                if not runtime.says_out_of_memory(error):
                    raise ModelError(f"{self.name}: ONNX Runtime cannot run the model: {error}") from error
                if chunk == 1 or self._fixed:
                    raise DeviceError(
                        f"{self.name}: out of memory on {self.device} with batches of {chunk}: {error}"
                    ) from error
                course.chunk = min(course.chunk, (chunk + 1) // 2)  # another lane may have halved it already
        by_name = dict(zip(self._fetched, zip(*parts, strict=True), strict=True))
        return {
            role: [self._rows_of(role, part, chunk) for part in by_name[self._outputs[role]]] for role in self.roles
        }

    def _run(self, lane: Lane, chunk: int, course: Course) -> list[list[NDArray[Any]]]:
        """Run the network on a lane, `chunk` images at a time; return a list of parts, each with all outputs."""
        if chunk == len(lane.images):
            lane.bind()
            self._session.run_with_iobinding(lane.binding, course.options)
            return [lane.binding.copy_outputs_to_cpu()]
        whole, parts = lane.input(), []
        for start in range(0, len(whole), chunk):
            images = whole[start : start + chunk]
            if len(images) < chunk:  # padded, so that every run has the same shape
                images = np.concatenate([images, np.zeros((chunk - len(images), *images.shape[1:]), np.float32)])
            parts.append(self._session.run(self._fetched, {lane.name: images}, course.options))
        return parts

    def _rows_of(self, role: str, rows: NDArray[Any], count: int) -> NDArray[Any]:
        """Return the rows of `count` images; raise `ModelError` if there is not one row for each."""
        shape, dims = rows.shape, self.roles[role]
        if len(shape) != 2 or shape[0] != count or shape[1] != (dims or shape[1] or "d"):
            wanted = f"an extractor gives (N, {dims or 'd'}), one row for each image"
            output = self._outputs[role]
            raise ModelError(f"{self.name}: output {output!r} has shape {shape} for {count} images; {wanted}")
        return rows

    def _new_lane(self, rows: int) -> Lane:
        try:
            images = np.zeros((rows, 3, *self.size), dtype=np.float32)
            lane = Lane(self._session, images, self._channels_last, self._fetched)
        except (MemoryError, ValueError) as error:  # NumPy raises either if an array is too large
            raise DeviceError(
                f"{self.name}: out of memory: no buffer for {rows} images of {self.size[0]}x{self.size[1]}; "
                "use a smaller batch_size"
            ) from error
        if kind_of(self.device).driver:
            lane.pin(self.device)
        return lane

    def _find_dims(self) -> dict[str, int]:
        """Run the network once to find the lengths of the rows, which the graph does not state."""
        lane, course = self.borrow(), Course(self)
        results = in_a_thread(lambda: self.run(lane, course), stop=course.stop)
        self.give_back(lane)
        return {role: rows.shape[1] for role, rows in results.items()}


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # float64 may overflow; `check_finite` then raises
        if len(parts) == 1:
            return parts[0].astype(np.float32, copy=False)
        return np.concatenate(parts, dtype=np.float32)
