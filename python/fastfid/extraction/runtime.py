"""Imports ONNX Runtime and opens its sessions; no other module of the package does."""

import os
from typing import TYPE_CHECKING, Any

from ..errors import DeviceError, ModelError
from ..threads import num_threads
from . import device as devices

if TYPE_CHECKING:
    import onnxruntime as ort

# Parts of the messages of ONNX Runtime, CUDA, cuDNN, cuBLAS and C++.
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

    With telemetry, from version 1.29 on, the import alone writes an identifier of the machine to ``~/.cache``, longer
    runs send data to a host on the Internet, and a process that was forked after the import aborts when it ends. If the
    user has imported ONNX Runtime before, this has no effect.

    Raises
    ------
    DeviceError
        If it cannot be imported.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as error:
        raise DeviceError(f"ONNX Runtime cannot be loaded; is it installed whole? {error}") from error
    return onnxruntime


def open_session(onnx: bytes, name: str, *, device: str, precision: str) -> tuple["ort.InferenceSession", str | None]:
    """Open a session on a device, or on the CPU if that fails.

    Parameters
    ----------
    onnx : bytes
        The serialised model.
    name : str
        Name of the model in errors.
    device : str
        "cpu" or "cuda:N".
    precision : str
        As in `Extractor`.

    Returns
    -------
    InferenceSession, str or None
        The session, and the problem with the GPU if the session runs on the CPU instead.

    Raises
    ------
    ModelError, DeviceError
        If the model cannot be opened on a CPU either.
    """
    if device == "cpu":
        return _open(onnx, name, [devices.CPU]), None
    if hasattr(load(), "preload_dlls"):
        load().preload_dlls()  # finds CUDA and cuDNN in the places where pip installs them
    problem = "ONNX Runtime could not load CUDA or cuDNN; pip install 'fastfid[cuda]' installs both"
    try:
        session = _open(onnx, name, [(devices.CUDA, cuda_options(device, precision)), devices.CPU])
    except (ModelError, DeviceError) as error:
        problem = f"{device} cannot be used: {error}"
        session = _open(onnx, name, [devices.CPU])  # raises if the model itself is at fault
    # ONNX Runtime may also leave CUDA out silently.
    return session, None if devices.CUDA in session.get_providers() else problem


def _open(onnx: bytes, name: str, providers: list[Any]) -> "ort.InferenceSession":
    options = load().SessionOptions()
    options.intra_op_num_threads = num_threads()
    options.log_severity_level = 4  # lower levels print directly to stderr, and errors are raised anyway
    options.use_deterministic_compute = len(providers) > 1
    try:
        # Its own fallback to the CPU would print on stdout.
        return load().InferenceSession(onnx, options, providers=providers, enable_fallback=0)
    except Exception as error:  # ONNX Runtime's exceptions have no narrower common base class
        if says_out_of_memory(error):
            raise DeviceError(f"{name}: out of memory when the model was opened: {error}") from error
        raise ModelError(f"{name}: ONNX Runtime cannot open the model: {error}") from error


def says_out_of_memory(error: Exception) -> bool:
    """Return True if an exception of ONNX Runtime means that it was out of memory."""
    return isinstance(error, MemoryError) or any(text in str(error).lower() for text in _OUT_OF_MEMORY)


def cuda_options(device: str, precision: str) -> dict[str, str]:
    """Return the options of ONNX Runtime's CUDA provider.

    The convolution algorithms are chosen by cuDNN's heuristic, which always makes the same choice. With a search by
    timing, the last digits would depend on the load of the machine. The memory arena grows by the requested size, not
    by doubling.
    """
    return {
        "device_id": device.partition(":")[2],
        "use_tf32": str(int(precision == "tf32")),
        "cudnn_conv_algo_search": "HEURISTIC",
        "arena_extend_strategy": "kSameAsRequested",
    }
