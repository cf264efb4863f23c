"""A source that takes its time, in a module of its own, so that other processes can import it."""

import time
from functools import partial

from fastfid import Item, Source
from pictures import pictures


class SlowPictures(Source):
    """Seeded pictures, each of which takes some seconds to load."""

    def __init__(self, n, seconds=0.0, seed=0):
        super().__init__("slow pictures", n)
        self.images, self.seconds = pictures(n, 16, seed), seconds

    def read(self, indices):
        for index in indices:
            yield Item(f"picture {index}", partial(load, self.images[index], self.seconds))

    def key_of(self, index):
        return str(index)

    def stamp_of(self, index):
        return f"{self.images[index].sum()}"


def load(image, seconds):
    time.sleep(seconds)
    return image
