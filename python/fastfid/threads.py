"""The number of threads that fastfid uses in BLAS and LAPACK, for decoding, and in ONNX Runtime on the CPU."""

import math
import os
from pathlib import Path

from . import _core
from .checks import whole_number
from .errors import InputError

# Larger numbers are probably typos and are refused, because so many threads take minutes to start.
_MOST = max(64, 4 * (os.cpu_count() or 1))

_chosen: int | None = None


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cgroup_quota(root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> float:
    """Return the number of CPUs that this process's control group and its parents allow; infinite without a quota."""
    try:
        lines = [line.split(":", 2) for line in membership.read_text().splitlines()]
    except OSError:
        lines = []
    groups = [(root, Path("/"))]
    for _, controllers, path in (line for line in lines if len(line) == 3):
        if controllers == "":  # version 2
            groups.append((root, Path(path)))
        elif "cpu" in controllers.split(","):
            groups.append((root / "cpu", Path(path)))
    folders = {top / part.relative_to("/") for top, path in groups for part in (path, *path.parents)}
    return min(_quota(folder) for folder in folders | {root / "cpu"})


def _quota(folder: Path) -> float:
    try:
        quota, period = (folder / "cpu.max").read_text().split()[:2]
    except (OSError, ValueError):
        try:
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        except OSError:
            return float("inf")
    try:
        allowed = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):  # "max": no quota
        return float("inf")
    return allowed if allowed > 0 else float("inf")


def _default() -> int:
    text = os.environ.get("FASTFID_NUM_THREADS", "")
    if text:
        number = int(text) if len(text) < 10 and text.isdecimal() else 0
        if not 1 <= number <= _MOST:
            wanted = f"must be a positive whole number, {_MOST} at most on this machine"
            raise InputError(f"FASTFID_NUM_THREADS {wanted}; got {text!r}")
        return number
    return _cpus()


def _cpus() -> int:
    # Rounded up, because two threads use a quota of 1.5 CPUs better than one thread.
    return max(1, math.ceil(min(_affinity(), _cgroup_quota(), _MOST)))


def num_threads() -> int:
    """Return the number of threads in use.

    It is the number given to `set_num_threads`, else the environment variable ``FASTFID_NUM_THREADS``, else the number
    of CPUs that the process may use according to its affinity mask and its cgroup's CPU quota.

    Raises
    ------
    InputError
        If the environment variable is not a valid number of threads.
    """
    return _default() if _chosen is None else _chosen


def set_num_threads(n: int) -> None:
    """Set how many threads fastfid uses in this process from now on.

    BLAS and LAPACK use the number at once. Decoding and ONNX Runtime use it in every `Extractor` opened afterwards.

    Parameters
    ----------
    n : int
        At least 1, and at most 64 or four times the machine's CPUs, whichever is more.

    Raises
    ------
    InputError
        If `n` is not such a number.

    Examples
    --------
    >>> import fastfid
    >>> fastfid.set_num_threads(2)
    """
    global _chosen
    n = whole_number("the number of threads", n, 1, _MOST)
    _core.set_num_threads(n)
    _chosen = n


def _begin() -> None:
    """Set the number of threads of BLAS at import; a bad environment variable raises at the first call, not here."""
    try:
        n = num_threads()
    except InputError:
        n = _cpus()
    _core.set_num_threads(n)


_begin()
