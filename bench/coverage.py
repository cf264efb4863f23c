"""How often the limits of `certainty` contain the true FID, and how good its other figures are.

    python bench/coverage.py flowers_pool3.npz [--trials 400] [--rows 320 640 2000] [--dims 64] [--keep found.jsonl]
    python bench/coverage.py flowers_pool3.npz --dims 2048 --rows 10000 --trials 40
    python bench/coverage.py flowers_pool3.npz --second 5   # the second side has 5 times as many rows
    python bench/coverage.py flowers_pool3.npz --second inf   # the second side is exactly known

Each trial draws two sets from two populations whose moments are known, and with them the true FID. Up to 64 dims the
populations are real features of flowers, drawn with replacement: all; one mean shifted; one covariance changed; the
classes mixed otherwise; two classes. All others have real means and covariances, because 3670 photographs drawn again
and again are no population of 2048 dims: "heavy tails" are Student's t with 8 degrees of freedom; "mixed" are five
normal classes with the means of the flowers' classes and one covariance, in other shares.

Columns: the error of `corrected` on average, in standard errors; the mean standard error (root mean square) over the
true deviation of `corrected`; how often the limits contain the truth; the mean noise floor over the mean FID, and the
Kolmogorov-Smirnov p of the p-values against uniform ones, for one population; else how often p is below 0.05; and the
correlation and slope of the influences against the exact distances without one row, in the first trial.

Trial t of a population has the seed t. With --keep, results are added to a file, and trials that are in it are not run
again.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe
from numpy.typing import NDArray

import fastfid
from fastfid.metrics.feature_blocks import Given
from fastfid.metrics.fid_certainty import Pair

Rows = NDArray[np.float64]
NULL = "one population"
FIELDS = ("fid", "corrected", "noise_floor", "standard_error", "low", "high", "p_value")


@dataclass
class Population:
    """Rows with a known mean and covariance."""

    mean: Rows
    covariance: Rows
    draw: Callable[[int, np.random.RandomState], Rows]

    @classmethod
    def of(cls, rows: Rows) -> "Population":
        """Return the population whose rows are these, each equally likely."""
        return cls(rows.mean(axis=0), np.cov(rows.T, bias=True), lambda n, rng: rows[rng.randint(0, len(rows), n)])


Pairs = Iterator[tuple[str, Population, Population]]


def of_photographs(features: Rows, labels: NDArray[np.int64]) -> Pairs:
    dims, rng, mean = features.shape[1], np.random.RandomState(5), features.mean(axis=0)
    given = Population.of(features)
    yield f"flowers, {NULL}", given, given
    shift = 0.15 * features.std(axis=0) * rng.choice([-1, 1], dims)
    yield "flowers, mean shifted", given, Population.of(features + shift)
    factors = np.exp(0.2 * rng.standard_normal(dims))
    yield "flowers, covariance changed", given, Population.of(mean + (features - mean) * factors)
    first, second = (features[labels == label] for label in np.unique(labels)[:2])
    yield "flowers, classes mixed otherwise", given, Population.of(np.concatenate([features, first, first]))
    yield "flowers, two classes", Population.of(first), Population.of(second)


def of_moments(features: Rows, labels: NDArray[np.int64]) -> Pairs:
    dims, rng = features.shape[1], np.random.RandomState(5)
    factor = np.linalg.cholesky(np.cov(features.T) + 1e-4 * np.eye(dims)).astype(np.float32)
    deviations = np.sqrt(np.square(factor).sum(axis=1))

    def heavy(shift: Any = 0.0, factors: Any = 1.0) -> Population:
        own = factor * np.asarray(factors, np.float32).reshape(-1, 1)
        mean = features.mean(axis=0) + shift

        def draw(n: int, rng: np.random.RandomState) -> Rows:
            tails = np.sqrt(6 / rng.chisquare(8, (n, 1)))  # of unit variance
            return mean + (rng.standard_normal((n, dims)).astype(np.float32) @ own.T) * tails

        return Population(mean, own.astype(float) @ own.T.astype(float), draw)

    def mixed(shares: Any) -> Population:
        means = np.array([features[labels == label].mean(axis=0) for label in np.unique(labels)])
        mean = shares @ means
        between = (means - mean).T @ ((means - mean) * shares[:, None])

        def draw(n: int, rng: np.random.RandomState) -> Rows:
            noise = rng.standard_normal((n, dims)).astype(np.float32) @ factor.T
            return means[rng.choice(len(shares), n, p=shares)] + noise

        return Population(mean, factor.astype(float) @ factor.T.astype(float) + between, draw)

    yield f"heavy tails, {NULL}", heavy(), heavy()
    yield "heavy tails, mean shifted", heavy(), heavy(0.05 * deviations * rng.choice([-1, 1], dims))
    yield "heavy tails, covariance changed", heavy(), heavy(0.0, np.exp(0.1 * rng.standard_normal(dims)))
    even, other = np.full(5, 0.2), np.array([0.3, 0.25, 0.2, 0.15, 0.1])
    yield "normal classes, mixed otherwise", mixed(even), mixed(other)
    yield f"normal classes, {NULL}", mixed(even), mixed(even)


def uniform(values: Rows) -> float:
    """Return the p-value of the Kolmogorov-Smirnov test against the uniform distribution."""
    values, n = np.sort(values), len(values)
    distance = max((np.arange(1, n + 1) / n - values).max(), (values - np.arange(n) / n).max())
    scaled = (n**0.5 + 0.12 + 0.11 / n**0.5) * distance  # Stephens 1970
    k = np.arange(1, 101)
    return float(np.clip(2 * np.sum((-1.0) ** (k - 1) * np.exp(-2 * (k * scaled) ** 2)), 0, 1))


def drawn(
    a: Population, b: Population, n: int, trial: int, second: float = 1
) -> tuple[Rows, Rows | fastfid.Statistics]:
    rng = np.random.RandomState(trial)
    x = a.draw(n, rng)
    return x, fastfid.Statistics.from_moments(b.mean, b.covariance) if second == inf else b.draw(int(n * second), rng)


def trial_of(a: Population, b: Population, n: int, second: float, trial: int) -> dict[str, float]:
    start = time.perf_counter()
    sure = fastfid.certainty(*drawn(a, b, n, trial, second))
    if sure.reason:
        raise SystemExit(sure.reason)
    # Without rows on the second side there is no noise floor.
    return {**{name: getattr(sure, name) or 0.0 for name in FIELDS}, "seconds": time.perf_counter() - start}


def influences_of(a: Population, b: Population, n: int, second: float = 1) -> tuple[Rows, Rows]:
    """Return the influences of all rows of a trial, and what they predict: n times what the distance loses."""
    sides = drawn(a, b, n, 0, second)
    parts = Pair(*(Given.of(rows, name) for rows, name in zip(sides, "xy", strict=True))).parts()
    assert not isinstance(parts, str)
    found = [each for each in parts.values if each is not None]
    influence = np.concatenate([np.ldexp(each.influence, 2 * parts.exponent) for each in found])
    changes = [np.ldexp(each.change - each.change.mean(), 2 * parts.exponent) for each in found]
    return influence, np.concatenate([(1 - len(change)) * change for change in changes])


def influences(a: Population, b: Population, n: int, second: float) -> str:
    """Return the correlation and the slope of the influences against what the distance really loses."""
    influence, exact = influences_of(a, b, n, second)
    return f"{np.corrcoef(influence, exact)[0, 1]:.4f}, {np.polyfit(influence, exact, 1)[0]:.3f}"


def sizes(n: int, second: float) -> str:
    return str(n) if second == 1 else f"{n}, known" if second == inf else f"{n}, {n * second:.0f}"


def row(name: str, a: Population, b: Population, n: int, second: float, found: list[dict[str, float]]) -> str:
    truth = fastfid.frechet_distance(a.mean, a.covariance, b.mean, b.covariance)
    fid, corrected, floor, error, low, high, p = (np.array([each[field] for each in found]) for field in FIELDS)
    claimed = np.sqrt(np.mean(error**2))
    inside = 100 * np.mean((low <= truth) & (truth <= high))
    null = NULL in name
    tests = f"{floor.mean() / fid.mean():.3f} | {uniform(p):.3f} |" if null else f"- | {np.mean(p < 0.05):.0%} |"
    seconds = np.median([each["seconds"] for each in found])
    return (
        f"| {name} | {len(a.mean)} | {sizes(n, second)} | {len(found)} | {truth:.4g} | {fid.mean():.4g} "
        f"| {(corrected.mean() - truth) / claimed:+.2f} | {claimed / corrected.std(ddof=1):.2f} | {inside:.1f} % "
        f"| {tests} {influences(a, b, n, second)} | {seconds:.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features")
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--rows", type=int, nargs="+", default=[320, 640, 2000])
    parser.add_argument("--dims", type=int, default=64)
    parser.add_argument("--second", type=float, default=1.0)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    stored = np.load(options.features)
    few = np.random.RandomState(1).permutation(stored["features"].shape[1])[: options.dims]
    features, labels = stored["features"][:, few].astype(np.float64), stored["labels"]
    pairs = [*(of_photographs(features, labels) if options.dims <= 64 else ()), *of_moments(features, labels)]
    found: dict[tuple[Any, ...], dict[str, float]] = {}
    if options.keep and options.keep.exists():
        for line in options.keep.read_text().splitlines():
            key, result = json.loads(line)
            found[tuple(key)] = result
    for trial in range(options.trials):  # of all populations in turn, so that an early end has some of each
        for name, a, b in pairs:
            for n in options.rows:
                key = (name, options.dims, n, options.second, trial)
                if key not in found:
                    found[key] = trial_of(a, b, n, options.second, trial)
                    if options.keep:
                        with options.keep.open("a") as file:
                            print(json.dumps([key, found[key]]), file=file)
    print(describe())
    print(
        "| populations | dims | images a side | trials | true FID | mean FID | error of corrected | error / deviation "
        "| coverage | floor / FID | p uniform; below .05 | influence: correlation, slope | seconds |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    for n in options.rows:
        for name, a, b in pairs:
            of_pair = [found[name, options.dims, n, options.second, trial] for trial in range(options.trials)]
            print(row(name, a, b, n, options.second, of_pair), flush=True)


if __name__ == "__main__":
    main()
