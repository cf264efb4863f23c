"""A training loop that scores its generator as it learns.

    python examples/training_loop.py            # a toy that learns the mean colour of its images
    python examples/training_loop.py real.npz   # against your own statistics, of mode "pytorch"

Tensors of torch or JAX, on any device, are passed to the monitor as these arrays are.
"""

import sys

import numpy as np

import fastfid

MODEL = {"model": "inception-v3-random", "dims": 64}  # untrained, no download; leave it out for published FIDs


def main() -> None:
    """Train the toy."""
    rng = np.random.RandomState(0)
    real = sys.argv[1] if len(sys.argv) > 1 else rng.randint(90, 256, (100, 32, 32, 3))
    options = {} if len(sys.argv) > 1 else MODEL
    monitor = fastfid.Monitor(real, metrics=["fid", "kid"], value_range=(-1, 1), quantise="round", **options)
    bias = -0.6
    for step in range(1, 301):
        bias += 0.01 * (0.3 - bias)  # one step of the optimiser
        if step % 100 == 0:
            for _ in range(5):
                monitor.update(np.clip(bias + rng.uniform(-0.7, 0.7, (20, 3, 32, 32)), -1, 1))
            metrics = monitor.compute().as_metrics()  # what MLflow and Weights & Biases take
            print(step, {name: round(metrics[name], 5) for name in ("fid", "kid")})
            monitor.reset()


if __name__ == "__main__":
    main()
