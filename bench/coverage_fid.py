"""How often the limits of `certainty` contain the true FID, and how good its other figures are.

    python bench/coverage_fid.py flowers_pool3.npz [--trials 400] [--rows 320 640 2000] [--dims 64]

Each trial draws two sets of rows with replacement from two populations, whose exact moments give the true FID. The
populations are real features of flowers (all; one mean shifted; one covariance changed; the classes mixed otherwise;
two classes) and synthetic rows with heavy tails (Student's t with 6 degrees of freedom, spectrum 1/i).

Columns: the error of `corrected` on average, in standard errors; the mean standard error (root mean square) over the
true deviation of `corrected`; how often the limits contain the truth; and, for one population, the mean noise floor
over the mean FID, and the Kolmogorov-Smirnov p of the p-values against uniform ones; else how often p is below 0.05.
"""

import argparse
import time
from collections.abc import Iterator

import numpy as np
from machine import describe
from numpy.typing import NDArray

import fastfid

Rows = NDArray[np.float64]
NULL = "one population"


def populations(features: Rows, labels: NDArray[np.int64], dims: int) -> Iterator[tuple[str, Rows, Rows]]:
    rng = np.random.RandomState(5)
    mean = features.mean(axis=0)
    yield f"flowers, {NULL}", features, features
    yield "flowers, mean shifted", features, features + 0.15 * features.std(axis=0) * rng.choice([-1, 1], dims)
    yield "flowers, covariance changed", features, mean + (features - mean) * np.exp(0.2 * rng.standard_normal(dims))
    first, second = (features[labels == label] for label in np.unique(labels)[:2])
    yield "flowers, classes mixed otherwise", features, np.concatenate([features, first, first])
    yield "flowers, two classes", first, second
    tails = rng.standard_normal((20_000, dims)) / np.sqrt(rng.chisquare(6, (20_000, 1)) / 6)
    tails /= np.sqrt(np.arange(1, dims + 1))
    yield f"heavy tails, {NULL}", tails, tails
    yield "heavy tails, covariance changed", tails, tails * np.exp(0.15 * rng.standard_normal(dims))


def true_distance(a: Rows, b: Rows) -> float:
    moments = [(p.mean(axis=0), np.cov(p.T, bias=True)) for p in (a, b)]
    return fastfid.frechet_distance(*moments[0], *moments[1])


def uniform(values: Rows) -> float:
    """Return the p-value of the Kolmogorov-Smirnov test against the uniform distribution."""
    values, n = np.sort(values), len(values)
    distance = max((np.arange(1, n + 1) / n - values).max(), (values - np.arange(n) / n).max())
    scaled = (n**0.5 + 0.12 + 0.11 / n**0.5) * distance  # Stephens 1970
    k = np.arange(1, 101)
    return float(np.clip(2 * np.sum((-1.0) ** (k - 1) * np.exp(-2 * (k * scaled) ** 2)), 0, 1))


def measure(name: str, a: Rows, b: Rows, n: int, trials: int) -> None:
    rng, truth, start = np.random.RandomState(0), true_distance(a, b), time.perf_counter()
    found = []
    for _ in range(trials):
        x, y = (p[rng.randint(0, len(p), n)] for p in (a, b))
        found.append(fastfid.certainty(x, y))
    if reason := found[0].reason:
        raise SystemExit(f"{name}, {n} rows: {reason}")
    seconds = (time.perf_counter() - start) / trials
    fid, corrected, floor, error, low, high, p = np.array(
        [(c.fid, c.corrected, c.noise_floor, c.standard_error, c.low, c.high, c.p_value) for c in found]
    ).T
    claimed = np.sqrt(np.mean(error**2))
    inside = 100 * np.mean((low <= truth) & (truth <= high))
    null = NULL in name
    tests = f"{floor.mean() / fid.mean():.3f} | {uniform(p):.3f} |" if null else f"- | {np.mean(p < 0.05):.0%} |"
    print(
        f"| {name} | {a.shape[1]} | {n} | {truth:.4g} | {fid.mean():.4g} | {(corrected.mean() - truth) / claimed:+.2f} "
        f"| {claimed / corrected.std(ddof=1):.2f} | {inside:.1f} % | {tests} {seconds:.2f} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features")
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--rows", type=int, nargs="+", default=[320, 640, 2000])
    parser.add_argument("--dims", type=int, default=64)
    options = parser.parse_args()
    stored = np.load(options.features)
    few = np.random.RandomState(1).permutation(stored["features"].shape[1])[: options.dims]
    features = stored["features"][:, few].astype(np.float64)
    print(describe())
    print(
        "| populations | dims | images a side | true FID | mean FID | error of corrected | error / deviation "
        "| coverage | floor / FID | p uniform; below .05 | seconds |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for n in options.rows:
        for name, a, b in populations(features, stored["labels"], options.dims):
            measure(name, a, b, n, options.trials)


if __name__ == "__main__":
    main()
