"""The modes: which resize and which scaling, in which order, so that the number equals a named tool's."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from . import _core
from .errors import InputError

# From an RGB image (h, w, 3) uint8 to the network's input (3, H, W) float32 in [-1, 1], written in place.
Kernel = Callable[[NDArray[np.uint8], NDArray[np.float32]], None]

MODES: dict[str, Kernel] = {
    "pytorch": _core.resize_pytorch,  # pytorch-fid
    "tensorflow": _core.resize_tensorflow,  # TTUR, torch-fidelity, ADM
    "clean": _core.resize_clean,  # clean-fid, mode "clean"
    "keras": _core.resize_keras,  # the Keras tutorial (Brownlee 2019): scikit-image's resize(order=0)
    "torchmetrics": _core.resize_torchmetrics,  # torchmetrics 1.8 and later, antialias=True (its default)
}


def kernel(mode: str) -> Kernel:
    """Return the kernel of a mode, or raise `InputError` with the modes there are."""
    if mode not in MODES:
        raise InputError(f"mode must be one of {', '.join(MODES)}; got {mode!r}")
    return MODES[mode]
