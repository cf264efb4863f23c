"""Parses the names of devices, and chooses the device that runs the network."""

import ctypes
import re
import sys
import weakref
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arguments import spelled
from ..checks import shown
from ..errors import DeviceError, InputError
from ..messages import Messages
from .accelerators import ACCELERATORS, kind_of

ALL_GPUS = "cuda:all"
# Each of these builds of ONNX Runtime has the providers of one vendor, and all have one folder.
_BUILDS = ("onnxruntime", *(f"onnxruntime-{name}" for name in ("gpu", "openvino", "directml", "migraphx", "webgpu")))
_OTHERS = ", ".join(name for name in ACCELERATORS if name not in ("cpu", "cuda"))


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
    """Lock the pages of an array until it is deleted, so that the GPU can copy from it while it computes.

    Parameters
    ----------
    array : ndarray
        Must own its memory.
    device : str
        "cuda:N".

    Returns
    -------
    bool
        False if the driver refuses; then copies are slower but give the same result.
    """
    portable = 1  # CU_MEMHOSTREGISTER_PORTABLE: locked for all contexts, including the one that ONNX Runtime uses
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
        unlock.atexit = False  # the end of the process unlocks them, and a forked process must not call the driver
    return not failed


def _in_context(cuda: Any, context: ctypes.c_void_p, function: Any, *arguments: Any) -> bool:
    """Call a function of the driver with this context in the current thread; return True if it failed."""
    if cuda.cuCtxPushCurrent_v2(context):
        return True
    try:
        return bool(function(*arguments))
    finally:
        cuda.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))


def both_runtimes() -> str | None:
    """Return a warning if two ONNX Runtime packages overwrite each other, else None."""
    found = [name for name in _BUILDS if _installed(name)]
    if len(found) < 2:
        return None
    return (
        f"{' and '.join(found)} are installed; they share one folder, and one hides the devices of the other. "
        f"To fix it: pip uninstall {' '.join(found)}, then pip install {found[-1]}"
    )


def _installed(name: str) -> bool:
    try:
        return bool(distribution(name))
    except PackageNotFoundError:
        return False


def parse(device: str) -> tuple[str, int]:
    """Split a device name into its kind ("auto", or a key of `ACCELERATORS`) and its number; accepts torch's "cpu:0".

    Examples
    --------
    >>> parse("cuda:1"), parse("openvino")
    (('cuda', 1), ('openvino', 0))
    """
    match = re.fullmatch(r"([a-z-]+)(?::([0-9]{1,4}))?", str(device))
    kind, number = (match[1], match[2]) if match else ("", None)
    if kind == "auto" and number is None:
        return kind, 0
    if kind not in ACCELERATORS or not (number is None or ACCELERATORS[kind].numbered or device == "cpu:0"):
        raise InputError(f"device must be auto, cpu, cuda or cuda:N, or one of {_OTHERS}; got {shown(device)}")
    return kind, int(number or 0)


def named(kind: str, number: int) -> str:
    """Return the one name of a device: "cpu", "cuda:0"."""
    return f"{kind}:{number}" if ACCELERATORS[kind].numbered else kind


def parse_devices(devices: str) -> tuple[str, ...]:
    """Split a list of devices into their names.

    Parameters
    ----------
    devices : str
        One name, as for `parse`; several separated by commas, none of them "auto"; or "cuda:all", which is returned
        unchanged, because only the driver can count the GPUs.

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
    """Return the one name of the device that an option asks for, such as "cpu" or "cuda:0".

    Parameters
    ----------
    device : str
        "auto", or a name as in docs/devices.md.
    providers : list of str
        The providers that this ONNX Runtime was built with.
    messages : Messages
        Gets a warning if "auto" finds a GPU that is unusable.

    Raises
    ------
    DeviceError
        If the GPU you name is unusable.
    """
    kind, number = parse(device)
    chosen = named("cuda" if kind == "auto" else kind, number)
    accelerator = kind_of(chosen)
    if not accelerator.driver:
        return chosen
    gpus = visible_gpus()
    if kind == "auto" and gpus == 0:
        return "cpu"
    problem = None
    if number >= gpus:
        problem = f"{device} is not available: {gpus} CUDA devices are visible"
    elif accelerator.provider not in providers:
        problem = both_runtimes() or (
            f"a GPU is visible, but this ONNX Runtime was built without {accelerator.provider}: {accelerator.install}"
        )
    if problem is None:
        return chosen
    return fall_back(device, problem, messages)


def fall_back(device: str, problem: str, messages: Messages) -> str:
    """Handle an unusable device: raise `DeviceError` if `device` names it, else warn and return "cpu"."""
    if parse(device)[0] != "auto":
        raise DeviceError(f"{problem} ({spelled('device', 'cpu')} runs on the CPU)")
    messages.warn(f"{problem}; running on the CPU")
    return "cpu"
