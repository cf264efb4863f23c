"""Your own accumulator, and a metric that needs it: the difference between the ranges of the features."""

import numpy as np

import fastfid


class Range(fastfid.Accumulator):  # its attributes are its state
    def __init__(self, dims):
        self.low, self.high = np.full(dims, np.inf), np.full(dims, -np.inf)

    def update(self, rows):
        self.low, self.high = np.minimum(self.low, rows.min(axis=0)), np.maximum(self.high, rows.max(axis=0))

    def merge(self, other):
        self.low, self.high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)


class RangeDistance(fastfid.Metric):
    name, needs = "range-distance", (fastfid.Need("features", Range),)

    def value(self, a, b):
        a, b = a[self.needs[0]], b[self.needs[0]]
        return fastfid.Score(float(np.mean(np.abs(a.low - b.low) + np.abs(a.high - b.high)) / 2))


if __name__ == "__main__":
    sides, model = np.random.RandomState(0).randint(0, 256, (2, 9, 32, 32, 3)), "inception-v3-random"
    print(fastfid.compare(*sides, model=model, dims=64, metrics=[RangeDistance()]).scores)
