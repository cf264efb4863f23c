"""Small seeded pictures for the tests, in memory and on disk."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def pictures(n: int, size: int = 32, seed: int = 0, low: int = 0, high: int = 256) -> NDArray[np.uint8]:
    """(n, size, size, 3): coarse random blocks, so that there is structure to see."""
    rng = np.random.RandomState(seed)
    coarse = rng.randint(low, high, (n, 4, 4, 3)).astype(np.uint8)
    return np.kron(coarse, np.ones((1, size // 4, size // 4, 1), dtype=np.uint8))


def folder(path: Path, images: NDArray[np.uint8], ending: str = "png") -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(images):
        Image.fromarray(image).save(path / f"{i:03}.{ending}")
    return path


def golden_sets(root: Path) -> dict[str, Path]:
    """The sets behind golden/fid.json: enlarged, shrunk, and at the network's own size."""
    drawn = {
        "tiny": pictures(10, 32, 0, 0, 160),
        "large": pictures(9, 400, 1, 60, 256),
        "exact": pictures(8, 300, 2)[:, :299, :299],
    }
    return {name: folder(root / name, images) for name, images in drawn.items()}
