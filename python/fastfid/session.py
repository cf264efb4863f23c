"""An ONNX Runtime session over any extractor network: its device, its input's size and layout, its output's dims."""

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import device as devices
from .checks import whole_number
from .errors import DeviceError, InputError, ModelError
from .report import Report
from .threads import num_threads

if TYPE_CHECKING:
    import onnxruntime as ort

PRECISIONS = ("fp32", "tf32")
# One fixed number per device, so that results do not depend on what else uses it.
BATCH_SIZE = {"cpu": 16, "cuda": 64}


def check_settings(device: str, precision: str, batch_size: int | None) -> None:
    """Raise `InputError` for settings that no session takes."""
    devices.parse(device)
    if precision not in PRECISIONS:
        raise InputError(f"precision must be one of {', '.join(PRECISIONS)}; got {precision!r}")
    if batch_size is not None:
        whole_number("batch_size", batch_size, 1)


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
    """

    def __init__(
        self, onnx: bytes, name: str, *, device: str, precision: str, batch_size: int | None, report: Report
    ) -> None:
        import onnxruntime as ort

        check_settings(device, precision, batch_size)
        self.name = name
        self.precision = precision
        self._process = os.getpid()
        problem = devices.both_runtimes()
        if problem is not None:
            report.warn(problem)
        self.device = devices.choose(device, ort.get_available_providers(), report)
        self._session = self._open(ort, onnx, device, report)
        if precision != "fp32" and self.device == "cpu":
            raise InputError(f"precision {precision!r} needs a GPU; this session runs on the CPU")
        self._input, self.size, self._channels_last, fixed = self._check_input()
        if fixed is not None and batch_size not in (None, fixed):
            raise InputError(f"{name} takes batches of exactly {fixed} images; batch_size={batch_size} does not fit")
        self.batch_size: int = fixed or batch_size or BATCH_SIZE[self.device.partition(":")[0]]
        self.dims = self._check_output()

    def new_batch(self) -> NDArray[np.float32]:
        """Return a zeroed input batch, always (batch_size, 3, H, W)."""
        return np.zeros((self.batch_size, 3, *self.size), dtype=np.float32)

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features (batch_size, d) float32 of a whole batch (batch_size, 3, H, W)."""
        if os.getpid() != self._process:  # ONNX Runtime's threads stay behind in a fork: a run would wait for ever
            raise DeviceError(
                f"{self.name} was opened before this process was forked; open an Extractor after the fork"
            )
        if self._channels_last:
            batch = np.ascontiguousarray(batch.transpose(0, 2, 3, 1))
        (features,) = self._session.run(None, {self._input: batch})
        return np.asarray(features, dtype=np.float32)

    def _open(self, ort: Any, onnx: bytes, asked: str, report: Report) -> "ort.InferenceSession":
        options = ort.SessionOptions()
        options.intra_op_num_threads = num_threads()
        options.log_severity_level = 3  # its warnings go to stderr past Python; errors still raise
        providers: list[Any] = [devices.CPU]
        if self.device != "cpu":
            if hasattr(ort, "preload_dlls"):
                ort.preload_dlls()  # finds CUDA and cuDNN where pip installed them
            number = int(self.device.partition(":")[2])
            settings = {"device_id": number, "use_tf32": int(self.precision == "tf32")}
            providers.insert(0, (devices.CUDA, settings))
        try:
            session = ort.InferenceSession(onnx, options, providers=providers)
        except Exception as error:  # ONNX Runtime's exceptions share no base but this
            raise ModelError(f"{self.name}: ONNX Runtime cannot open the model: {error}") from error
        # It falls back to the CPU silently where CUDA or cuDNN do not load.
        if self.device != "cpu" and devices.CUDA not in session.get_providers():
            problem = "ONNX Runtime could not load CUDA or cuDNN; pip install 'fastfid[cuda]' brings both"
            self.device = devices.fall_back(asked, problem, report)
        return session

    def _check_input(self) -> tuple[str, tuple[int, int], bool, int | None]:
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise ModelError(f"{self.name} has {len(inputs)} inputs; an extractor has one image input")
        shape, kind = inputs[0].shape, inputs[0].type
        if kind != "tensor(float)" or len(shape) != 4:
            raise ModelError(f"{self.name} takes {kind} of shape {shape}; an extractor takes float32 (N, 3, H, W)")
        channels_last = shape[1] != 3 and shape[3] == 3
        if not channels_last and shape[1] != 3:
            raise ModelError(f"{self.name} takes images of shape {shape}; one axis must hold the 3 RGB channels")
        size = tuple(shape[1:3] if channels_last else shape[2:4])
        if not all(isinstance(n, int) and n > 0 for n in size):
            raise ModelError(
                f"{self.name} leaves the image size open ({shape}); export it with a fixed height and width"
            )
        return inputs[0].name, (size[0], size[1]), channels_last, shape[0] if isinstance(shape[0], int) else None

    def _check_output(self) -> int:
        outputs = self._session.get_outputs()
        if len(outputs) != 1:
            raise ModelError(f"{self.name} has {len(outputs)} outputs; an extractor has one of shape (N, d)")
        dims = outputs[0].shape[1] if len(outputs[0].shape) == 2 else None
        if isinstance(dims, int):
            return dims
        shape = self.run(self.new_batch()).shape  # the graph does not say: a run does
        if len(shape) != 2 or shape[0] != self.batch_size:
            raise ModelError(f"{self.name} gives features of shape {shape} for {self.batch_size} images, not (N, d)")
        return int(shape[1])
