"""Compare what test_parity prints with the Python package, bit for bit: ``python parity.py PROGRAM``."""

import subprocess
import sys

import numpy as np

try:
    import fastfid
    from fastfid import _core
    from fastfid.metrics.frechet import distance, gaussian_from_rows
except ImportError as error:
    print(f"the package is not here: {error}")
    sys.exit(77)

KERNELS = [name for name in dir(_core) if name.startswith(("resize_", "interpolate_"))]


def bits(stream, count):
    z = np.uint64(stream << 32) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def drawn(stream, shape, dtype=np.float64):
    return ((bits(stream, np.prod(shape)) >> np.uint64(11)) / 2.0**53 - 0.5).astype(dtype).reshape(shape)


def shown(found):
    rank = found.rank or (-1, -1)
    return found.value, found.mean_term, found.trace_term, found.error_estimate, *rank, found.offset


def of_rows(name, dtype):
    x, y = drawn(1, (700, 33), dtype), drawn(2, (20, 33), dtype)
    a, b, c = (gaussian_from_rows(rows) for rows in (x, y, x[:20]))
    yield "distance", shown(distance(a, b))
    yield "distance of few", shown(distance(b, c))
    yield "distance by schur", shown(distance(a, b, method="schur"))
    moments, merged = _core.Moments(33), _core.Moments(33)
    moments.update(x)
    merged.update(y)
    merged.merge(moments)
    yield "mean", merged.mean()
    yield "covariance", merged.covariance()
    yield from zip(("indices", "distances"), _core.nearest(x, x, 3, True), strict=True)
    radii = np.full(700, 4.0)
    yield from zip(("in_y", "in_x", "nearest_y"), _core.balls(x, y, radii, radii[:20], False), strict=True)
    rows, columns, squares = _core.polynomial_sums(x, y, False)
    yield "polynomial rows", [*rows, squares]
    yield "polynomial columns", columns
    yield from zip(("gaussian rows", "gaussian columns"), _core.gaussian_sums(x, y, 1.5), strict=True)


def expected():
    for name, dtype in (("float", np.float32), ("double", np.float64)):
        yield from ((f"{name} {what}", values) for what, values in of_rows(name, dtype))
    a, b = drawn(3, (70, 70)), drawn(4, (70, 70))
    yield "real root", fastfid.sqrtm(a + 70 * np.eye(70))
    yield "complex root", fastfid.sqrtm(a + 1j * b).view(np.float64)
    pixels = (bits(5, 17 * 11 * 3) >> np.uint64(56)).astype(np.uint8).reshape(17, 11, 3)
    for name in KERNELS:
        planes = np.empty((3, 9, 23), np.float32)
        getattr(_core, name)(pixels, planes)
        yield name, planes


def main():
    fastfid.set_num_threads(1)
    printed = subprocess.run([sys.argv[1]], check=True, capture_output=True, text=True).stdout
    theirs = {}
    for line in printed.splitlines():
        words = line.split(" ")
        name = " ".join(word for word in words if "0x" not in word and word not in ("nan", "-nan"))
        theirs[name] = [float.fromhex(word) for word in words[len(name.split(" ")) :]]
    wrong = 0
    for name, values in expected():
        ours = np.ravel(np.asarray(values, dtype=np.float64))
        if not np.array_equal(ours, theirs.pop(name), equal_nan=True):
            print(f"{name} differs")
            wrong += 1
    print(f"{wrong} results differ; {len(theirs)} have no counterpart")
    return int(bool(wrong or theirs))


if __name__ == "__main__":
    sys.exit(main())
