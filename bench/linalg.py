"""The numerical core against SciPy, NumPy and the arithmetic limit; the answer is checked before anything is timed.

    python bench/linalg.py [--dims 2048] [--repeats 3] [--flowers flowers_pool3.npz]

Needs scipy (extra `test`). All contenders of a row take turns, so that a busy machine slows them down alike. Times are
the best of the repeats, because noise on a shared machine only adds time; ratios are ratios of those. All run on the
same number of threads. `--flowers` adds rows on real Inception features (an .npz with `features` (n, 2048)).
"""

import argparse
import ctypes
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.linalg
from machine import describe

import fastfid
from fastfid import _core
from fastfid.threads import num_threads

Contenders = dict[str, Callable[[], float]]


def best_times(contenders: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Best wall time of each, in turns."""
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(repeats):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def set_rival_threads(n: int) -> None:
    """NumPy and SciPy bring OpenBLAS libraries of their own; give them the same number of threads."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        path = line.split()[-1]
        if "openblas" not in path or "fastfid" in path:
            continue
        library = ctypes.CDLL(path)
        for name in ("scipy_openblas_set_num_threads64_", "scipy_openblas_set_num_threads"):
            if hasattr(library, name):
                getattr(library, name)(n)


# --- the ways to tr sqrt(S1 S2) -------------------------------------------------------------------------------------


def by_sqrtm(s1: np.ndarray, s2: np.ndarray) -> float:
    """pytorch-fid, TTUR, clean-fid."""
    return float(np.trace(scipy.linalg.sqrtm(s1 @ s2)).real)


def by_eigvals(s1: np.ndarray, s2: np.ndarray) -> float:
    """torch-fidelity, torchmetrics."""
    return float(np.sqrt(np.linalg.eigvals(s1 @ s2).astype(complex)).sum().real)


def by_numpy(s1: np.ndarray, s2: np.ndarray) -> float:
    """The best that NumPy alone offers on full rank."""
    lower = np.linalg.cholesky(s1)
    return float(np.sqrt(np.maximum(np.linalg.eigvalsh(lower.T @ s2 @ lower), 0)).sum())


def by_numpy_rows(x: np.ndarray, y: np.ndarray) -> float:
    """Nuclear norm of the cross product of the centred rows."""
    a, b = ((r - r.mean(axis=0)) / np.sqrt(len(r) - 1) for r in (x, y))
    return float(np.linalg.svd(a @ b.T, compute_uv=False).sum())


def trace_of(a: np.ndarray, *, rows: bool) -> float:
    """Trace of a covariance, or of that of rows whose mean counts as zero."""
    return float(np.square(a).sum() / (len(a) - 1)) if rows else float(np.trace(a))


def ours(a: np.ndarray, b: np.ndarray, *, a_rows: bool = False, b_rows: bool = False) -> float:
    mu = np.zeros(a.shape[1])
    trace_term = _core.frechet_distance(mu, a, a_rows, mu, b, b_rows, False, 0.0)[2]
    return (trace_of(a, rows=a_rows) + trace_of(b, rows=b_rows) - trace_term) / 2


# --- data -----------------------------------------------------------------------------------------------------------


def relu_features(n: int, d: int, seed: int) -> np.ndarray:
    """Sparse, positive, correlated rows (n, d), as a pooled ReLU layer gives them."""
    rng = np.random.RandomState(seed)
    mix = rng.standard_normal((d, d)) / np.sqrt(d) + np.diag(np.logspace(0, -1.5, d))
    return np.maximum(0, rng.standard_normal((n, d)) @ mix + 0.1 * rng.standard_normal(d))


# --- rows of the table ----------------------------------------------------------------------------------------------


# Cholesky d³/3, the congruence L^T S L d³ and the reduction to tridiagonal form 4 d³/3, in products of 2 d³.
FULL_RANK_LIMIT = (1 / 3 + 1 + 4 / 3) / 2


def print_row(
    case: str,
    expected: float,
    answers: Contenders,
    repeats: int,
    gemm: float,
    tolerance: float,
    limit: float | None = None,
) -> None:
    """Assert our answer, time all, print one line a contender, and the arithmetic limit in DGEMMs where given."""
    error = abs(answers["fastfid"]() - expected) / abs(expected)
    assert error < tolerance, f"{case}: relative error {error:.1e}"
    times = best_times(answers, repeats)
    for name, seconds in times.items():
        wrong = abs(answers[name]() - expected) / abs(expected) if seconds < 2 or name == "fastfid" else float("nan")
        shown = f"{wrong:.0e}" if wrong == wrong else "-"
        print(
            f"| {case} | {name} | {seconds:.3f} | {seconds / times['fastfid']:.2f} | {seconds / gemm:.1f} | {shown} |",
            flush=True,
        )
    if limit is not None:
        seconds = limit * gemm
        print(
            f"| {case} | arithmetic limit | {seconds:.3f} | {seconds / times['fastfid']:.2f} | {limit:.1f} | - |",
            flush=True,
        )


def distances(d: int, repeats: int, gemm: float) -> None:
    x, y = relu_features(5 * d, d, 1), relu_features(5 * d, d, 2) * 1.1
    s1, s2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    exact = scipy.linalg.svd(scipy.linalg.cholesky(s1) @ scipy.linalg.cholesky(s2).T, compute_uv=False).sum()
    print_row(
        "full rank",
        exact,
        {
            "SciPy sqrtm": lambda: by_sqrtm(s1, s2),
            "NumPy eigvals": lambda: by_eigvals(s1, s2),
            "NumPy Cholesky + eigvalsh": lambda: by_numpy(s1, s2),
            "fastfid": lambda: ours(s1, s2),
        },
        repeats,
        gemm,
        1e-9,
        FULL_RANK_LIMIT,
    )
    n = min(500, d // 2)
    rows(f"{n} rows a side", x[:n], y[:n], repeats, gemm)


def rows(case: str, x: np.ndarray, y: np.ndarray, repeats: int, gemm: float) -> None:
    s1, s2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    exact = by_numpy_rows(x, y)
    contenders = {
        "SciPy sqrtm": lambda: by_sqrtm(s1, s2),
        "NumPy nuclear norm": lambda: by_numpy_rows(x, y),
        "fastfid": lambda: ours(x, y, a_rows=True, b_rows=True),
    }
    print_row(case, exact, contenders, repeats, gemm, 1e-9)
    contenders = {"fastfid": lambda: ours(s1, s2)}
    print_row(f"{case}, known as matrices", exact, contenders, repeats, gemm, 1e-9)
    contenders = {"fastfid": lambda: ours(x, s2, a_rows=True)}
    print_row(f"{case}, one known as a matrix", exact, contenders, repeats, gemm, 1e-9)


def real(path: str, repeats: int, gemm: float) -> None:
    features = np.load(path)["features"].astype(np.float64)
    order = np.random.RandomState(0).permutation(len(features))
    x, y = features[order[:2600]], features[order[1000:]]
    s1, s2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    exact = scipy.linalg.svd(scipy.linalg.cholesky(s1) @ scipy.linalg.cholesky(s2).T, compute_uv=False).sum()
    contenders = {
        "SciPy sqrtm": lambda: by_sqrtm(s1, s2),
        "NumPy eigvals": lambda: by_eigvals(s1, s2),
        "NumPy Cholesky + eigvalsh": lambda: by_numpy(s1, s2),
        "fastfid": lambda: ours(s1, s2),
    }
    print_row("flowers, 2600 and 2670 rows", exact, contenders, repeats, gemm, 1e-9, FULL_RANK_LIMIT)
    rows("flowers, 500 rows a side", features[order[:500]], features[order[500:1000]], repeats, gemm)
    rows("flowers, 1835 rows a side", features[order[:1835]], features[order[1835:]], repeats, gemm)


def roots(d: int, repeats: int, gemm: float) -> None:
    rng = np.random.RandomState(0)
    x = relu_features(5 * d, d, 1)
    cases = {
        "sqrtm, product of covariances": np.cov(x, rowvar=False) @ np.cov(x[: 3 * d], rowvar=False),
        "sqrtm, general, complex root": rng.standard_normal((d, d)),
    }
    for case, matrix in cases.items():
        residuals = {}
        for name, root in (("SciPy", scipy.linalg.sqrtm(matrix)), ("fastfid", fastfid.sqrtm(matrix))):
            residuals[name] = np.linalg.norm(root @ root - matrix) / np.linalg.norm(matrix)
        assert residuals["fastfid"] <= 2 * residuals["SciPy"], residuals
        times = best_times(
            {
                "SciPy sqrtm": lambda a=matrix: scipy.linalg.sqrtm(a),
                "LAPACK real Schur form alone": lambda a=matrix: scipy.linalg.schur(a),
                "fastfid": lambda a=matrix: fastfid.sqrtm(a),
            },
            repeats,
        )
        for name, seconds in times.items():
            shown = f"{residuals[name.split()[0]]:.0e}" if name.split()[0] in residuals else "-"
            print(
                f"| {case} | {name} | {seconds:.3f} | {seconds / times['fastfid']:.2f} "
                f"| {seconds / gemm:.1f} | {shown} |",
                flush=True,
            )


def moments(d: int, repeats: int, gemm: float) -> None:
    x = relu_features(10 * d, d, 3)
    narrow = x.astype(np.float32)
    wide = narrow.astype(np.float64)
    batches = np.array_split(narrow, len(narrow) // 64)

    def accumulate(parts: list[np.ndarray]) -> np.ndarray:
        m = _core.Moments(d)
        for part in parts:
            m.update(part)
        return m.covariance()

    expected = np.cov(wide, rowvar=False)
    error = np.abs(accumulate(batches) - expected).max() / np.abs(expected).max()
    assert error < 1e-13
    syrk = scipy.linalg.blas.dsyrk
    times = best_times(
        {
            "cblas_dsyrk alone": lambda: syrk(1.0, wide.T),
            "NumPy mean and cov": lambda: (wide.mean(axis=0), np.cov(wide, rowvar=False)),
            "fastfid, float64 whole": lambda: accumulate([wide]),
            "fastfid": lambda: accumulate(batches),
        },
        repeats,
    )
    for name, seconds in times.items():
        print(
            f"| moments of {len(x)} float32 rows | {name} | {seconds:.3f} | {seconds / times['fastfid']:.2f} "
            f"| {seconds / gemm:.1f} | {error if name == 'fastfid' else 0:.0e} |",
            flush=True,
        )


MEMORY = """
import sys
import numpy as np
from fastfid import _core
d = int(sys.argv[1])
batch = np.random.default_rng(0).random((64, d), dtype=np.float32)
warm = _core.Moments(8)  # the core's own buffers, before the count starts
warm.update(np.ones((9, 8)))
warm.covariance()
def peak():  # not ru_maxrss, which a process inherits
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
before = peak()
moments = _core.Moments(d)
for _ in range(3 * d // 64):
    moments.update(batch)
sigma = moments.covariance()
print((peak() - before) * 1024 / (8 * d * d))
"""


def memory(d: int) -> None:
    """Peak of accumulating and reading a covariance, in matrices of d² doubles, the result included."""
    done = subprocess.run([sys.executable, "-c", MEMORY, str(d)], capture_output=True, text=True, check=True)
    print(f"\nPeak memory of the moments beyond the batch, the result included: {float(done.stdout):.2f} d² doubles")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dims", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--flowers")
    parser.add_argument("--only", nargs="+", default=["distances", "real", "roots", "moments"])
    options = parser.parse_args()
    d = options.dims
    set_rival_threads(num_threads())
    a, b = np.random.RandomState(0).standard_normal((2, d, d))
    gemm = best_times({"gemm": lambda: a @ b}, 5)["gemm"]
    print(describe("scipy"))
    print(f"DGEMM at d = {d}: {gemm:.3f} s, {2 * d**3 / gemm / 1e9:.0f} GFLOP/s\n")
    print("| case | by | seconds | times fastfid | in DGEMMs | relative error |")
    print("|---|---|---|---|---|---|")
    if "distances" in options.only:
        distances(d, options.repeats, gemm)
    if "real" in options.only and options.flowers:
        real(options.flowers, options.repeats, gemm)
    if "roots" in options.only:
        roots(d, options.repeats, gemm)
    if "moments" in options.only:
        moments(d, options.repeats, gemm)
        memory(d)


if __name__ == "__main__":
    main()
