"""Measure the batch-norm statistics of `inception-v3-random` on procedural images; write random_bn.npz.

    python models/calibrate_random.py python/fastfid/networks/random_bn.npz

The network is wired as usual, except that each convolution is normalised by the mean and variance of its own output
over the whole batch, which are also outputs of the graph: one run measures every layer on inputs that are already
normalised. The result is data and part of the model's identity: running this again on another machine gives the same up
to rounding, which is a different model. It was run once.
"""

import argparse
from pathlib import Path

import numpy as np
import onnxruntime

from fastfid.networks.architecture import IMAGE_SIZE, Value, wire
from fastfid.networks.inception import OnnxWiring, assemble
from fastfid.networks.random import conv_weights

SEED = 20151205
IMAGES = 48


def octaves(rng, decay):
    """Smooth noise on grids of 3 to 150 points, (299, 299): clouds where decay is small, grain where it is near 1."""
    total, scale = np.zeros((IMAGE_SIZE, IMAGE_SIZE)), 1.0
    for points in (3, 5, 9, 18, 37, 75, 150):
        grid = rng.uniform(-1, 1, (points, points))
        at = np.linspace(0, points - 1, IMAGE_SIZE)
        low = np.minimum(at.astype(int), points - 2)
        t = at - low
        rows = grid[low] * (1 - t)[:, None] + grid[low + 1] * t[:, None]
        total += scale * (rows[:, low] * (1 - t) + rows[:, low + 1] * t)
        scale *= decay
    return total


def stripes(rng, x, y):
    angle, period = rng.uniform(0, np.pi), np.exp(rng.uniform(np.log(4), np.log(150)))
    return np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period + rng.uniform(0, 2 * np.pi))


def shapes(rng, x, y):
    """Discs and boxes of one value each, over one another: flat areas and sharp edges."""
    canvas = np.zeros_like(x)
    for _ in range(rng.randint(3, 30)):
        cx, cy = rng.uniform(0, IMAGE_SIZE, 2)
        rx, ry = np.exp(rng.uniform(np.log(5), np.log(100), 2))
        u, v = np.abs(x - cx) / rx, np.abs(y - cy) / ry
        inside = u * u + v * v < 1 if rng.uniform() < 0.5 else np.maximum(u, v) < 1
        canvas[inside] = rng.uniform(-1, 1)
    return canvas


def image(rng):
    """One image, (3, 299, 299) in [-1, 1]: a weighted sum of patterns, each in a colour of its own, clipped."""
    y, x = np.mgrid[:IMAGE_SIZE, :IMAGE_SIZE].astype(np.float64)
    gradient = rng.uniform(-1, 1) * (x / 149 - 1) + rng.uniform(-1, 1) * (y / 149 - 1)
    patterns = [gradient, stripes(rng, x, y), shapes(rng, x, y), octaves(rng, 0.6), octaves(rng, rng.uniform(0.7, 1))]
    grey = rng.uniform(0, 1)  # photographs are mostly grey: the colours of one image are drawn near to each other
    total = np.zeros((3, IMAGE_SIZE, IMAGE_SIZE))
    for pattern in patterns:
        colour = grey * rng.uniform(-1, 1) + (1 - grey) * rng.uniform(-1, 1, 3)
        total += rng.uniform(0, 1) ** 2 * colour[:, None, None] * pattern
    total += rng.uniform(-0.5, 0.5)
    total += rng.uniform(0, 0.7) ** 2 * rng.uniform(-1, 1, total.shape)  # grain, which strong filters amplify
    return np.clip(total * rng.uniform(0.5, 1.5), -1, 1)


def images():
    rng = np.random.RandomState(SEED)
    return np.stack([image(rng) for _ in range(IMAGES)]).astype(np.float32)


class CalibrationWiring(OnnxWiring):
    """Normalises each convolution by its own batch and keeps the mean and variance as outputs."""

    def __init__(self, weights):
        super().__init__()
        self.weights = weights
        self.statistics = {}  # name -> shape
        self.constant("epsilon", np.array(1e-3, np.float32))

    def conv(self, x, layer):
        """Convolution, normalisation by its own batch, ReLU."""
        name = layer.name
        raw = self.convolve(x, layer, [self.constant(f"{name}.weight", self.weights[name])], f"{name}.conv")
        mean = self.node("ReduceMean", [raw], f"{name}.mean", axes=[0, 2, 3])
        centred = self.node("Sub", [raw, mean], f"{name}.centred")
        square = self.node("Mul", [centred, centred], f"{name}.square")
        var = self.node("ReduceMean", [square], f"{name}.var", axes=[0, 2, 3])
        deviation = self.node("Sqrt", [self.node("Add", [var, "epsilon"], f"{name}.var_eps")], f"{name}.deviation")
        self.node("Relu", [self.node("Div", [centred, deviation], f"{name}.normal")], name)
        self.statistics |= {mean: (1, layer.channels, 1, 1), var: (1, layer.channels, 1, 1)}
        return Value(name, layer.channels)


def measure(batch):
    """Means and variances of all channels, in the order of the data, float32 each."""
    net = CalibrationWiring(conv_weights())
    wire(net, Value("images", 3))
    model = assemble(net, net.statistics, {})
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    values = [value.ravel() for value in session.run(list(net.statistics), {"images": batch})]
    return np.concatenate(values[::2]), np.concatenate(values[1::2])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    output = parser.parse_args().output
    mean, var = measure(images())
    np.savez(output, mean=mean, var=var)
    print(f"{output}: {mean.size} channels, variances from {var.min():.3g} to {var.max():.3g}")


if __name__ == "__main__":
    main()
