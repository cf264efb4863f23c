"""Whether the standard errors and limits of KID, of the Inception Score and of `fid_infinity` are right.

    python bench/standard_errors.py flowers_pool3.npz [--trials 1000] [--dims 64 2048] [--only kid is infinity]

Each trial draws rows with replacement from populations of real features of flowers, so that the true value is that of
the population. The logits are those features times a fixed random matrix, as sharp as the table says.

Columns: the error of `corrected` on average, in its true deviations; the root mean square of the standard errors over
the true deviation of `corrected`; how often the limits contain the truth; and, for one population, the
Kolmogorov-Smirnov p of the p-values against uniform ones, else how often p is below 0.05. For `fid_infinity`: its mean
and deviation, one side extrapolated and both.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from coverage import NULL, uniform
from machine import describe
from numpy.typing import NDArray

import fastfid
from fastfid.metrics.inception_score import LOGITS
from fastfid.metrics.rows import ROWS, Rows

Matrix = NDArray[np.float64]
UNEQUAL = (0.5, 1.5)  # of the rows, the last size


def fit(need: Any, rows: Matrix) -> fastfid.Fit:
    return fastfid.Fit({need: Rows.of(rows)}, len(rows))


def populations(features: Matrix, labels: NDArray[np.int64]) -> list[tuple[str, Matrix, Matrix]]:
    rng, mean = np.random.RandomState(5), features.mean(axis=0)
    first, second = (features[labels == label] for label in np.unique(labels)[:2])
    signs, factors = rng.choice([-1, 1], features.shape[1]), np.exp(0.2 * rng.standard_normal(features.shape[1]))
    return [
        (NULL, features, features),
        ("mean shifted by 0.05", features, features + 0.05 * features.std(axis=0) * signs),
        ("mean shifted by 0.15", features, features + 0.15 * features.std(axis=0) * signs),
        ("covariance changed", features, mean + (features - mean) * factors),
        ("classes mixed otherwise", features, np.concatenate([features, first, second])),
        ("two classes", first, second),
    ]


def true_kid(x: Matrix, y: Matrix) -> float:
    def mean(a: Matrix, b: Matrix) -> float:
        return float(((a @ b.T / a.shape[1] + 1) ** 3).mean())

    return mean(x, x) + mean(y, y) - 2 * mean(x, y)


def true_score(logits: Matrix) -> float:
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return float(np.exp(np.sum(p * (np.log(p) - np.log(p.mean(axis=0))), axis=1).mean()))


def row(name: str, dims: int, n: Any, truth: float, found: Sequence[fastfid.Certainty], seconds: float) -> None:
    known = [c for c in found if not c.reason]
    if not known:
        print(f"| {name} | {dims} | {n} | {truth:.4g} | refused: {found[0].reason} | | | | |", flush=True)
        return
    corrected, error, low, high = np.array([(c.corrected, c.standard_error, c.low, c.high) for c in known], float).T
    deviation, inside = corrected.std(ddof=1), np.mean((low <= truth) & (truth <= high))
    p = np.array([np.nan if c.p_value is None else c.p_value for c in known])
    tests = "-" if np.isnan(p).any() else f"{uniform(p):.3f}" if NULL in name else f"{np.mean(p < 0.05):.0%}"
    mean = np.mean([c.value for c in found])
    print(
        f"| {name} | {dims} | {n} | {truth:.4g} | {mean:.4g} | {(corrected.mean() - truth) / deviation:+.2f} "
        f"| {np.sqrt(np.mean(error**2)) / deviation:.3f} | {inside:.1%} | {tests} | {seconds:.2f} |",
        flush=True,
    )


def trials(count: int, draw: Callable[[np.random.RandomState], fastfid.Score]) -> tuple[list[Any], float]:
    start = time.perf_counter()
    found = [draw(np.random.RandomState(seed)).certainty for seed in range(count)]
    return found, (time.perf_counter() - start) / count


def kid(features: Matrix, labels: NDArray[np.int64], rows: Sequence[int], count: int) -> None:
    metric = fastfid.KID(certainty=True)
    for name, x, y in populations(features, labels):
        truth = true_kid(x, y)
        sizes = [(n, n) for n in rows] + [(int(UNEQUAL[0] * rows[-1]), int(UNEQUAL[1] * rows[-1]))]
        for n, m in sizes:

            def draw(rng: np.random.RandomState, n: int = n, m: int = m, x: Matrix = x, y: Matrix = y) -> Any:
                return metric.value(fit(ROWS, x[rng.randint(0, len(x), n)]), fit(ROWS, y[rng.randint(0, len(y), m)]))

            row(f"KID, {name}", features.shape[1], f"{n} and {m}", truth, *trials(count, draw))


def inception_score(features: Matrix, count: int) -> None:
    z = (features - features.mean(axis=0)) / features.std(axis=0)
    for classes, sharpness in ((10, 3.0), (1008, 4.0), (1008, 8.0)):
        weights = np.random.RandomState(0).standard_normal((z.shape[1], classes)) / z.shape[1] ** 0.5
        logits = sharpness * z @ weights
        truth = true_score(logits)
        for n, splits in ((100, 1), (500, 10), (2000, 1), (2000, 10), (5000, 10)):
            metric = fastfid.InceptionScore(splits=splits, certainty=True)
            least = count if classes == 10 else max(10, count // 5)

            def draw(rng: np.random.RandomState, n: int = n, metric: Any = metric, logits: Matrix = logits) -> Any:
                return metric.value(fit(LOGITS, logits[rng.randint(0, len(logits), n)]))

            row(f"IS {truth:.3g}, {splits} splits", classes, n, truth, *trials(least, draw))


def infinity(features: Matrix, labels: NDArray[np.int64], count: int) -> None:
    print("\n| populations | dims | images | true FID | mean FID | x extrapolated | deviation | both | deviation |")
    print("|---|---|---|---|---|---|---|---|---|")
    every = populations(features, labels)
    for name, x, y in (every[0], every[2], every[5]):
        moments = [(p.mean(axis=0), np.cov(p.T, bias=True)) for p in (x, y)]
        truth = fastfid.frechet_distance(*moments[0], *moments[1])
        for n, m in ((3000, 3000), (3000, 9000)):
            found = []
            for seed in range(count):
                rng = np.random.RandomState(seed)
                a, b = x[rng.randint(0, len(x), n)], y[rng.randint(0, len(y), m)]
                one, both = (fastfid.fid_infinity(a, b, seed=seed, two_sided=sides) for sides in (False, True))
                found.append((one.fids[-1], one.fid, both.fid))
            means, deviations = np.mean(found, axis=0), np.std(found, axis=0, ddof=1)
            print(
                f"| {name} | {features.shape[1]} | {n} and {m} | {truth:.4g} | {means[0]:.4g} | {means[1]:.4g} "
                f"| {deviations[1]:.2g} | {means[2]:.4g} | {deviations[2]:.2g} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--dims", type=int, nargs="+", default=[64, 2048])
    parser.add_argument("--rows", type=int, nargs="+", default=[50, 100, 300, 1000])
    parser.add_argument("--only", nargs="+", default=["kid", "is", "infinity"])
    options = parser.parse_args()
    stored = np.load(options.features)
    labels, order = stored["labels"], np.random.RandomState(1).permutation(stored["features"].shape[1])
    print(describe())
    print(
        "| score | dims | images | truth | mean score | error of corrected | error / deviation | coverage "
        "| p uniform; below .05 | seconds |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for dims in options.dims if "kid" in options.only else ():
        kid(stored["features"][:, order[:dims]].astype(np.float64), labels, options.rows, options.trials)
    if "is" in options.only:
        inception_score(stored["features"].astype(np.float64), options.trials)
    if "infinity" in options.only:
        infinity(stored["features"][:, order[:64]].astype(np.float64), labels, max(10, options.trials // 5))


if __name__ == "__main__":
    main()
