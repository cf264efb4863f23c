"""Forks while other threads are in the core, as in services that load a model and then fork."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from fastfid import Statistics, _core, frechet_distance_from_features, set_num_threads, sqrtm
from processes import PATIENCE, child_of, wait_for

FORKS = 50

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


def compute(x):
    """Everything in the core that calls BLAS."""
    Statistics(x.shape[1]).update(x).sigma  # noqa: B018 - computed when it is read
    sqrtm(x[: x.shape[1]])
    _core.polynomial_sums(np.tile(x, (8, 1)), x, False)  # with threads of its own
    return frechet_distance_from_features(x, x[::-1] * 1.5)


def in_child(work):
    """How a child ends that does some work: 0 where it found what it should."""
    return wait_for(child_of(lambda: 0 if work() else 2))


def main():
    """Compute in two threads, fork and compute in each child; in a process of its own, for a deadlock takes both."""
    x, few = (np.random.RandomState(0).standard_normal((2 * d, d)) for d in (80, 24))
    set_num_threads(2)  # with one thread BLAS has no pool to lose
    expected = compute(few)
    stop = threading.Event()
    shared = Statistics(80)

    def load():
        while not stop.is_set():
            shared.update(x)
            compute(x)

    def share():
        """The statistics that the threads of the parent write into are whole in the child, and not locked."""
        return shared.update(x).n % len(x) == 0 and bool(np.isfinite(shared.sigma).all())

    def grandchild():
        return in_child(lambda: compute(few) == expected)  # the child's own lock must be whole

    workers = [threading.Thread(target=load) for _ in range(2)]
    for worker in workers:
        worker.start()
    try:
        for _ in range(FORKS):
            assert in_child(lambda: compute(few) == expected and share() and grandchild() == 0) == 0
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    assert compute(few) == expected


def test_forks_under_load():
    subprocess.run([sys.executable, __file__], check=True, timeout=5 * PATIENCE)


if __name__ == "__main__":
    main()
