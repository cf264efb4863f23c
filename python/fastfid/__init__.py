"""The Fréchet Inception Distance (FID), exact and fast, without PyTorch or TensorFlow.

>>> import fastfid
>>> fid = fastfid.score("generated", "real")  # doctest: +SKIP
"""

from ._core import __version__
from .against import Against
from .compare import compare, score
from .comparison import Comparison
from .difference import Cause, Explanation, diff
from .engines.base import Engine, How
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
from .fdr import FDr, fdr
from .fit import Facts, Fit, Side
from .gate import gate
from .history import History
from .history_entry import Entry
from .images.preprocess import Preprocessing
from .linalg import sqrtm
from .metrics.authpct import AuthPct
from .metrics.base import Accumulator, Metric, Need, Score
from .metrics.certainty import Certainty
from .metrics.cmmd import CMMD
from .metrics.extrapolation import Extrapolation, fid_infinity
from .metrics.fid import FID
from .metrics.fid_certainty import certainty
from .metrics.frechet import frechet_distance, frechet_distance_from_features
from .metrics.inception_score import InceptionScore
from .metrics.intervals import Interval
from .metrics.kid import KID
from .metrics.mind import MIND
from .metrics.moments import Statistics
from .metrics.prdc import PRDC
from .metrics.saved import load, save
from .metrics.sfid import SFID
from .metrics.vendi import Vendi
from .monitor import Monitor
from .one_side import fit, statistics
from .plan import plan
from .planned import Plan, Reading
from .prepare import prepare
from .protocols.prepared import Prepared
from .provenance import Provenance
from .rank import rank
from .ranking import Ranking
from .reference import reference
from .sharding import merge, shard
from .sources import Item, Piece, Source
from .standings import Gap, Standing
from .threads import set_num_threads
from .verdicts import Check, Gate

__all__ = [
    "CMMD",
    "FID",
    "KID",
    "MIND",
    "PRDC",
    "SFID",
    "Accumulator",
    "Against",
    "AuthPct",
    "Cause",
    "Certainty",
    "Check",
    "Comparison",
    "DeviceError",
    "Engine",
    "Entry",
    "Explanation",
    "Extractor",
    "Extrapolation",
    "FDr",
    "Facts",
    "FastFIDError",
    "FastFIDWarning",
    "Fit",
    "Gap",
    "Gate",
    "History",
    "How",
    "ImageError",
    "InceptionScore",
    "InputError",
    "Interval",
    "Item",
    "LinAlgError",
    "Metric",
    "ModelError",
    "Monitor",
    "Need",
    "Piece",
    "Plan",
    "Prepared",
    "Preprocessing",
    "Provenance",
    "Ranking",
    "Reading",
    "Score",
    "Side",
    "Source",
    "Standing",
    "Statistics",
    "StatisticsMismatch",
    "Vendi",
    "__version__",
    "certainty",
    "compare",
    "diff",
    "fdr",
    "fid_infinity",
    "fit",
    "frechet_distance",
    "frechet_distance_from_features",
    "gate",
    "load",
    "merge",
    "plan",
    "prepare",
    "rank",
    "reference",
    "save",
    "score",
    "set_num_threads",
    "shard",
    "sqrtm",
    "statistics",
]
