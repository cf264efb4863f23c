"""How good the limits of `certainty` are where two sides have nothing in common.

    python bench/coverage_far.py [--trials 400] [--dims 8]

Normal populations whose moments, and so their FID, are exactly known; 200 rows, beside 300 rows or a known side.
Columns: the mean standard error over the true deviation of `corrected`, the error of `corrected` on average in
deviations, and how often the limits contain the truth.
"""

import argparse
import warnings

import numpy as np
from machine import describe
from numpy.typing import NDArray

import fastfid

Matrix = NDArray[np.float64]
N, M = 200, 300


def populations(d: int) -> dict[str, tuple[tuple[Matrix, Matrix], tuple[Matrix, Matrix]]]:
    """Give the mean and a factor of the covariance of both sides, by name."""
    mixed = np.random.RandomState(1).standard_normal((d, d)) / d**0.5
    zero, one = np.zeros(d), np.eye(d)
    return {
        "one population": ((zero, mixed), (zero, mixed)),
        "a mean far away": ((zero + 3, 0.1 * one), (zero, mixed)),
        "hardly any spread": ((zero, 0.05 * one), (zero, mixed)),
        "other directions": ((zero, np.diag(np.geomspace(1, 30, d))), (zero, np.diag(np.geomspace(1, 0.01, d)))),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--dims", type=int, default=8)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(describe())
    print(f"\n{options.dims} dims, {options.trials} trials\n")
    print("| the first side has | second side | error claimed / true | `corrected` off | limits hold |")
    print("|---|---|---|---|---|")
    for name, sides in populations(options.dims).items():
        (mu, factor), (mu_known, factor_known) = sides
        known = fastfid.Statistics.from_moments(mu_known, factor_known.T @ factor_known)
        true = fastfid.frechet_distance(mu, factor.T @ factor, mu_known, factor_known.T @ factor_known)
        for second in ("300 rows", "known"):
            found = []
            for trial in range(options.trials):
                rng = np.random.RandomState(trial)
                x = mu + rng.standard_normal((N, options.dims)) @ factor
                y = mu_known + rng.standard_normal((M, options.dims)) @ factor_known
                sure = fastfid.certainty(x, known if second == "known" else y)
                found.append([sure.corrected, sure.standard_error, sure.low <= true * (1 + 1e-9) and true <= sure.high])
            corrected, error, holds = np.array(found, float).T
            deviation = corrected.std()
            claimed = np.square(error).mean() ** 0.5 / deviation
            off = (corrected.mean() - true) / deviation
            print(f"| {name} | {second} | {claimed:.2f} | {off:+.2f} | {holds.mean():.3f} |", flush=True)


if __name__ == "__main__":
    main()
