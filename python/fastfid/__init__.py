"""The Fréchet Inception Distance (FID), exact and fast, without PyTorch or TensorFlow.

>>> import fastfid
>>> fid = fastfid.score("generated", "real")  # doctest: +SKIP
"""

import sys

from ._core import __version__
from .compare import Comparison, Side, compare, score, statistics
from .errors import (
    DeviceError,
    FastFIDError,
    FastFIDWarning,
    ImageError,
    InputError,
    LinAlgError,
    ModelError,
    StatisticsMismatch,
)
from .extraction.extractor import Extractor
from .images.preprocess import Preprocessing
from .linalg import sqrtm
from .metrics import moments
from .metrics.extrapolation import Extrapolation, fid_infinity
from .metrics.frechet import frechet_distance, frechet_distance_from_features
from .metrics.intervals import Interval
from .metrics.moments import Statistics
from .provenance import Provenance
from .threads import set_num_threads

__all__ = [
    "Comparison",
    "DeviceError",
    "Extractor",
    "Extrapolation",
    "FastFIDError",
    "FastFIDWarning",
    "ImageError",
    "InputError",
    "Interval",
    "LinAlgError",
    "ModelError",
    "Preprocessing",
    "Provenance",
    "Side",
    "Statistics",
    "StatisticsMismatch",
    "__version__",
    "compare",
    "fid_infinity",
    "frechet_distance",
    "frechet_distance_from_features",
    "score",
    "set_num_threads",
    "sqrtm",
    "statistics",
]

# `fastfid.statistics` is the function. Pickles of 0.1.0 look for the class Statistics in a module of that name.
sys.modules["fastfid.statistics"] = moments
