"""Products over pairs of rows: the core against plain matrix products, and metrics against the tools.

    python bench/metrics.py [--tools-python /path/to/tools/bin/python] [--sizes 10000 20000] [--repeats 5]

The first table has the rate of each traversal beside that of a plain SGEMM of the same shape by NumPy's BLAS, whose
products are thrown away block by block. All take turns; each turn gives one ratio. The second table runs each metric of
one size, by fastfid and by the tool, in processes of their own and in turns, and compares the answers. Features are
synthetic, with 2048 dims. Rates count all n x n products, also where rows are taken against themselves and half of the
products do. Needs Linux.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from linalg import set_rival_threads
from machine import describe
from numpy.typing import NDArray

from fastfid import _core
from fastfid.threads import num_threads

DIMS, WANTED = 2048, 50_000
TOOLS = Path(__file__).with_name("metrics_tools.py")
Rows = NDArray[np.float32]


def features(n: int, seed: int, shift: float = 0.0) -> Rows:
    """Positive, correlated rows (n, DIMS) with a common mean, as a pooled ReLU layer gives them."""
    mix = np.random.RandomState(0).standard_normal((48, DIMS)).astype(np.float32) / 7
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((n, 48), dtype=np.float32) @ mix + 0.1 * rng.standard_normal((n, DIMS), dtype=np.float32)
    rows += shift * mix[0] - 0.2
    return np.maximum(rows, 0, out=rows)


# --- the core ---


def traversals(x: Rows, y: Rows) -> dict[str, Callable[[], object]]:
    """Return one call of each."""
    radii = np.ascontiguousarray(_core.nearest(x, x, 5, True)[1][:, -1])
    unit_x, unit_y = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (x, y))
    out = np.empty((4096, len(y)), np.float32)

    def sgemm() -> None:
        for start in range(0, len(x), len(out)):
            block = x[start : start + len(out)]
            np.matmul(block, y.T, out=out[: len(block)])

    return {
        "SGEMM": sgemm,
        "nearest, k = 5, x against y": lambda: _core.nearest(x, y, 5, False),
        "nearest, k = 5, x against itself": lambda: _core.nearest(x, x, 5, True),
        "balls": lambda: _core.balls(x, y, radii, radii, True),
        "polynomial sums, x against y": lambda: _core.polynomial_sums(x, y, False),
        "polynomial sums, x against itself": lambda: _core.polynomial_sums(x, x, True),
        "Gaussian sums, rows of length 1": lambda: _core.gaussian_sums(unit_x, unit_y, 10.0),
    }


def check_core() -> None:
    """Compare with the plain twins on a few rows."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    import pairs_twin as twin

    x, y = features(600, 1), features(300, 2, 0.5)
    radii = [np.ascontiguousarray(twin.nearest(rows, rows, 5, True)[1][:, -1]) for rows in (x, y)]
    for got, expected in (
        (_core.nearest(x, y, 5, False), twin.nearest(x, y, 5, False)),
        (_core.balls(x, y, *radii, True), twin.balls(x, y, *radii, True)),
    ):
        assert all(np.array_equal(a, b) for a, b in zip(got, expected, strict=True))
    for got, expected in (
        (_core.polynomial_sums(x, x, True), twin.polynomial_sums(x, x, True)),
        (_core.gaussian_sums(x, y, 10.0), twin.gaussian_sums(x, y, 10.0)),
    ):
        assert all(np.allclose(a, b, rtol=1e-6, atol=0) for a, b in zip(got, expected, strict=True))


def core_table(sizes: list[int], repeats: int) -> None:
    clocks = time.perf_counter, time.process_time
    print(
        "| rows a side | what | seconds | GFLOP/s | of SGEMM, median (each turn) | by CPU time | 50000 rows, by flops |"
    )
    print("|---|---|---|---|---|---|---|")
    for n in sizes:
        runs = traversals(features(n, 1), features(n, 2, 0.5))
        times: dict[str, list[NDArray[np.float64]]] = {name: [] for name in runs}  # wall and CPU
        for _ in range(repeats):
            for name, run in runs.items():
                start = [clock() for clock in clocks]
                run()
                times[name].append(np.array([clock() for clock in clocks]) - start)
        for name in runs:
            best = min(wall for wall, _ in times[name])
            ratios = 100 * np.array([sgemm / own for sgemm, own in zip(times["SGEMM"], times[name], strict=True)])
            wall, cpu = np.median(ratios, axis=0)
            shown = f"{wall:.0f} % ({', '.join(f'{ratio:.0f}' for ratio in ratios[:, 0])}) | {cpu:.0f} %"
            line = f"| {n} | {name} | {best:.2f} | {2 * n * n * DIMS / best / 1e9:.0f} "
            print(f"{line}| {'- | -' if name == 'SGEMM' else shown} | {best * (WANTED / n) ** 2:.0f} s |", flush=True)
    print()


# --- the tools ---

# What is computed: our task, the tool's task, and how far a number may be off, absolute and relative. Shares of images
# may differ where the tool's float32 distances decide a tie otherwise.
METRICS = {
    "precision, recall, density, coverage, k = 5": ("fastfid-prdc", "prdc-prdc", 3e-4, 1e-4),
    "precision, recall, k = 3": ("fastfid-pr", "torch-fidelity-pr", 3e-4, 0.0),
    "KID of all pairs": ("fastfid-kid", "torch-fidelity-kid", 1e-6, 1e-4),
    "KID, 100 subsets of 1000": ("fastfid-subsets", "torch-fidelity-subsets", 1e-6, 1e-4),
}


def run_task(python: str, task: str, x: Path, y: Path) -> dict[str, Any]:
    threads = str(num_threads())
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "FASTFID_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, threads)}
    command = [python, str(TOOLS), task, str(x), str(y)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def tools_table(python: str, n: int, repeats: int, scratch: Path) -> None:
    paths = scratch / "x.npy", scratch / "y.npy"
    np.save(paths[0], features(n, 1, 0.5))
    np.save(paths[1], features(n, 2))
    print(f"{n} rows a side, {2 * n * DIMS * 4 / 2**20:.0f} MiB of features\n")
    heads = (
        "metric",
        "by",
        "seconds",
        "CPU seconds",
        "times fastfid, median (each turn)",
        "memory",
        "largest difference",
    )
    print(f"| {' | '.join(heads)} |")
    print("|---|---|---|---|---|---|---|")
    for metric, (own, other, absolute, relative) in METRICS.items():
        turns = [(run_task(sys.executable, own, *paths), run_task(python, other, *paths)) for _ in range(repeats)]
        ours, theirs = zip(*turns, strict=True)
        differences = []
        for name, expected in theirs[0]["answers"].items():
            got = ours[0]["answers"][name]
            assert abs(got - expected) <= absolute + relative * abs(expected), (metric, name, got, expected)
            differences.append(abs(got - expected))
        answers = ", ".join(f"{name} {value:.6g}" for name, value in ours[0]["answers"].items())
        ratios = [b["seconds"] / a["seconds"] for a, b in turns]
        each = ", ".join(f"{ratio:.1f}" for ratio in ratios)
        columns = ((ours, "1.0"), (theirs, f"{statistics.median(ratios):.1f} ({each})"))
        for (runs, ratio), last in zip(columns, (answers, f"{max(differences):.0e}"), strict=True):
            seconds, cpu, peak = (min(run[name] for run in runs) for name in ("seconds", "cpu", "memory"))
            line = f"| {metric} | {runs[0]['tool']} | {seconds:.2f} | {cpu:.2f} | {ratio} | {peak / 2**20:.0f} MiB "
            print(f"{line}| {last} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tools-python")
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 20_000])
    parser.add_argument("--tools-size", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    set_rival_threads(num_threads())
    check_core()
    print(describe())
    if options.sizes:
        core_table(options.sizes, options.repeats)
    if options.tools_python:
        with tempfile.TemporaryDirectory() as scratch:
            tools_table(options.tools_python, options.tools_size, options.repeats, Path(scratch))


if __name__ == "__main__":
    main()
