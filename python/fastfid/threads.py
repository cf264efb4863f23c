"""How many threads fastfid uses: in BLAS and LAPACK, in decoding, and in ONNX Runtime's CPU provider."""

import math
import os
from pathlib import Path

from . import _core
from .checks import whole_number
from .errors import InputError

# What a typo asks for is refused: so many threads take minutes to start, and longer to wait for each other.
_MOST = max(64, 4 * (os.cpu_count() or 1))

_chosen: int | None = None


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cgroup_quota(root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> float:
    """CPUs that the quotas of this process's control group and of those above it allow (infinite without any)."""
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
    # Rounded up: a quota of 1.5 CPUs is served better by two threads than by one.
    return max(1, math.ceil(min(_affinity(), _cgroup_quota(), _MOST)))


def num_threads() -> int:
    """Return the number of threads in use.

    What `set_num_threads` chose, else the environment variable ``FASTFID_NUM_THREADS``, else the CPUs that the process
    may run on: its affinity mask, cut by the cgroup's CPU quota.

    Raises
    ------
    InputError
        Where the environment variable holds something else than a number of threads.
    """
    return _default() if _chosen is None else _chosen


def set_num_threads(n: int) -> None:
    """Set how many threads fastfid uses, in this process, from now on.

    It holds for BLAS and LAPACK at once, and for decoding and ONNX Runtime in every `Extractor` made afterwards.

    Parameters
    ----------
    n : int
        At least 1, and at most 64 or four times the machine's CPUs, whichever is more.

    Raises
    ------
    InputError
        Where `n` is no such number.

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
    """Tell BLAS at import; what is wrong with the environment is for the first call to say, not for the import."""
    try:
        n = num_threads()
    except InputError:
        n = _cpus()
    _core.set_num_threads(n)


_begin()
