"""The machine and versions that a table was measured with, in one line."""

import datetime
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fastfid.threads import num_threads


def cpu() -> str:
    """Model name of the CPU, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown CPU")


def describe(*packages: str) -> str:
    """Date, CPU, threads and versions."""
    found = []
    for name in ("fastfid", "numpy", "onnxruntime-gpu", "onnxruntime", *packages):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return f"{datetime.date.today()}, {cpu()}, {num_threads()} threads, {', '.join(found)}\n"
