"""The cost of pieces and processes: one piece against many, and this process against one and two others.

    python bench/pieces.py --images FOLDER [--count 2048] [--repeats 5]

The network is a stand-in that computes a few averages, so that a stop of the pipeline between two pieces would show.
All runs with pieces of the same size must first give the same covariance to the last bit. Then each turn times every
way once, in images per second.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from machine import describe
from memory import write_stand_in

from fastfid.engines.base import Engine, How
from fastfid.engines.local import Local
from fastfid.engines.processes import Processes
from fastfid.extraction.recipe import Recipe
from fastfid.fit import Fit, fold
from fastfid.messages import Messages
from fastfid.metrics.moments import MOMENTS, Statistics
from fastfid.sources import Source, open_source, pieces


def run(engine: Engine, source: Source, count: int, size: int) -> tuple[Statistics, float]:
    """Statistics of the first images of a source, and the rate."""
    start = time.perf_counter()
    fits = engine.fit([MOMENTS], pieces(source, size=size), How())
    whole = fold(fits, Fit.empty([MOMENTS], {"features": 2048}))
    seconds = time.perf_counter() - start
    assert whole.n == count
    return whole[MOMENTS], count / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--count", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    source = open_source([str(path) for path in sorted(options.images.iterdir())[: options.count]])
    count = source.size
    ways = {
        "this process, one piece": (Local(), count),
        "this process, pieces of 64": (Local(), 64),
        "this process, pieces of 512": (Local(), 512),
        "one process, pieces of 512": (Processes(["cpu"]), 512),
        "two processes, pieces of 512": (Processes(["cpu", "cpu"]), 512),
    }
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "stand_in.onnx")
        write_stand_in(model)
        for engine, _ in ways.values():
            engine.open(Recipe(model=model, device="cpu"), Messages())
        answers = {name: run(engine, source, count, size)[0] for name, (engine, size) in ways.items()}
        bits = [answer.sigma.tobytes() for name, answer in answers.items() if name.endswith("512")]
        assert len(set(bits)) == 1, "the number of processes changed the bits"
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(options.repeats):
            for name, (engine, size) in ways.items():
                rates[name].append(run(engine, source, count, size)[1])
        for engine, _ in ways.values():
            engine.close()
    print(describe())
    print(f"{count} images of {options.images.name}, a stand-in network of 2048 features\n")
    print("| way | images/s, median | of one piece, median (each turn) |")
    print("|---|---|---|")
    base = rates["this process, one piece"]
    for name, found in rates.items():
        shares = [a / b for a, b in zip(found, base, strict=True)]
        each = ", ".join(f"{share:.2f}" for share in shares)
        print(f"| {name} | {statistics.median(found):.0f} | {statistics.median(shares):.2f} ({each}) |")


if __name__ == "__main__":
    main()
