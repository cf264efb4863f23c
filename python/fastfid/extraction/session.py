"""An ONNX Runtime session over any extractor network: its device, its input's size and layout, its outputs' dims.

A batch travels in a `Lane`. No more runs are on the way at once than are useful, whoever asks for them: on a CPU one,
for each takes all its threads and an arena of its own; on a GPU two, for the copies of one hide behind the arithmetic
of the other.
"""

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DeviceError, InputError, ModelError
from ..forks import keep_in_children
from ..messages import Messages
from ..networks.half import to_half
from . import device as devices
from . import runtime
from .lanes import Lane, Lanes
from .settings import check_settings
from .signature import image_input, outputs
from .workers import in_a_thread

# One fixed number per device, so that results do not depend on what else uses it.
BATCH_SIZE = {"cpu": 16, "cuda": 64}
RUNS_AT_ONCE = {"cpu": 1, "cuda": 2}
_MOST_NAMES = 3  # of images in a message

Rows = dict[str, NDArray[np.float32]]  # of each role, (n, d)


class Course:
    """How one stream of batches runs through a session.

    Attributes
    ----------
    chunk : int
        Images per run that memory has sufficed for: the session's batch size, until a run was out of memory.
    """

    def __init__(self, session: "Session") -> None:
        self.chunk = session.batch_size
        self.options = runtime.load().RunOptions()

    @property
    def stopped(self) -> bool:
        """Whether it was stopped."""
        return bool(self.options.terminate)

    def stop(self) -> None:
        """End the runs that are under way, and those to come, with a `ModelError`."""
        self.options.terminate = True


class Session:
    """A network ready to run on batches of one fixed shape.

    Parameters
    ----------
    onnx : bytes
        The serialised model: one image input, float32 (N, 3, H, W) or (N, H, W, 3), and outputs of floats (N, d).
    name : str
        What to call the model in errors.
    device, precision, batch_size
        As in `Extractor`.
    size : tuple of int, optional
        Height and width of the input, where the model leaves them open.
    layout : {"NCHW", "NHWC"}, optional
        Where the channels are, where the model's shape does not say.
    messages : Messages
        Gets a warning where a GPU is visible and cannot be used.
    roles : sequence of str
        Which outputs are wanted: each is the one of that name; "features" may have any name where it is the only one.

    Attributes
    ----------
    device : str
        "cpu" or "cuda:N": what the session really runs on.
    batch_size : int
        Images per run.
    size : tuple of int
        Height and width of the input.
    roles : dict of str to int
        Length of a row of each output wanted.
    runs_at_once : int
        How many runs are on the way at a time; further ones wait.
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
            to_half(onnx, name) if precision == "fp16" else onnx, name, device=chosen, precision=precision
        )
        self.device = chosen if problem is None else devices.fall_back(device, problem, messages)
        keep_in_children(self)
        kind = self.device.partition(":")[0]
        if precision == "tf32" and kind == "cpu":
            raise InputError("precision 'tf32' needs a GPU; this session runs on the CPU")
        if precision == "fp16" and kind == "cpu":
            messages.warn("precision fp16 on a CPU only rounds the weights: arithmetic is float32, unlike on a GPU")
        self._channels_last, self.size, fixed = image_input(self._session, name, size, layout)
        found = outputs(self._session, name, roles)
        self._outputs = {role: output.name for role, output in found.items()}
        self._fetched = list(dict.fromkeys(self._outputs.values()))
        if fixed is not None and batch_size not in (None, fixed):
            raise InputError(f"{name} takes batches of exactly {fixed} images; batch_size={batch_size} does not fit")
        self._fixed = fixed is not None
        self.batch_size: int = fixed or batch_size or BATCH_SIZE[kind]
        self.runs_at_once = RUNS_AT_ONCE[kind]
        self._turns = threading.Semaphore(self.runs_at_once)
        self._lanes = Lanes(kept=self.runs_at_once + 1)
        self.roles = {role: output.dims or 0 for role, output in found.items()}  # 0 until a run tells
        if not all(self.roles.values()):
            self.roles = self._find_dims()

    def rows(self, images: int | None) -> int:
        """Images per run for a source of so many: the batch size, or all of them where they are fewer."""
        return self.batch_size if self._fixed or images is None else max(1, min(self.batch_size, images))

    def borrow(self, rows: int | None = None) -> Lane:
        """Lend a lane for `rows` images, by default the batch size, as soon as one is free."""
        self.check_process()
        return self._lanes.borrow(rows or self.batch_size, self._new_lane)

    def give_back(self, lane: Lane) -> None:
        """Take back a lane that nobody writes into any more."""
        self._lanes.give_back(lane)

    def give_up(self, lane: Lane) -> None:
        """Do without a lane that a thread may still write into."""
        self._lanes.give_up(lane)

    def run(self, lane: Lane, course: Course | None = None) -> Rows:
        """Rows (n, d) of each role for a filled lane; safe in several threads, each with a lane of its own.

        Parameters
        ----------
        lane : Lane
        course : Course, optional
            Of the stream that the batch belongs to.

        Raises
        ------
        DeviceError
            Out of memory with a single image, or opened before a fork.
        ModelError
            An output is not of shape (n, d); the course was stopped; and what else ONNX Runtime may raise.
        """
        self.check_process()
        course = Course(self) if course is None else course
        with self._turn(course):
            parts = self._run_in_memory(lane, course)
        return {role: _joined(part)[: len(lane.images)] for role, part in parts.items()}

    def check_process(self) -> None:
        """Raise `DeviceError` in a fork: ONNX Runtime's threads stay behind, and a run would wait for ever."""
        if os.getpid() != self._process:
            raise DeviceError(
                f"{self.name} was opened before this process was forked; open an Extractor after the fork"
            )

    def check_finite(self, results: Mapping[str, NDArray[np.float32]], names: Sequence[str]) -> None:
        """Raise `ModelError` if a row of the images so called has a value that is infinite or NaN."""
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
        """Rows of each role for a lane, in as many parts as memory asks for."""
        while True:
            chunk = min(course.chunk, len(lane.images))
            try:
                parts = self._run(lane, chunk, course)
                break
            except Exception as error:  # ONNX Runtime's exceptions share no base but this
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
        """What ONNX Runtime gives for a lane, `chunk` images at a time: a list of parts, each of all outputs."""
        if chunk == len(lane.images):
            lane.bind()
            self._session.run_with_iobinding(lane.binding, course.options)
            return [lane.binding.copy_outputs_to_cpu()]
        whole, parts = lane.input(), []
        for start in range(0, len(whole), chunk):
            images = whole[start : start + chunk]
            if len(images) < chunk:  # one shape in every run
                images = np.concatenate([images, np.zeros((chunk - len(images), *images.shape[1:]), np.float32)])
            parts.append(self._session.run(self._fetched, {lane.name: images}, course.options))
        return parts

    def _rows_of(self, role: str, rows: NDArray[Any], count: int) -> NDArray[Any]:
        """Return the rows of `count` images, if there is one for each."""
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
        except (MemoryError, ValueError) as error:  # NumPy has either for what is too large
            raise DeviceError(
                f"{self.name}: out of memory: no buffer for {rows} images of {self.size[0]}x{self.size[1]}; "
                "a smaller batch_size takes less"
            ) from error
        if self.device != "cpu":
            lane.pin(self.device)
        return lane

    def _find_dims(self) -> dict[str, int]:
        """Lengths of the rows, where the graph does not say: a run does."""
        lane, course = self.borrow(), Course(self)
        results = in_a_thread(lambda: self.run(lane, course), stop=course.stop)
        self.give_back(lane)
        return {role: rows.shape[1] for role, rows in results.items()}


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # of float64: whoever takes the rows looks whether they are finite
        if len(parts) == 1:
            return parts[0].astype(np.float32, copy=False)
        return np.concatenate(parts, dtype=np.float32)
