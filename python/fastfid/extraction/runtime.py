"""The one door to ONNX Runtime: nothing else in the package imports it, or opens a session."""

import os
from typing import TYPE_CHECKING, Any

from ..errors import DeviceError, ModelError
from ..threads import num_threads
from . import device as devices

if TYPE_CHECKING:
    import onnxruntime as ort

# How ONNX Runtime, CUDA, cuDNN, cuBLAS and C++ say it.
_OUT_OF_MEMORY = (
    "out of memory",
    "failed to allocate memory",
    "out_of_memory",
    "status_alloc_failed",
    "bad allocation",
    "bad_alloc",
    "bad_array_new_length",
)


def load() -> Any:
    """Import ONNX Runtime without its telemetry, unless the user has set ``ORT_DISABLE_TELEMETRY``.

    From 1.29 on, its import alone writes an identity of the machine below ``~/.cache``, longer runs send to a host on
    the Internet, and a process that was forked after the import aborts when it ends. Where the user imported ONNX
    Runtime before, nothing can be done any more.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def open_session(onnx: bytes, name: str, *, device: str, precision: str) -> tuple["ort.InferenceSession", str | None]:
    """Open a session on a device, or on the CPU where that fails.

    Parameters
    ----------
    onnx : bytes
        The serialised model.
    name : str
        What to call the model in errors.
    device : str
        "cpu" or "cuda:N".
    precision : str
        As in `Extractor`.

    Returns
    -------
    InferenceSession, str or None
        And what is wrong with the GPU, where the session runs on the CPU in its place.

    Raises
    ------
    ModelError, DeviceError
        The model cannot be opened on a CPU either.
    """
    if device == "cpu":
        return _open(onnx, name, [devices.CPU]), None
    if hasattr(load(), "preload_dlls"):
        load().preload_dlls()  # finds CUDA and cuDNN where pip installed them
    problem = "ONNX Runtime could not load CUDA or cuDNN; pip install 'fastfid[cuda]' brings both"
    try:
        session = _open(onnx, name, [(devices.CUDA, cuda_options(device, precision)), devices.CPU])
    except (ModelError, DeviceError) as error:
        problem = f"{device} cannot be used: {error}"
        session = _open(onnx, name, [devices.CPU])  # where the model itself is at fault, this says so
    # It may also leave CUDA out without a word.
    return session, None if devices.CUDA in session.get_providers() else problem


def _open(onnx: bytes, name: str, providers: list[Any]) -> "ort.InferenceSession":
    options = load().SessionOptions()
    options.intra_op_num_threads = num_threads()
    options.log_severity_level = 4  # less goes to stderr past Python, and is raised besides
    options.use_deterministic_compute = len(providers) > 1
    try:
        # Its own fallback to the CPU would print on stdout.
        return load().InferenceSession(onnx, options, providers=providers, enable_fallback=0)
    except Exception as error:  # ONNX Runtime's exceptions share no base but this
        if says_out_of_memory(error):
            raise DeviceError(f"{name}: out of memory when the model was opened: {error}") from error
        raise ModelError(f"{name}: ONNX Runtime cannot open the model: {error}") from error


def says_out_of_memory(error: Exception) -> bool:
    """Whether an exception of ONNX Runtime means that memory did not suffice."""
    return isinstance(error, MemoryError) or any(text in str(error).lower() for text in _OUT_OF_MEMORY)


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
