"""What `certainty` costs beside the covariances and the distance that a FID needs anyway.

    python bench/certainty_cost.py flowers_pool3.npz [--rows 10000 50000] [--dims 2048] [--repeats 3]

The rows are drawn with the mean and the covariance of real features, cut at 0 as Inception's are. Before it times, the
script checks that the influences sum to 0 and that the value is the distance of the same rows. The runs of the three
take turns. Memory is the growth of the process's peak while `certainty` runs, without the rows themselves.
"""

import argparse
import resource
import time
from functools import partial

import numpy as np
from machine import describe
from numpy.typing import NDArray

import fastfid
from fastfid.metrics.base import Need
from fastfid.metrics.moments import Statistics
from fastfid.metrics.rows import Rows


def drawn(features: NDArray[np.float64], n: int, rng: np.random.RandomState) -> NDArray[np.float32]:
    mean, deviations = features.mean(axis=0), features - features.mean(axis=0)
    factor = (deviations / (len(features) - 1) ** 0.5).astype(np.float32)
    rows = np.empty((n, features.shape[1]), np.float32)
    for first in range(0, n, 4096):  # a row of weights for each feature vector
        count = min(4096, n - first)
        noise = 0.05 * rng.standard_normal((count, features.shape[1]))
        rows[first : first + count] = rng.standard_normal((count, len(features))).astype(np.float32) @ factor
        rows[first : first + count] += (mean + noise).astype(np.float32)
    return np.maximum(rows, 0)


def fitted(rows: NDArray[np.float32]) -> fastfid.Fit:
    dims = rows.shape[1]
    statistics = Statistics(dims).update(rows)
    return fastfid.Fit({Need("features", Statistics): statistics, Need("features", Rows): Rows.of(rows)}, len(rows))


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def timed(work):
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def measure(x: NDArray[np.float32], y: NDArray[np.float32], repeats: int) -> None:
    seconds = []
    for repeat in range(repeats + 1):
        covariances, (a, b) = timed(lambda: (fitted(x), fitted(y)))
        first, second = (fit[Need("features", Statistics)] for fit in (a, b))
        moments = first.mu, first.sigma, second.mu, second.sigma
        distance, value = timed(partial(fastfid.frechet_distance, *moments))
        before = peak()
        certainty, sure = timed(partial(fastfid.certainty, a, b))
        if repeat > 0:
            seconds.append((covariances, distance, certainty))
            continue
        memory = peak() - before
        assert not sure.reason, sure.reason
        assert abs(sure.value - value) <= 1e-12 * value
        assert abs(sure.value - fastfid.frechet_distance_from_features(x, y)) < 1e-8 * value
        assert all(abs(each.sum()) < 1e-9 * np.abs(each).sum() for each in (sure.influence_x, sure.influence_y))
    middle = np.median(seconds, axis=0)
    print(
        f"| {len(x)} | {x.shape[1]} | {' | '.join(f'{each:.1f}' for each in middle)} "
        f"| {middle[2] / middle[:2].sum():.1f} | {memory} MiB | {sure.value:.4g} | {sure.corrected:.3g} ± "
        f"{sure.standard_error:.2g} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features")
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 50_000])
    parser.add_argument("--dims", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    features = np.load(options.features)["features"][:, : options.dims].astype(np.float64)
    rng = np.random.RandomState(0)
    print(describe())
    print(
        "| images a side | dims | covariances, s | distance, s | certainty, s | certainty over both | memory | FID "
        "| corrected |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for n in options.rows:
        measure(drawn(features, n, rng), drawn(features, n, rng), options.repeats)


if __name__ == "__main__":
    main()
