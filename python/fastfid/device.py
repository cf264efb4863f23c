"""Where the network runs: finding a GPU, and asking ONNX Runtime for it honestly."""

import ctypes
import re
import sys
from importlib.metadata import PackageNotFoundError, distribution

from .errors import DeviceError, InputError
from .report import Report

CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"


def visible_gpus() -> int:
    """Count the CUDA devices that the driver shows to this process; 0 without a driver."""
    try:
        cuda = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        count = ctypes.c_int(0)
        if cuda.cuInit(0) != 0 or cuda.cuDeviceGetCount(ctypes.byref(count)) != 0:
            return 0
    except (OSError, AttributeError):
        return 0
    return count.value


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
    """Split a device name into its kind ("auto", "cpu" or "cuda") and its number."""
    match = re.fullmatch(r"(auto|cpu|cuda)(?::(\d+))?", str(device))
    if match is None or (match[2] is not None and match[1] != "cuda"):
        raise InputError(f"device must be auto, cpu, cuda or cuda:N; got {device!r}")
    return match[1], int(match[2] or 0)


def choose(device: str, providers: list[str], report: Report) -> str:
    """Return "cpu" or "cuda:N" for the device asked for.

    Parameters
    ----------
    device : str
        "auto", "cpu", "cuda" or "cuda:N".
    providers : list of str
        What this ONNX Runtime was built with.
    report : Report
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
    return fall_back(device, problem, report)


def fall_back(device: str, problem: str, report: Report) -> str:
    """Answer a GPU that cannot be used: an error where it was asked for by name, a warning and the CPU otherwise."""
    if parse(device)[0] != "auto":
        raise DeviceError(f"{problem} (device='cpu' runs without a GPU)")
    report.warn(f"{problem}; running on the CPU")
    return "cpu"
