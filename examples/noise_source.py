"""Your own source: images of noise, drawn when they are needed. Run it with python examples/noise_source.py."""

from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np

import fastfid


class Noise(fastfid.Source):
    """Images (32, 32, 3) of noise between 0 and `top`."""

    def __init__(self, size: int, top: int) -> None:
        super().__init__(f"{size} images of noise up to {top}", size)
        self.top = top

    def read(self, indices: Iterable[int]) -> Iterator[fastfid.Item]:
        """Yield the images; each has its own seed, so that it can be drawn without the others."""
        return (fastfid.Item(f"noise {index}", partial(self.draw, index)) for index in indices)

    def draw(self, seed: int) -> np.ndarray:
        """Draw one image."""
        return np.random.RandomState(seed).randint(0, self.top + 1, (32, 32, 3))


if __name__ == "__main__":
    print(fastfid.compare(Noise(64, 255), Noise(64, 127), model="inception-v3-random", dims=64).fid)
