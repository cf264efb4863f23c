"""How often the 95 % intervals of `compare(bootstrap=...)` contain the true value, on real Inception features.

    python bench/coverage.py flowers_pool3.npz [--trials 100]

The features (n, 2048) are the population: each trial draws two sets of rows from them with replacement. The true value
is the mean FID of such pairs, because an interval is about the FID at its own number of images. The bootstrap is
measured at all 2048 dims, and the jackknife, which needs more rows than dims, at 64 of them.
"""

import argparse
import time

import numpy as np
from machine import describe

from fastfid.metrics.frechet import distance, gaussian_from_rows
from fastfid.metrics.intervals import Blocks, Interval, bootstrap, jackknife


def by_bootstrap(x: np.ndarray, y: np.ndarray, value: float) -> Interval:
    return bootstrap([gaussian_from_rows(x), gaussian_from_rows(y)], value, 50, seed=0)


def by_jackknife(x: np.ndarray, y: np.ndarray, value: float) -> Interval:
    blocks = [Blocks(x.shape[1]), Blocks(x.shape[1])]
    for dealt, rows in zip(blocks, (x, y), strict=True):
        dealt.update(rows.astype(np.float32))
    return jackknife([gaussian_from_rows(x), gaussian_from_rows(y)], blocks, value)


def measure(name: str, interval, population: np.ndarray, n: int, trials: int) -> None:
    rng = np.random.RandomState(0)
    pairs = [[population[rng.randint(0, len(population), n)] for _ in "xy"] for _ in range(trials)]
    fids = np.array([distance(gaussian_from_rows(x), gaussian_from_rows(y)).value for x, y in pairs])
    start = time.perf_counter()
    found = [interval(x, y, fid) for (x, y), fid in zip(pairs, fids, strict=True)]
    seconds = (time.perf_counter() - start) / trials
    covered = np.mean([i.low <= fids.mean() <= i.high for i in found])
    error = np.mean([i.standard_error for i in found])
    print(
        f"| {name} | {population.shape[1]} | {n} | {fids.mean():.4g} | {fids.std(ddof=1):.3g} | {error:.3g} "
        f"| {100 * covered:.0f} % | {seconds:.2f} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features")
    parser.add_argument("--trials", type=int, default=100)
    options = parser.parse_args()
    features = np.load(options.features)["features"].astype(np.float64)
    few = features[:, np.random.RandomState(1).permutation(features.shape[1])[:64]]
    print(describe())
    print("| interval | dims | images a side | mean FID | its deviation | mean standard error | coverage | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    measure("bootstrap, 50 replicates", by_bootstrap, features, 100, options.trials)
    measure("bootstrap, 50 replicates", by_bootstrap, features, 300, options.trials // 2)
    measure("jackknife, 20 groups", by_jackknife, few, 500, options.trials)
    measure("jackknife, 20 groups", by_jackknife, few, 3000, options.trials)


if __name__ == "__main__":
    main()
