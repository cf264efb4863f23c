"""The modes: for each tool, the resize and scaling that reproduce its number."""

from dataclasses import replace
from typing import NamedTuple

from .. import _core
from ..arguments import spelled
from ..errors import InputError
from .own_kernel import own_kernel
from .preprocess import HOW, PRESETS, Kernel, Preprocessing, size_of

MODES: dict[str, Kernel] = {
    "pytorch": _core.resize_pytorch,  # pytorch-fid
    "tensorflow": _core.resize_tensorflow,  # TTUR, torch-fidelity, ADM
    "clean": _core.resize_clean,  # clean-fid, mode "clean"
    "keras": _core.resize_keras,  # the Keras tutorial (Brownlee 2019): scikit-image's resize(order=0)
    "torchmetrics": _core.resize_torchmetrics,  # torchmetrics 1.8 and later, antialias=True (its default)
}

#: clean-fid's names for two of them.
LEGACY = {"legacy_pytorch": "pytorch", "legacy_tensorflow": "tensorflow"}


class Resolved(NamedTuple):
    """A mode, ready for use.

    Attributes
    ----------
    name : str
        The name in the provenance, equal for equal preprocessings. It does not include the layout, which changes no
        number.
    kernel : callable
        Takes an image (h, w, 3) uint8, C-contiguous, and writes (3, H, W) float32 in place. It is thread-safe.
    size : (int, int) or None
        Height and width that the kernel writes; None if it writes any size.
    layout : str or None
        Layout of the network's input, "NCHW" or "NHWC", if the mode states it.
    """

    name: str
    kernel: Kernel
    size: tuple[int, int] | None = None
    layout: str | None = None


def resolve(mode: str | Preprocessing) -> Resolved:
    """Return a mode ready for use.

    Parameters
    ----------
    mode : str or Preprocessing
        A name in `MODES` or `PRESETS`, a `Preprocessing`, or its text form.

    Returns
    -------
    Resolved

    Raises
    ------
    InputError
        If there is no such mode, or its text is wrong. The message lists the modes.

    Examples
    --------
    >>> import numpy as np
    >>> resolve("clean").name, resolve("clean").size
    ('clean', None)
    >>> resolve("size=224 resize=bicubic layout=NHWC").name
    'size=224 resize=bicubic range=0,1 mean=0,0,0 std=1,1,1'
    >>> import numpy as np
    >>> out = np.empty((3, 2, 2), np.float32)
    >>> resolve("size=2 resize=box").kernel(np.full((4, 6, 3), 255, np.uint8), out)
    >>> float(out.min())
    1.0
    """
    if isinstance(mode, str) and mode in MODES:
        return Resolved(str(mode), MODES[mode])
    if isinstance(mode, str) and (mode.strip() in PRESETS or "=" in mode):
        mode = Preprocessing.parse(mode)
    if isinstance(mode, str) and mode in LEGACY:
        raise InputError(f"mode {mode!r} is clean-fid's name; here it is {spelled('mode', LEGACY[mode])}")
    if not isinstance(mode, Preprocessing):
        raise InputError(
            f"mode must be one of {', '.join(MODES)}; got {mode!r}. "
            f"For a network other than Inception: {', '.join(PRESETS)}, or {HOW}"
        )
    return Resolved(str(replace(mode, layout=None)), own_kernel(mode), size_of(mode), mode.layout)


def kernel(mode: str | Preprocessing) -> Kernel:
    """Return the kernel of a mode; raise `InputError` if there is no such mode."""
    return resolve(mode).kernel
