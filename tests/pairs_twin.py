"""Plain NumPy twins of the core's blocked products over pairs of rows: what they mean, in float64 and all at once.

A squared distance is the sum of the squared differences in float64, in 16 interleaved partial sums that are then folded
in halves. The core adds in this order too, so that its distances have the same bits as these.
"""

import numpy as np
from numpy.typing import NDArray

LANES = 16  # partial sums of a squared distance

Array = NDArray[np.float64]
Counts = NDArray[np.int64]


def squared_distances(x: NDArray[np.floating], y: NDArray[np.floating]) -> Array:
    """Squared distance of each row of x to each row of y, (n, m)."""
    pad = ((0, 0), (0, -x.shape[1] % LANES))
    a, b = (np.pad(np.asarray(rows, np.float64), pad) for rows in (x, y))
    sums = np.zeros((len(x), len(y), LANES))
    for first in range(0, a.shape[1], LANES):
        difference = a[:, None, first : first + LANES] - b[None, :, first : first + LANES]
        sums += difference * difference
    while sums.shape[2] > 1:
        half = sums.shape[2] // 2
        sums = sums[:, :, :half] + sums[:, :, half:]
    return sums[:, :, 0]


def nearest(x: NDArray[np.floating], y: NDArray[np.floating], k: int, same: bool) -> tuple[Counts, Array]:
    """Indices and squared distances (n, k) of the rows of y nearest to each row of x, ascending, ties by lower index.

    With same, y is x and a row is not its own neighbour.
    """
    if not 1 <= k <= len(y) - same:
        raise ValueError(f"k must be between 1 and {len(y) - same}, got {k}")
    distances = squared_distances(x, y)
    if same:
        np.fill_diagonal(distances, np.inf)
    indices = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return indices, np.take_along_axis(distances, indices, axis=1)


def balls(
    x: NDArray[np.floating], y: NDArray[np.floating], radii_x: Array, radii_y: Array, strict: bool
) -> tuple[Counts, Counts, Array]:
    """Count balls around rows; the radii are squared.

    Returns how many balls around rows of y contain each row of x (n,), how many balls around rows of x contain each row
    of y (m,), and the squared distance of each row of y to the nearest row of x (m,). With strict, a ball does not
    contain its surface.
    """
    distances = squared_distances(x, y)
    inside = np.less if strict else np.less_equal
    in_y = inside(distances, radii_y[None, :]).sum(axis=1)
    in_x = inside(distances, radii_x[:, None]).sum(axis=0)
    return in_y, in_x, distances.min(axis=0)


def polynomial_sums(x: NDArray[np.floating], y: NDArray[np.floating], same: bool) -> tuple[Array, Array, float]:
    """Sums of k = (x·y / d + 1)³ over each row (n,), over each column (m,), and of k² over all pairs.

    With same, y is x and the pairs of a row with itself are left out.
    """
    kernel = (np.asarray(x, np.float64) @ np.asarray(y, np.float64).T / x.shape[1] + 1) ** 3
    if same:
        np.fill_diagonal(kernel, 0)
    return kernel.sum(axis=1), kernel.sum(axis=0), float(np.square(kernel).sum())


def gaussian_sums(x: NDArray[np.floating], y: NDArray[np.floating], sigma: float) -> tuple[Array, Array]:
    """Sums of exp(-|x - y|² / (2 sigma²)) over each row (n,) and over each column (m,); no pair is left out."""
    kernel = np.exp(-squared_distances(x, y) / (2 * sigma**2))
    return kernel.sum(axis=1), kernel.sum(axis=0)
