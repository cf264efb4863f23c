"""Every exception and warning class that fastfid raises on purpose."""

import numpy as np


class FastFIDError(Exception):
    """Base of all fastfid errors: catch this one to catch them all."""


class InputError(FastFIDError, ValueError):
    """Something given to fastfid cannot be scored; the message names it and the way out."""


class ImageError(InputError):
    """One image cannot be decoded; the message names the file."""


class StatisticsMismatch(InputError):  # noqa: N818 - the public name
    """Two statistics whose distance would be meaningless; the message names each differing field."""


class ModelError(FastFIDError, RuntimeError):
    """A model is missing, damaged, or not what its name promises."""


class DeviceError(FastFIDError, RuntimeError):
    """A device cannot be used as asked: it is not there, its memory does not suffice, or a fork cut it off."""


class LinAlgError(FastFIDError, np.linalg.LinAlgError):
    """A matrix without the square root that was asked for."""


class FastFIDWarning(UserWarning):
    """The result stands, but the reader of the number should know something about it."""
