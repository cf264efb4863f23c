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
