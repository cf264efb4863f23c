"""Whether `rank` knows how sure a difference of two FIDs is, and how often it calls a generator worse that is not.

    python bench/rank.py flowers_pool3.npz [--trials 200] [--rows 320 640 1920] [--dims 64] [--verdicts 400] [--shares]

The real rows are features of flowers, and rows with heavy tails (Student's t with 6 degrees of freedom, spectrum 1/i).
A generator scales and shifts them: both as real; both alike, with spreads changed by about 15 %; slightly different, by
another 3 %; clearly different, with shifts of 0.1 and 0.2 deviations. Rows are drawn with replacement, so that the
moments of these populations give the true difference.

In the first table, sides are drawn independently; or paired, 70 % of the rows of the two generators from the same real
row; or the real side is the true mean and covariance. Columns: the error of the difference on average, in true
deviations; and the claimed standard error (root mean square) over the true deviation, also that of first order.

In the second, k generators are alike: how often the first of them is called worse, how often any is.

With --shares, only the first-order variance of a difference over the difference times the second-order deviation, at
20,000 images a side, for the populations of coverage.py: the least of them is in `Difference.growth_to_tell`.
"""

import argparse
import time
import warnings
from collections.abc import Callable, Iterator

import numpy as np
from coverage import NULL, of_moments, of_photographs
from machine import describe
from numpy.typing import NDArray

import fastfid
from fastfid.metrics.feature_blocks import Given
from fastfid.metrics.fid_difference import Difference, Measured
from fastfid.metrics.frechet import Gaussian

Rows = NDArray[np.float64]
Generator = Callable[[Rows], Rows]
SHARED = 0.7  # of the rows of paired generators


def true_distance(a: Rows, b: Rows) -> float:
    moments = [(p.mean(axis=0), np.cov(p.T, bias=True)) for p in (a, b)]
    return fastfid.frechet_distance(*moments[0], *moments[1])


def reals(features: Rows, dims: int) -> Iterator[tuple[str, Rows]]:
    few = np.random.RandomState(1).permutation(features.shape[1])[:dims]
    yield "flowers", features[:, few].astype(np.float64)
    rng = np.random.RandomState(5)
    tails = rng.standard_normal((20_000, dims)) / np.sqrt(rng.chisquare(6, (20_000, 1)) / 6)
    yield "heavy tails", tails / np.sqrt(np.arange(1, dims + 1))


def generators(real: Rows) -> Iterator[tuple[str, Generator, Generator]]:
    rng, dims = np.random.RandomState(6), real.shape[1]
    mean, side = real.mean(axis=0), real.std(axis=0) * rng.choice([-1, 1], dims)
    spread, little = np.exp(0.15 * rng.standard_normal(dims)), np.exp(0.03 * rng.standard_normal(dims))

    def of(scale: Rows | float, shift: float = 0) -> Generator:
        return lambda rows: mean + (rows - mean) * scale + shift * side

    yield "both as real", of(1.0), of(1.0)
    yield "alike", of(spread), of(spread)
    yield "slightly different", of(spread), of(spread * little, 0.02)
    yield "clearly different", of(1.0, 0.1), of(spread, 0.2)


def trial(
    rng: np.random.RandomState, real: Rows, a: Generator, b: Generator, n: int, kind: str
) -> tuple[float, float, float]:
    """Return the difference, its claimed variance, and that of first order."""
    draws = rng.randint(0, len(real), (3, n))
    if kind == "paired":
        draws[1] = np.where(rng.random_sample(n) < SHARED, draws[0], draws[1])
    if kind == "real side exact":
        reference = Given("real", Gaussian(real.mean(axis=0), np.cov(real.T, bias=True)), None, None)
    else:
        reference = Given.of(real[draws[2]], "real")
    paired = kind == "paired"
    sides = [Given.of(generator(real[rows]), "generated") for generator, rows in zip((a, b), draws[:2], strict=True)]
    first, second = (Measured.of(side, reference, paired=paired) for side in sides)
    if isinstance(first, str) or isinstance(second, str):
        raise SystemExit(f"{first} {second}")
    found = Difference.of(first, second, paired=paired)
    (own_a, ref_a), (own_b, ref_b) = first.values(0), second.values(0)
    shares = [own_a.influence - own_b.influence] if paired else [own_a.influence, own_b.influence]
    shares += [] if ref_a is None else [ref_a.influence - ref_b.influence]
    return found.value, found.error**2, sum(share.var(ddof=1) / len(share) for share in shares)


def deviations(features: Rows, dims: int, rows: list[int], trials: int) -> None:
    print(
        "| real | generators | sides | images a side | true difference | true deviation | error of the difference "
        "| claimed / true | first order / true | seconds |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for n in rows:
        for real_name, real in reals(features, dims):
            for name, a, b in generators(real):
                truth = true_distance(a(real), real) - true_distance(b(real), real)
                for kind in ("independent", "paired", "real side exact"):
                    rng, start = np.random.RandomState(0), time.perf_counter()
                    found = np.array([trial(rng, real, a, b, n, kind) for _ in range(trials)])
                    seconds = (time.perf_counter() - start) / trials
                    true = found[:, 0].std(ddof=1)
                    claimed, naive = np.sqrt(found[:, 1:].mean(axis=0)) / true
                    print(
                        f"| {real_name} | {name} | {kind} | {n} | {truth:.3g} | {true:.3g} "
                        f"| {(found[:, 0].mean() - truth) / true:+.2f} | {claimed:.2f} | {naive:.2f} | {seconds:.2f} |",
                        flush=True,
                    )


def verdicts(features: Rows, dims: int, trials: int) -> None:
    columns = ["real", "generators, all alike", "images a side", "the first is called worse", "any is", "one is better"]
    print(f"\n| {' | '.join(columns)} |\n|---|---|---|---|---|---|")
    for real_name, real in reals(features, dims):
        _, a, _ = list(generators(real))[1]
        for k in (2, 5):
            for n in (5 * dims, 20 * dims):
                rng, found = np.random.RandomState(0), []
                for _ in range(trials):
                    x, *others = (real[rng.randint(0, len(real), n)] for _ in range(k + 1))
                    standings = fastfid.rank(x, *map(a, others), features=True).standings
                    worse = [one.name for one in standings if one.verdict == "worse"]
                    better = any(one.verdict == "best" for one in standings)
                    found.append((any(name.startswith("generator 1 ") for name in worse), bool(worse), better))
                first, some, best = 100 * np.mean(found, axis=0)
                print(f"| {real_name} | {k} | {n} | {first:.1f} % | {some:.1f} % | {best:.1f} % |", flush=True)


def shares(features: Rows, labels: NDArray[np.int64], n: int = 20_000) -> None:
    print(f"| populations, {n} images a side | difference | first order / (difference x second-order deviation) |")
    print("|---|---|---|")
    for name, real, other in [*of_photographs(features, labels), *of_moments(features, labels)]:
        if NULL in name:
            continue
        rng = np.random.RandomState(0)
        sides = [Given.of(one.draw(n, rng), "rows") for one in (real, real, other)]
        same, apart = (Measured.of(side, sides[0], paired=False) for side in sides[1:])
        assert isinstance(same, Measured)
        assert isinstance(apart, Measured)
        found = Difference.of(apart, same, paired=False)
        share = found.first / (abs(found.value) * found.second**0.5)
        print(f"| {name} | {found.value:.3g} | {share:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features")
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--verdicts", type=int, default=400)
    parser.add_argument("--rows", type=int, nargs="+", default=[320, 640, 1920])
    parser.add_argument("--dims", type=int, default=64)
    parser.add_argument("--shares", action="store_true")
    options = parser.parse_args()
    stored = np.load(options.features)
    features = stored["features"]
    fastfid.set_num_threads(1)
    print(describe())
    if options.shares:
        few = np.random.RandomState(1).permutation(features.shape[1])[: options.dims]
        shares(features[:, few].astype(np.float64), stored["labels"])
        return
    if options.trials:
        deviations(features, options.dims, options.rows, options.trials)
    if options.verdicts:
        warnings.simplefilter("ignore", fastfid.FastFIDWarning)  # features have no record of a model
        verdicts(features, options.dims, options.verdicts)


if __name__ == "__main__":
    main()
