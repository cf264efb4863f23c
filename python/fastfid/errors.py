"""The exception and warning classes of fastfid."""

import numpy as np


class FastFIDError(Exception):
    """Base class of all fastfid errors; catch this one to catch them all."""


class InputError(FastFIDError, ValueError):
    """An input cannot be used; the message names it and says what to do."""


class UsageError(InputError):
    """Options that do not fit together, or name what there is not; the command ends as if it could not be read."""


class ImageError(InputError):
    """One image cannot be decoded; the message names the file."""


class StatisticsMismatch(InputError):  # noqa: N818 - the public name
    """Two statistics cannot be compared or merged; the message names each field that differs."""


class ModelError(FastFIDError, RuntimeError):
    """A model is missing, damaged, or not the one that its name or hash says."""


class DeviceError(FastFIDError, RuntimeError):
    """A device cannot be used: it does not exist, is out of memory, or the process was forked after it was opened."""


class LinAlgError(FastFIDError, np.linalg.LinAlgError):
    """A matrix has no usable square root."""


class FastFIDWarning(UserWarning):
    """The result is valid, but a reader of the number should know something about it."""
