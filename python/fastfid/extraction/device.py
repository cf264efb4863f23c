"""Where the network runs: finding a GPU, and asking ONNX Runtime for it honestly."""

import ctypes
import re
import sys
import weakref
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import shown
from ..errors import DeviceError, InputError
from ..messages import Messages

CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"
ALL_GPUS = "cuda:all"


def _driver() -> Any:
    return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")


def visible_gpus() -> int:
    """Count the CUDA devices that the driver shows to this process; 0 without a driver."""
    try:
        cuda = _driver()
        count = ctypes.c_int(0)
        if cuda.cuInit(0) != 0 or cuda.cuDeviceGetCount(ctypes.byref(count)) != 0:
            return 0
    except (OSError, AttributeError):
        return 0
    return count.value


def pin(array: NDArray[np.float32], device: str) -> bool:
    """Lock the pages of an array, so that the GPU can copy from it while it computes; undone when the array goes.

    Parameters
    ----------
    array : ndarray
        Owns its memory.
    device : str
        "cuda:N".

    Returns
    -------
    bool
        False where the driver will not: copies are slower then, and the same.
    """
    portable = 1  # CU_MEMHOSTREGISTER_PORTABLE: pinned for the context that ONNX Runtime uses, whichever it is
    number, context = ctypes.c_int(), ctypes.c_void_p()
    memory, size = ctypes.c_void_p(array.ctypes.data), ctypes.c_size_t(array.nbytes)
    try:
        cuda = _driver()
        if (
            cuda.cuInit(0)
            or cuda.cuDeviceGet(ctypes.byref(number), parse(device)[1])
            or cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), number)
        ):
            return False
        failed = _in_context(cuda, context, cuda.cuMemHostRegister_v2, memory, size, portable)
    except (OSError, AttributeError):
        return False
    if not failed:
        unlock = weakref.finalize(array, _in_context, cuda, context, cuda.cuMemHostUnregister, memory)
        unlock.atexit = False  # the end of the process does it, and a forked one must not ask the driver
    return not failed


def _in_context(cuda: Any, context: ctypes.c_void_p, function: Any, *arguments: Any) -> bool:
    """Call a function of the driver with a context current in this thread; return whether it failed."""
    if cuda.cuCtxPushCurrent_v2(context):
        return True
    try:
        return bool(function(*arguments))
    finally:
        cuda.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))


def both_runtimes() -> str | None:
    """Say what is wrong, and how to mend it, where two ONNX Runtime packages overwrite each other."""
    try:
        distribution("onnxruntime")
        distribution("onnxruntime-gpu")
    except PackageNotFoundError:
        return None
    return (
        "both onnxruntime and onnxruntime-gpu are installed; they share one folder and the CPU package hides CUDA. "
        "To mend it: pip uninstall onnxruntime onnxruntime-gpu, then pip install onnxruntime-gpu"
    )


def parse(device: str) -> tuple[str, int]:
    """Split a device name into its kind ("auto", "cpu" or "cuda") and its number; torch says "cpu:0" for "cpu"."""
    match = re.fullmatch(r"(auto)|(cpu)(?::0)?|(cuda)(?::([0-9]{1,4}))?", str(device))
    if match is None:
        raise InputError(f"device must be auto, cpu, cuda or cuda:N; got {device!r}")
    return match[1] or match[2] or match[3], int(match[4] or 0)


def parse_devices(devices: str) -> tuple[str, ...]:
    """Split a list of devices into their names.

    Parameters
    ----------
    devices : str
        One name, as for `parse`; several with commas between, of which none is "auto"; or "cuda:all", which stays as it
        is: only the driver can count the GPUs.

    Raises
    ------
    InputError
        If `devices` is none of these.

    Examples
    --------
    >>> parse_devices("cuda:0, cuda:1"), parse_devices("auto"), parse_devices("cuda:all")
    (('cuda:0', 'cuda:1'), ('auto',), ('cuda:all',))
    """
    if "," not in str(devices):
        if devices != ALL_GPUS:
            parse(devices)
        return (str(devices),)
    names = tuple(name.strip() for name in str(devices).split(","))
    for name in names:
        if name in ("auto", ALL_GPUS):
            raise InputError(f"device {name!r} cannot be part of a list; got {shown(devices)}")
        parse(name)
    return names


def choose(device: str, providers: list[str], messages: Messages) -> str:
    """Return "cpu" or "cuda:N" for the device asked for.

    Parameters
    ----------
    device : str
        "auto", "cpu", "cuda" or "cuda:N".
    providers : list of str
        What this ONNX Runtime was built with.
    messages : Messages
        Gets a warning where "auto" finds a GPU that cannot be used.

    Raises
    ------
    DeviceError
        Where a GPU was asked for by name and cannot be used.
    """
    kind, number = parse(device)
    if kind == "cpu":
        return "cpu"
    gpus = visible_gpus()
    if kind == "auto" and gpus == 0:
        return "cpu"
    problem = None
    if number >= gpus:
        problem = f"{device} was asked for, but {gpus} CUDA devices are visible"
    elif CUDA not in providers:
        problem = both_runtimes() or (
            "a GPU is visible, but this ONNX Runtime was built without CUDA; pip uninstall onnxruntime, then "
            "pip install 'fastfid[cuda]'"
        )
    if problem is None:
        return f"cuda:{number}"
    return fall_back(device, problem, messages)


def fall_back(device: str, problem: str, messages: Messages) -> str:
    """Answer a GPU that cannot be used: an error where it was asked for by name, a warning and the CPU otherwise."""
    if parse(device)[0] != "auto":
        raise DeviceError(f"{problem} (device='cpu' runs without a GPU)")
    messages.warn(f"{problem}; running on the CPU")
    return "cpu"
