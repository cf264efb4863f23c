"""Error of the distance, against exact arithmetic and its own estimate; and `method="schur"` against SciPy's root.

python bench/certain.py [--cases 2000] [--pairs 1000] [--flowers flowers_pool3.npz]
"""

import argparse
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe
from numpy.typing import NDArray

import fastfid
from fastfid.metrics.frechet import distance, gaussian_from_moments

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import test_exact
from oracle import error_of, exact_distance
from test_frechet import moments, published

Rows = NDArray[np.float64]


def estimates(cases: int) -> None:
    shares = []
    for case in range(cases):
        (x, exact_x), (y, exact_y) = test_exact.draw(np.random.RandomState([1, case]))
        result = distance(x, y)
        error = error_of(result.value, exact_distance(exact_x, exact_y))
        assert error <= result.error_estimate, case
        shares.append(error / result.error_estimate if error else 0.0)
    print("| cases against 50 digits | largest error over its estimate | median |\n|---|---|---|")
    print(f"| {cases} | {max(shares):.2f} | {np.median(shares):.1e} |\n")


def pairs(kind: str, count: int) -> Iterator[tuple[Rows, Rows]]:
    """Yield deficient features: plain, with dead ReLU columns, or with columns and rows that are mostly exact zeros."""
    for case in range(count):
        rng = np.random.RandomState([2, case])
        d = rng.randint(30, 100) if kind == "dead" else rng.randint(2, 25)
        sides = []
        for _ in "xy":
            rows = rng.standard_normal((rng.randint(2, d + 1), d))
            if kind != "deficient":
                rows = np.maximum(0, rows - rng.choice([0.0, 1.0]))
                rows[:, rng.random_sample(d) < (0.1 if kind == "dead" else rng.choice([0.0, 0.2, 0.4]))] = 0
            sides.append(rows)
        yield sides[0], sides[1]


def schur(count: int) -> None:
    print("| pairs | same offset | another | SciPy's root not real | largest difference of the traces, same offset |")
    print("|---|---|---|---|---|")
    for kind in ("deficient", "dead", "mostly zero"):
        seen: Counter[str] = Counter()
        worst = 0.0
        for x, y in pairs(kind, count):
            known: list[Any] = [moments(x), moments(y)]
            ours = distance(*(gaussian_from_moments(*side, "") for side in known), method="schur")
            try:
                theirs, singular = published(*known[0], *known[1])
            except ValueError:
                seen["not real"] += 1
                continue
            seen["same" if singular == bool(ours.offset) else "another"] += 1
            if singular == bool(ours.offset):
                worst = max(worst, abs(ours.value - theirs) / max(np.trace(known[0][1] + known[1][1]), 1e-300))
        print(f"| {count} {kind} | {seen['same']} | {seen['another']} | {seen['not real']} | {worst:.0e} |")


def flowers(path: Path) -> None:
    features = np.load(path)["features"].astype(np.float64)
    known: list[Any] = [moments(features[:100]), moments(features[100:200])]
    theirs, singular = published(*known[0], *known[1])
    ours = fastfid.frechet_distance(*known[0], *known[1], method="schur")
    exact = fastfid.frechet_distance_from_features(features[:100], features[100:200])
    print(f"\n100 flowers a side: SciPy {theirs:.9f} (offset: {singular}), schur {ours:.9f}, auto {exact:.9f}")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--flowers", type=Path)
    options = parser.parse_args()
    print(describe("scipy", "mpmath"))
    estimates(options.cases)
    schur(options.pairs)
    if options.flowers:
        flowers(options.flowers)
