"""File systems that do not keep the time at which a file was last changed, or let programs set it."""

import os
import time
from functools import lru_cache
from pathlib import Path

#: Images of file systems, which are replaced as a whole and have the times that their makers gave them; those of
#: cameras and sticks; and those of user space, most of which know one time only, or number their files anew each time.
_UNSURE = frozenset({"squashfs", "erofs", "iso9660", "udf", "cramfs", "romfs", "vfat", "msdos", "exfat", "9p", "fuse"})
_TABLE = Path("/proc/self/mountinfo")
_PERIOD = 10  # seconds for which an answer holds


def tells_changes(device: int) -> bool:
    """Return False for a device on which the times of a file do not surely tell that it has changed.

    Where the system has no table of its mounts, or the device is not in it, True.
    """
    return _tells(device, int(time.monotonic() // _PERIOD))


@lru_cache(maxsize=64)
def _tells(device: int, _: int) -> bool:
    try:
        lines = _TABLE.read_text("utf-8", "replace").splitlines()
    except OSError:
        return True
    number = f"{os.major(device)}:{os.minor(device)}"
    kinds = [line.partition(" - ")[2].partition(" ")[0] for line in lines if line.split(" ", 3)[2:3] == [number]]
    return not any(kind.partition(".")[0] in _UNSURE for kind in kinds)
