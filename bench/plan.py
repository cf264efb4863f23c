"""How right `plan` is, and where the figures of its rule of thumb come from.

    python bench/plan.py pilot flowers_pool3.npz [--trials 200] [--dims 64]
    python bench/plan.py rule flowers_pool3.npz

`pilot` draws a pilot of 5 d or 10 d rows a side from two populations, and compares what it predicts, on average over 20
pilots, with FIDs of 1,000, 2,000 and 5,000 rows drawn from them: the mean, and the standard deviation (root mean
square).

`rule` measures what fastfid.metrics.inception_noise holds. The floor comes from disjoint subsets of the photographs;
above 1,835 images from normal rows, whose spectrum lies between that of the photographs and that of one half of them in
the eigenbasis of the other, such that the floor at 1,835 is right. The floor of single classes shows how far it may be
off for other images. The noise comes from mixtures of the classes and other changes, on the first 128 principal
components, and from random divisions of the photographs into two sets; it is compared with that of subsets of two
classes, in all dims.
"""

import argparse

import numpy as np
from coverage import of_moments, of_photographs
from machine import describe
from numpy.typing import NDArray

import fastfid
from fastfid.metrics.feature_blocks import Given
from fastfid.metrics.fid_certainty import Pair
from fastfid.metrics.fid_growth import Growth
from fastfid.metrics.inception_noise import RuleOfThumb

Rows = NDArray[np.float64]
fid_of = fastfid.frechet_distance_from_features
RNG = np.random.RandomState(0)


def growth(a: Rows, b: Rows) -> Growth:
    pair = Pair(Given.of(a, "a"), Given.of(b, "b"))
    parts = pair.parts()
    if isinstance(parts, str):
        raise SystemExit(parts)
    return Growth.of(pair, parts)


def pilot(features: Rows, labels: NDArray[np.int64], dims: int, trials: int) -> None:
    few = np.random.RandomState(1).permutation(features.shape[1])[:dims]
    chosen = features[:, few].astype(np.float64)
    print("| populations | true FID | rows of the pilot | n | m | FID predicted | measured | deviation / measured |")
    print("|---|---|---|---|---|---|---|---|")
    for name, a, b in [*of_photographs(chosen, labels), *of_moments(chosen, labels)]:
        truth, found = fastfid.frechet_distance(a.mean, a.covariance, b.mean, b.covariance), {}
        for n, m in ((1000, 1000), (2000, 2000), (5000, 5000), (1000, 5000)):
            fids = np.array([fid_of(a.draw(n, RNG), b.draw(m, RNG)) for _ in range(trials)])
            found[n, m] = fids.mean(), fids.std(ddof=1)
        for rows in (5 * dims, 10 * dims):
            pilots = [growth(a.draw(rows, RNG), b.draw(rows, RNG)) for _ in range(20)]
            for (n, m), (mean, deviation) in found.items():
                predicted = np.mean([one.distance + one.bias(n, m) for one in pilots])
                ratio = np.mean([one.variance(n, m) for one in pilots]) ** 0.5 / deviation
                line = f"| {name} | {truth:.4g} | {rows} | {n} | {m} | {predicted:.4g} | {mean:.4g} | {ratio:.2f} |"
                print(line, flush=True)


def disjoint(rows: Rows, n: int) -> float:
    order = RNG.permutation(len(rows))
    return fid_of(rows[order[:n]], rows[order[n : 2 * n]])


def rule(features: Rows, labels: NDArray[np.int64]) -> None:
    rows = features.astype(np.float64) - features.mean(axis=0)
    print("| two sets of n | n | mean FID | variance / (1/n + 1/m)² |\n|---|---|---|---|")
    floors = {}
    for n in (316, 500, 1000, 1835):
        fids = [disjoint(rows, n) for _ in range(12 if n < 1835 else 3)]
        floors[n] = float(np.mean(fids))
        print(f"| photographs | {n} | {floors[n]:.4g} | {np.var(fids, ddof=1) / (2 / n) ** 2:.3g} |", flush=True)
    for label in np.unique(labels):
        fids = [disjoint(rows[labels == label], 316) for _ in range(6)]
        print(f"| {label} alone | 316 | {np.mean(fids):.4g}, {np.mean(fids) / floors[316]:.2f} of all | |", flush=True)
    spectrum = spectrum_with_floor(rows, 1835, floors[1835])
    for n in (1000, 1835, 5000, 10_000):
        print(f"| normal rows | {n} | {floor_of(spectrum, n):.4g} | |", flush=True)
    for n in (1000, 5000):
        x, whole = RNG.standard_normal((n, len(spectrum))) * np.sqrt(spectrum), np.zeros(len(spectrum))
        fid = fastfid.frechet_distance(x.mean(axis=0), np.cov(x.T), whole, np.diag(spectrum))
        times = fid / RuleOfThumb(0.0).bias(n, np.inf)
        print(f"| normal rows, against their exact moments | {n} | {fid:.4g}, {times:.2f} of the rule | |", flush=True)
    both = np.multiply.outer(spectrum, spectrum) / np.add.outer(spectrum, spectrum)
    slope = spectrum.sum() + (both.sum() + np.trace(both)) / 2
    print(f"| normal rows, to first order | 50000 | {slope * 4e-5:.4g} | |")
    differences(rows, labels)
    subsets(rows, labels)


def floor_of(spectrum: Rows, n: int) -> float:
    x, y = (RNG.standard_normal((n, len(spectrum))) * np.sqrt(spectrum) for _ in range(2))
    return fid_of(x, y)


def spectrum_with_floor(rows: Rows, n: int, wanted: float) -> Rows:
    """Return a spectrum between the one seen and the one of new rows, with the wanted floor."""
    own = np.maximum(np.linalg.eigvalsh(np.cov(rows.T))[::-1], 1e-6)
    order = RNG.permutation(len(rows))
    first, second = rows[order[::2]], rows[order[1::2]]
    vectors = np.linalg.eigh(np.cov(first.T))[1]
    new = np.sort(np.square((second - second.mean(axis=0)) @ vectors).mean(axis=0))[::-1]
    low, high = (floor_of(own ** (1 - share) * new**share, n) for share in (0.5, 1.0))
    share = 0.5 + 0.5 * (wanted - low) / (high - low)
    spectrum: Rows = own ** (1 - share) * new**share
    return spectrum


def differences(rows: Rows, labels: NDArray[np.int64]) -> None:
    """Print the first-order variance of an image over the FID, for differences of several kinds."""
    vectors = np.linalg.eigh(np.cov(rows.T))[1][:, ::-1]
    parts = rows @ vectors[:, :128]
    halves = [np.array_split(RNG.permutation(np.flatnonzero(labels == label)), 2) for label in np.unique(labels)]
    a, b = (parts[np.concatenate([half[side] for half in halves])] for side in (0, 1))
    cases = []
    for k, half in enumerate(halves):
        others = np.concatenate([other[1] for other in halves if other is not half])
        cases.append((f"without class {k}", a, parts[others]))
        cases.append((f"class {k} twice as often", a, np.concatenate([b, parts[half[1]]])))
    cases += [(f"spread times {scale}", a, b * scale) for scale in (0.8, 0.9)]
    cases += [(f"shifted by 2 along component {k}", a, b + 2 * np.eye(128)[k]) for k in (0, 3, 10, 30)]
    print("\n| difference | FID | first-order variance of an image / FID, each side |\n|---|---|---|")
    found = []
    for name, x, y in cases:
        seen = growth(x, y)
        found += [first / seen.distance for first in seen.first]
        print(f"| {name} | {seen.distance:.3g} | {found[-2]:.3g}, {found[-1]:.3g} |")
    mean = np.exp(np.mean(np.log(found)))
    print(f"| geometric mean, least, largest | | {mean:.3g}, {min(found):.3g}, {max(found):.3g} |")


def subsets(rows: Rows, labels: NDArray[np.int64], n: int = 150) -> None:
    """Print the deviation of FIDs of subsets of two classes, and that of the rule, all in 2048 dims."""
    sets = {label: rows[labels == label] for label in np.unique(labels)}
    first, *others = sets
    pairs = [*zip(sets, others, strict=False)]
    sets |= {f"without {label}": rows[labels != label] for label in (first, others[-1])}
    pairs.append((f"without {first}", f"without {others[-1]}"))
    print(
        f"\n| subsets of {n} | mean FID | FID of all, without bias | deviation | by the rule |\n|---|---|---|---|---|"
    )
    for one, other in pairs:
        a, b = sets[one], sets[other]
        drawn = [[side[RNG.choice(len(side), n, replace=False)] for side in (a, b)] for _ in range(40)]
        fids = [fid_of(*pair) for pair in drawn]
        left = 1 - n * (1 / len(a) + 1 / len(b)) / 2  # of the variance, since no row is drawn twice
        rule = RuleOfThumb(max(0.0, fid_of(a, b) - RuleOfThumb(0.0).bias(len(a), len(b))))
        deviation, predicted = (np.var(fids, ddof=1) / left) ** 0.5, rule.variance(n, n) ** 0.5
        print(f"| {one}, {other} | {np.mean(fids):.4g} | {rule.distance:.4g} | {deviation:.3g} | {predicted:.3g} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["pilot", "rule"])
    parser.add_argument("features")
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--dims", type=int, default=64)
    options = parser.parse_args()
    fastfid.set_num_threads(1)
    print(describe())
    stored = np.load(options.features)
    if options.what == "pilot":
        pilot(stored["features"], stored["labels"], options.dims, options.trials)
    else:
        rule(stored["features"], stored["labels"])


if __name__ == "__main__":
    main()
