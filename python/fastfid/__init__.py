"""The Fréchet Inception Distance (FID), exact and fast, without PyTorch or TensorFlow.

>>> import fastfid
>>> fid = fastfid.score("generated", "real")  # doctest: +SKIP
"""

from ._core import __version__
from .api import Comparison, Side, compare, score, statistics
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
from .extractor import Extractor
from .frechet import frechet_distance, frechet_distance_from_features
from .linalg import sqrtm
from .provenance import Provenance
from .statistics import Statistics
from .threads import set_num_threads

__all__ = [
    "Comparison",
    "DeviceError",
    "Extractor",
    "FastFIDError",
    "FastFIDWarning",
    "ImageError",
    "InputError",
    "LinAlgError",
    "ModelError",
    "Provenance",
    "Side",
    "Statistics",
    "StatisticsMismatch",
    "__version__",
    "compare",
    "frechet_distance",
    "frechet_distance_from_features",
    "score",
    "set_num_threads",
    "sqrtm",
    "statistics",
]
