"""Every accelerator of ONNX Runtime that this machine has, beside its default provider on the CPU.

    python bench/devices.py openvino [--weights W.pth] [--images FOLDER] [--count 64] [--rounds 9]

Rates are those of the session alone, in turns with the CPU, a second each. Before, the script checks the FID of the two
halves of the images, and whether three sessions, one of them with a single thread, give the same bits. Beside the
difference of an accelerator stands that of the CPU to itself if ONNX Runtime does not optimise the graph: this is
rounding alone, which an untrained network enlarges.
"""

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from gpu import draw
from machine import describe

import fastfid
from fastfid.extraction import runtime
from fastfid.extraction.accelerators import kind_of
from fastfid.threads import num_threads

FID_BUDGET = 1e-4  # relative
Open = Callable[[str], fastfid.Extractor]


@contextmanager
def unoptimised() -> Iterator[None]:
    """Sessions opened inside run the graph as it is, without any optimisation."""
    usual = runtime._options

    def plain() -> Any:
        options = usual()
        options.graph_optimization_level = runtime.load().GraphOptimizationLevel.ORT_DISABLE_ALL
        return options

    runtime._options = plain
    try:
        yield
    finally:
        runtime._options = usual


def batch_rate(extractor: fastfid.Extractor, seconds: float) -> float:
    """Images a second of the session alone, for about this long."""
    session = extractor.opened.session
    lane = session.borrow()
    done, start = 0, time.perf_counter()
    while not done or time.perf_counter() - start < seconds:
        done += len(session.run(lane)["features"])
    elapsed = time.perf_counter() - start
    session.give_back(lane)
    return done / elapsed


def fid_of(features: Any) -> float:
    half = len(features) // 2
    return fastfid.frechet_distance_from_features(features[:half], features[half:])


def difference(features: Any, reference: Any) -> float:
    return float(np.abs(features - reference).max() / np.abs(reference).max())


def same_bits(open_extractor: Open, device: str, features: Any, images: list[Path]) -> bool:
    """Two more sessions, one of them with a single thread, give the same features."""
    threads, same = num_threads(), True
    for count in (threads, 1):
        fastfid.set_num_threads(count)
        same &= bool((open_extractor(device)(images) == features).all())
    fastfid.set_num_threads(threads)
    return same


def row_of(device: str, open_extractor: Open, images: list[Path], reference: Any, rounding: float, rounds: int) -> str:
    """Check a device, then measure it in turns with the CPU."""
    extractor, cpu = open_extractor(device), open_extractor("cpu")
    assert kind_of(extractor.device).provider in extractor.provenance.provider
    features = extractor(images)
    fid = fid_of(features) / fid_of(reference) - 1
    assert abs(fid) < FID_BUDGET, fid
    same = "yes" if same_bits(open_extractor, device, features, images) else "NO"
    ours, theirs = [], []
    for _ in range(rounds):
        theirs.append(batch_rate(cpu, 1.0))
        ours.append(batch_rate(extractor, 1.0))
        print(f"{device} {ours[-1]:.2f}, cpu {theirs[-1]:.2f} images/s", file=sys.stderr, flush=True)
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    left, nodes = runtime.left_to_the_cpu(extractor.opened.session._session)
    cells = (
        f"`{device}`",
        ", ".join(f"{name} {version}" for name, version in runtime.versions(extractor.device).items()),
        f"{difference(features, reference):.1e}",
        f"{rounding:.1e}",
        f"{fid:+.1e}",
        same,
        f"{nodes - len(left)} of {nodes}",
        f"{median(ours):.2f}",
        f"{median(theirs):.2f}",
        f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("devices", nargs="+", help="as for --device of fastfid")
    parser.add_argument("--weights", default="inception-v3-random", help="the built-in random ones by default")
    parser.add_argument("--images", type=Path, help="a folder; drawn from a seed by default")
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--dims", type=int, default=2048)
    parser.add_argument("--batch-size", type=int, help="for a slow device")
    options = parser.parse_args()
    warnings.simplefilter("ignore", fastfid.FastFIDWarning)

    def open_extractor(device: str) -> fastfid.Extractor:
        return fastfid.Extractor(options.weights, dims=options.dims, device=device, batch_size=options.batch_size)

    with tempfile.TemporaryDirectory() as scratch:
        folder = options.images or draw(Path(scratch) / "drawn", options.count, seed=0)
        images = sorted(path for path in folder.rglob("*") if path.is_file())[: options.count]
        reference = open_extractor("cpu")(images)
        with unoptimised():
            rounding = difference(open_extractor("cpu")(images), reference)
        rows = [
            row_of(device, open_extractor, images, reference, rounding, options.rounds) for device in options.devices
        ]
    print(describe())
    print(
        "| device | versions | largest difference / largest feature | the CPU's own rounding | FID, relative | "
        "same bits | nodes it runs | images/s | CPU | ratio |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    print("\n".join(rows))


if __name__ == "__main__":
    main()
