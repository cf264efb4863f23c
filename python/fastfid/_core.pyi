"""The compiled core. Arrays are never converted: a wrong dtype, rank or layout raises TypeError."""

from typing import Any, type_check_only

import numpy as np
from numpy.typing import NDArray

__version__: str

@type_check_only
class _PybindType(type): ...

class Moments(metaclass=_PybindType):
    """Streaming, mergeable mean and covariance of (n, dims) rows."""

    def __init__(self, dims: int) -> None: ...
    @staticmethod
    def from_moments(n: int, mu: NDArray[np.float64], sigma: NDArray[np.float64]) -> Moments: ...
    @staticmethod
    def from_state(
        *,
        dims: int,
        folded: int,
        shift: NDArray[np.float64],
        offset: NDArray[np.float64],
        m2: NDArray[np.float64],
        pending: NDArray[np.float32] | NDArray[np.float64],
    ) -> Moments:
        """Restore a state, after which the same calls give the same bits; raises ValueError if it is impossible."""

    def state(self) -> dict[str, Any]:
        """Return the exact state for `from_state`; raises InputError if it overflowed.

        For the `folded` rows it has their shift and offset (dims,), and the lower triangle of their sum of squares, row
        by row (dims * (dims + 1) / 2,). These are empty if folded is 0. The rows not folded yet are `pending`
        (k, dims).
        """

    def update(self, rows: NDArray[np.float32] | NDArray[np.float64]) -> None: ...
    def merge(self, other: Moments) -> None:
        """Add the rows of another object as if they came next; merging into an empty object copies the state."""

    def mean(self) -> NDArray[np.float64]: ...
    def covariance(self) -> NDArray[np.float64]: ...
    def rows(self) -> NDArray[np.float32] | NDArray[np.float64] | None: ...
    @property
    def count(self) -> int: ...
    @property
    def dims(self) -> int: ...

def frechet_distance(
    mu1: NDArray[np.float64],
    a: NDArray[np.float64],
    a_rows: bool,
    mu2: NDArray[np.float64],
    b: NDArray[np.float64],
    b_rows: bool,
    schur: bool,
    eps: float,
) -> tuple[float, float, float, float, int, int, float]:
    """Return (distance, mean term, trace term, error estimate, rank of S1, rank of S2, offset) of checked sides.

    A side is rows (n, d) or a covariance (d, d). With schur=True the ranks are -1 and the error estimate is NaN.
    """

def look_at(a: NDArray[np.float64]) -> tuple[bool, float, float]:
    """Return (True if all entries are finite, largest |a - a.T|, largest |a|) of a square matrix, in one pass."""

def before_fork() -> None: ...
def after_fork_in_parent() -> None: ...
def after_fork_in_child() -> None: ...
def sqrtm(
    a: NDArray[np.float64] | NDArray[np.complex128],
) -> NDArray[np.float64] | NDArray[np.complex128]:
    """Return the principal square root of a square matrix."""

def resize_pytorch(image: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    """Resize an image (h, w, 3) to (3, H, W), scaled to [-1, 1], and write it into out."""

def resize_tensorflow(image: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    """Resize an image (h, w, 3) to (3, H, W), scaled to [-1, 1], and write it into out."""

def resize_clean(image: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    """Resize an image (h, w, 3) to (3, H, W), scaled to [-1, 1], and write it into out."""

def resize_keras(image: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    """Resize an image (h, w, 3) to (3, H, W), scaled to [-1, 1], and write it into out."""

def resize_torchmetrics(image: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    """Resize an image (h, w, 3) to (3, H, W), scaled to [-1, 1], and write it into out."""

def interpolate_tensorflow(image: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    """Resize an image (h, w, 3) to (3, H, W), in 0...255 and not rounded, and write it into out."""

def interpolate_torch_bicubic(image: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    """Resize an image (h, w, 3) to (3, H, W), in 0...255 but for overshoots, and write it into out."""

def nearest(
    x: NDArray[np.float32] | NDArray[np.float64], y: NDArray[np.float32] | NDArray[np.float64], k: int, same: bool
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return indices and squared distances (n, k) of the rows of y nearest to each row of x, ties by lower index.

    With same=True y is x, and a row is not its own neighbour. Here and below x and y have one dtype. Distances are
    those of float64 arithmetic for either dtype. Raises InputError if rows are not finite or too far apart.
    """

def balls(
    x: NDArray[np.float32] | NDArray[np.float64],
    y: NDArray[np.float32] | NDArray[np.float64],
    radii_x: NDArray[np.float64],
    radii_y: NDArray[np.float64],
    strict: bool,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Count the balls, of given squared radii, around rows of one side that contain rows of the other.

    Returns the number of balls around rows of y that contain each row of x (n,), that of balls around rows of x that
    contain each row of y (m,), and the squared distance of each row of y to the nearest row of x (m,). With
    strict=True a ball does not contain its surface.
    """

def squares_of_coordinates(
    rows: NDArray[np.float64], mean: NDArray[np.float64], directions: NDArray[np.float64], table: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return sums (n, k) over the squared coordinates of rows: ``((rows - mean) @ directions.T) ** 2 @ table.T``.

    rows (n, d), mean (d,), directions (p, d), table (k, p).
    """

def polynomial_sums(
    x: NDArray[np.float32] | NDArray[np.float64], y: NDArray[np.float32] | NDArray[np.float64], same: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Sum k = (x·y / d + 1)³ over each row (n,) and column (m,), and k² over all pairs.

    With same=True y is x, and the pairs of a row with itself are left out.
    """

def gaussian_sums(
    x: NDArray[np.float32] | NDArray[np.float64], y: NDArray[np.float32] | NDArray[np.float64], sigma: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum exp(-|x - y|² / (2 sigma²)) over each row (n,) and column (m,)."""

def set_num_threads(n: int) -> None: ...
def get_num_threads() -> int: ...
