"""An ONNX Runtime session over any extractor network: its device, its input's size and layout, its output's dims.

A batch travels in a `Lane`: a host buffer for its images, and its binding to the session. On a GPU the pages of the
buffer are locked, and two lanes run at a time: the copies of one hide behind the arithmetic of the other.
"""

import os
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import device as devices
from .checks import whole_number
from .errors import DeviceError, InputError, ModelError
from .half import to_half
from .report import Report
from .threads import num_threads

if TYPE_CHECKING:
    import onnxruntime as ort

PRECISIONS = ("fp32", "tf32", "fp16")
# One fixed number per device, so that results do not depend on what else uses it.
BATCH_SIZE = {"cpu": 16, "cuda": 64}
RUNS_AT_ONCE = {"cpu": 1, "cuda": 2}
_LAYOUTS = {"NCHW": 1, "NHWC": 3}  # and the axis of the channels
# How ONNX Runtime, CUDA, cuDNN and cuBLAS say it.
_OUT_OF_MEMORY = (
    "out of memory",
    "failed to allocate memory",
    "out_of_memory",
    "status_alloc_failed",
    "bad allocation",
)


def check_settings(device: str, precision: str, batch_size: int | None) -> None:
    """Raise `InputError` for settings that no session takes."""
    devices.parse(device)
    if precision not in PRECISIONS:
        raise InputError(f"precision must be one of {', '.join(PRECISIONS)}; got {precision!r}")
    if batch_size is not None:
        whole_number("batch_size", batch_size, 1)


class Lane:
    """Buffers of one batch, and their binding to a session.

    Attributes
    ----------
    images : ndarray of float32, shape (n, 3, H, W)
        To be filled before a run.
    name : str
        Of the model's input.
    """

    def __init__(self, session: "ort.InferenceSession", images: NDArray[np.float32], channels_last: bool) -> None:
        self.images = images
        self._input = np.ascontiguousarray(images.transpose(0, 2, 3, 1)) if channels_last else images
        self.name = session.get_inputs()[0].name
        self.binding = session.io_binding()
        self.binding.bind_output(session.get_outputs()[0].name, "cpu")

    def pin(self, device: str) -> None:
        """Lock the pages of what is bound."""
        devices.pin(self._input, device)

    def input(self) -> NDArray[np.float32]:
        """Return the images in the model's own layout, which is what is bound."""
        if self._input is not self.images:
            np.copyto(self._input, self.images.transpose(0, 2, 3, 1))
        return self._input

    def bind(self) -> None:
        """Bind the images as they are now: for a GPU, they are copied there when they are bound, not when it runs."""
        self.binding.bind_cpu_input(self.name, self.input())


class Session:
    """A network ready to run on batches of one fixed shape.

    Parameters
    ----------
    onnx : bytes
        The serialised model: one image input, float32 (N, 3, H, W) or (N, H, W, 3), and one output (N, d).
    name : str
        What to call the model in errors.
    device, precision, batch_size
        As in `Extractor`.
    size : tuple of int, optional
        Height and width of the input, where the model leaves them open.
    layout : {"NCHW", "NHWC"}, optional
        Where the channels are, where the model's shape does not say.
    report : Report
        Gets a warning where a GPU is visible and cannot be used.

    Attributes
    ----------
    device : str
        "cpu" or "cuda:N": what the session really runs on.
    batch_size : int
        Images per run.
    size : tuple of int
        Height and width of the input.
    dims : int
        Length of a feature vector.
    runs_at_once : int
        How many threads may usefully be in `run`.
    chunk : int
        Images per run that memory has sufficed for: `batch_size`, until a run was out of memory.
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
        report: Report,
    ) -> None:
        import onnxruntime as ort

        check_settings(device, precision, batch_size)
        self.name = name
        self.precision = str(precision)
        self._process = os.getpid()
        problem = devices.both_runtimes()
        if problem is not None:
            report.warn(problem)
        self.device = devices.choose(device, ort.get_available_providers(), report)
        self._session = self._open(ort, to_half(onnx, name) if precision == "fp16" else onnx, device, report)
        kind = self.device.partition(":")[0]
        if precision == "tf32" and kind == "cpu":
            raise InputError("precision 'tf32' needs a GPU; this session runs on the CPU")
        if precision == "fp16" and kind == "cpu":
            report.warn("precision fp16 on a CPU only rounds the weights: arithmetic is float32, unlike on a GPU")
        self._channels_last, self.size, fixed = self._check_input(size, layout)
        if fixed is not None and batch_size not in (None, fixed):
            raise InputError(f"{name} takes batches of exactly {fixed} images; batch_size={batch_size} does not fit")
        self._fixed = fixed is not None
        self.batch_size: int = fixed or batch_size or BATCH_SIZE[kind]
        self.chunk = self.batch_size
        self.runs_at_once = RUNS_AT_ONCE[kind]
        self._idle: list[Lane] = []
        self._lock = threading.Lock()
        self.dims = self._check_output()

    def rows(self, images: int | None) -> int:
        """Images per run for a source of so many: the batch size, or all of them where they are fewer."""
        return self.batch_size if self._fixed or images is None else max(1, min(self.batch_size, images))

    def borrow(self, count: int, rows: int | None = None) -> list[Lane]:
        """Lend so many lanes for `rows` images each, by default the batch size."""
        rows = rows or self.batch_size
        with self._lock:
            self._idle = [lane for lane in self._idle if len(lane.images) == rows]  # memory for one size at a time
            return [self._idle.pop() if self._idle else self._new_lane(rows) for _ in range(count)]

    def give_back(self, lanes: list[Lane]) -> None:
        """Keep lanes for the next who asks; nobody may be writing into them any more."""
        with self._lock:
            self._idle += lanes

    def run(self, lane: Lane, options: "ort.RunOptions | None" = None) -> NDArray[np.float32]:
        """Features (n, d) of a filled lane; safe in several threads, each with a lane of its own.

        Parameters
        ----------
        lane : Lane
        options : RunOptions, optional
            Its `terminate` ends the run early, with a `ModelError`.

        Raises
        ------
        DeviceError
            Out of memory with a single image, or opened before a fork.
        ModelError
            What else ONNX Runtime may raise.
        """
        if os.getpid() != self._process:  # ONNX Runtime's threads stay behind in a fork: a run would wait for ever
            raise DeviceError(
                f"{self.name} was opened before this process was forked; open an Extractor after the fork"
            )
        while True:
            chunk = min(self.chunk, len(lane.images))
            try:
                return self._run(lane, chunk, options)
            except Exception as error:  # ONNX Runtime's exceptions share no base but this
                if not any(text in str(error).lower() for text in _OUT_OF_MEMORY):
                    raise ModelError(f"{self.name}: ONNX Runtime cannot run the model: {error}") from error
                if chunk == 1 or self._fixed:
                    raise DeviceError(
                        f"{self.name}: out of memory on {self.device} with batches of {chunk}: {error}"
                    ) from error
                with self._lock:  # another lane may have halved it already
                    self.chunk = min(self.chunk, (chunk + 1) // 2)

    def _run(self, lane: Lane, chunk: int, options: "ort.RunOptions | None") -> NDArray[np.float32]:
        if chunk == len(lane.images):
            lane.bind()
            self._session.run_with_iobinding(lane.binding, options)
            (features,) = lane.binding.copy_outputs_to_cpu()
            return np.asarray(features, dtype=np.float32)
        whole, parts = lane.input(), []
        for start in range(0, len(whole), chunk):
            images = whole[start : start + chunk]
            if len(images) < chunk:  # one shape in every run
                images = np.concatenate([images, np.zeros((chunk - len(images), *images.shape[1:]), np.float32)])
            parts += self._session.run(None, {lane.name: images}, options)
        return np.concatenate(parts, dtype=np.float32)[: len(whole)]

    def _new_lane(self, rows: int) -> Lane:
        try:
            lane = Lane(self._session, np.zeros((rows, 3, *self.size), dtype=np.float32), self._channels_last)
        except (MemoryError, ValueError) as error:  # NumPy has either for what is too large
            raise InputError(f"no memory for batches of {rows} images of {self.size[0]}x{self.size[1]}") from error
        if self.device != "cpu":
            lane.pin(self.device)
        return lane

    def _open(self, ort: Any, onnx: bytes, asked: str, report: Report) -> "ort.InferenceSession":
        options = ort.SessionOptions()
        options.intra_op_num_threads = num_threads()
        options.log_severity_level = 3  # its warnings go to stderr past Python; errors still raise
        providers: list[Any] = [devices.CPU]
        if self.device != "cpu":
            if hasattr(ort, "preload_dlls"):
                ort.preload_dlls()  # finds CUDA and cuDNN where pip installed them
            options.use_deterministic_compute = True
            providers.insert(0, (devices.CUDA, cuda_options(self.device, self.precision)))
        try:
            session = ort.InferenceSession(onnx, options, providers=providers)
        except Exception as error:  # ONNX Runtime's exceptions share no base but this
            raise ModelError(f"{self.name}: ONNX Runtime cannot open the model: {error}") from error
        # It falls back to the CPU silently where CUDA or cuDNN do not load.
        if self.device != "cpu" and devices.CUDA not in session.get_providers():
            problem = "ONNX Runtime could not load CUDA or cuDNN; pip install 'fastfid[cuda]' brings both"
            self.device = devices.fall_back(asked, problem, report)
        return session

    def _check_input(
        self, size: tuple[int, int] | None, layout: str | None
    ) -> tuple[bool, tuple[int, int], int | None]:
        """Return whether the channels come last, height and width, and the batch size where it is fixed."""
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise ModelError(f"{self.name} has {len(inputs)} inputs; an extractor has one image input")
        shape, kind = inputs[0].shape, inputs[0].type
        if kind != "tensor(float)" or len(shape) != 4:
            raise ModelError(f"{self.name} takes {kind} of shape {shape}; an extractor takes float32 (N, 3, H, W)")
        # An open axis (a name, not a number) fits whatever is asked for.
        fitting = [name for name, axis in _LAYOUTS.items() if not isinstance(shape[axis], int) or shape[axis] == 3]
        if not fitting or (layout is not None and layout not in fitting):
            asked = f"not in layout {layout}" if fitting else "one axis must hold the 3 RGB channels"
            raise ModelError(f"{self.name} takes images of shape {shape}; {asked}")
        channels_last = (layout or fitting[0]) == "NHWC"
        found = shape[1:3] if channels_last else shape[2:4]
        if size is None:
            size = tuple(found)
        if not all(isinstance(n, int) and n > 0 for n in size):
            raise ModelError(
                f"{self.name} leaves the image size open ({shape}): give it in the mode, as in --mode "
                "'size=224 ...', or export the model with a fixed height and width"
            )
        if any(isinstance(n, int) and n != asked for n, asked in zip(found, size, strict=True)):
            raise ModelError(f"{self.name} takes images of shape {shape}; size {size[0]}x{size[1]} does not fit")
        return channels_last, (size[0], size[1]), shape[0] if isinstance(shape[0], int) else None

    def _check_output(self) -> int:
        outputs = self._session.get_outputs()
        if len(outputs) != 1:
            names = ", ".join(output.name for output in outputs)
            raise ModelError(f"{self.name} has {len(outputs)} outputs ({names}); an extractor has one of shape (N, d)")
        dims = outputs[0].shape[1] if len(outputs[0].shape) == 2 else None
        if isinstance(dims, int):
            return dims
        (lane,) = self.borrow(1)
        shape = self.run(lane).shape  # the graph does not say: a run does
        self.give_back([lane])
        if len(shape) != 2 or shape[0] != self.batch_size:
            raise ModelError(f"{self.name} gives features of shape {shape} for {self.batch_size} images, not (N, d)")
        return int(shape[1])


def cuda_options(device: str, precision: str) -> dict[str, str]:
    """Options of ONNX Runtime's CUDA provider.

    The convolution algorithms are chosen by cuDNN's heuristic, which gives the same answer every time; a search by
    timing would make the last digits depend on what else ran. The arena grows by what is asked for, not by doubling.
    """
    return {
        "device_id": device.partition(":")[2],
        "use_tf32": str(int(precision == "tf32")),
        "cudnn_conv_algo_search": "HEURISTIC",
        "arena_extend_strategy": "kSameAsRequested",
    }
