"""The sets behind golden/metrics.json, and fits that hold given rows as they are, in float64 too."""

import json
from pathlib import Path

import numpy as np

from fastfid import Fit
from fastfid.metrics.rows import ROWS, Rows

GOLDEN = json.loads((Path(__file__).parent / "golden" / "metrics.json").read_text())

X = np.random.RandomState(0).randn(300, 64)  # real
Y = np.random.RandomState(1).randn(300, 64) + 0.1  # generated
# Few values, so that many distances are equal, and images have copies.
REAL, GENERATED = (np.random.RandomState(seed).randint(0, 3, (n, 4)).astype(float) for seed, n in ((2, 90), (3, 70)))


def fit(rows, need=ROWS):
    return Fit({need: Rows.of(rows)}, len(rows))


def rotation(dims, seed=0):
    return np.linalg.qr(np.random.RandomState(seed).randn(dims, dims))[0]


def agree(ours, theirs, most=4.0):
    """Assert that two samples of random numbers have the same mean, to `most` standard errors of the difference."""
    error = np.sqrt(np.var(ours, ddof=1) / len(ours) + np.var(theirs, ddof=1) / len(theirs))
    assert abs(np.mean(ours) - np.mean(theirs)) <= most * error
