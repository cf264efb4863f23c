"""Imports ONNX Runtime and opens its sessions; no other module of the package does."""

import os
from contextlib import suppress
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from ..errors import DeviceError, ModelError
from ..threads import num_threads
from .accelerators import ACCELERATORS, kind_of
from .device import parse
from .plugins import built_in, plugin_device
from .signature import batch_symbol

if TYPE_CHECKING:
    import onnxruntime as ort

CPU = ACCELERATORS["cpu"].provider
_RECORD = "session.record_ep_graph_assignment_info"  # lets `left_to_the_cpu` ask

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


def open_session(
    onnx: bytes, name: str, *, device: str, precision: str, batch_size: int
) -> tuple["ort.InferenceSession", str | None]:
    """Open a session on a device, or on the CPU if that fails.

    Parameters
    ----------
    onnx : bytes
        The serialised model.
    name : str
        Name of the model in errors.
    device : str
        As `device.choose` returns it.
    precision : str
        As in `Extractor`.
    batch_size : int
        Images per run, for a provider that compiles the model for one number of them.

    Returns
    -------
    InferenceSession, str or None
        The session, and the problem with the device if the session runs on the CPU instead.

    Raises
    ------
    ModelError, DeviceError
        If the model cannot be opened on a CPU either.
    """
    if device == "cpu":
        return _open(onnx, name, _options(), [CPU]), None
    accelerator = kind_of(device)
    options, providers = _far(onnx, device, precision, batch_size)
    try:
        session = _open(onnx, name, options, providers)
    except (ModelError, DeviceError) as error:
        session = _open(onnx, name, _options(), [CPU])  # raises if the model itself is at fault
        return session, f"{device} cannot be used: {error}"
    if accelerator.provider not in session.get_providers():  # ONNX Runtime may leave a provider out silently
        return (
            session,
            f"ONNX Runtime could not start {accelerator.provider} for {device}: it needs {accelerator.needs}",
        )
    left, nodes = left_to_the_cpu(session)
    if left and len(left) == nodes:
        return session, f"{device} cannot be used: {accelerator.provider} leaves all of {name} to the CPU"
    return session, None


def _far(onnx: bytes, device: str, precision: str, batch_size: int) -> tuple[Any, list[Any] | None]:
    """Return the options of a session on an accelerator, and its providers unless the options have them."""
    accelerator, number = kind_of(device), parse(device)[1]
    if accelerator.driver and hasattr(load(), "preload_dlls"):
        load().preload_dlls()  # finds CUDA and cuDNN in the places where pip installs them
    for module in accelerator.libraries:
        with suppress(ImportError):
            import_module(module)
    options = _options()
    options.use_deterministic_compute = True
    options.add_session_config_entry(_RECORD, "1")
    if accelerator.one_shape:
        options.enable_mem_pattern = False  # DirectML refuses it; the others have one node
        if symbol := batch_symbol(onnx):
            options.add_free_dimension_override_by_name(symbol, batch_size)
    settings = accelerator.settings(number, precision, num_threads())
    if built_in(load(), accelerator):
        return options, [(accelerator.provider, {**accelerator.select(number), **settings}), CPU]
    options.add_provider_for_devices([plugin_device(load(), device)], settings)
    return options, None


def _options() -> Any:
    options = load().SessionOptions()
    options.intra_op_num_threads = num_threads()
    options.log_severity_level = 4  # lower levels print directly to stderr, and errors are raised anyway
    return options


def left_to_the_cpu(session: "ort.InferenceSession") -> tuple[list[str], int]:
    """Return the kinds of the nodes that an accelerator leaves to the CPU, and the number of all nodes.

    Both are empty if ONNX Runtime is older than 1.24, which does not tell.
    """
    if not hasattr(session, "get_provider_graph_assignment_info"):
        return [], 0
    parts = [(part.ep_name, part.get_nodes()) for part in session.get_provider_graph_assignment_info()]
    left = [node.op_type for provider, nodes in parts if provider == CPU for node in nodes]
    return left, sum(len(nodes) for _, nodes in parts)


def _open(onnx: bytes, name: str, options: Any, providers: list[Any] | None) -> "ort.InferenceSession":
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


def versions(device: str) -> dict[str, str]:
    """Return the versions of ONNX Runtime and of the plugin that a device needs."""
    found, accelerator = {"onnxruntime": load().__version__}, kind_of(device)
    if accelerator.plugin and not built_in(load(), accelerator):
        found[accelerator.plugin] = version(accelerator.plugin)
    return found
