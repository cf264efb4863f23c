"""What many machines cost: the engine on Ray beside the local one, and what follows for up to 64 workers.

    python bench/scale.py overhead        seconds for each piece and each image, with a network whose time is known
    python bench/scale.py efficiency      a simulation of 1 to 64 workers, with the constants that `overhead` prints
    python bench/scale.py memory          memory of the driver for 100 to 10,000 pieces
    python bench/scale.py listing         time and memory for a folder of a million names
    python bench/scale.py kills           20 runs whose actors are killed by SIGKILL at random moments

All runs first give the same covariance to the last bit. `memory` and `listing` count in processes of their own.
"""

import argparse
import heapq
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from machine import describe
from onnx import TensorProto, helper, numpy_helper
from timed import SECONDS, Timed

import fastfid
from fastfid import Need
from fastfid.engines.base import Engine, How
from fastfid.engines.local import Local
from fastfid.engines.piece_files import READERS, keep_of
from fastfid.engines.ray import _AHEAD, Ray
from fastfid.engines.resume import resumed
from fastfid.extraction.recipe import Recipe
from fastfid.extraction.workers import ahead
from fastfid.files.store import Store
from fastfid.fit import Facts, Fit, fold
from fastfid.messages import Messages
from fastfid.metrics.moments import MOMENTS
from fastfid.sources import Source, open_source, pieces

DIMS = 2048
MARK = f"FASTFID_CLUSTER_OF={os.getpid()}".encode()  # in the environment of this cluster's processes
TIMED = Need("features", Timed)


def start_ray() -> None:
    import ray

    os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    os.environ["FASTFID_CLUSTER_OF"] = str(os.getpid())
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)  # the actors import `timed`
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")


def write_network(path: Path) -> None:
    """(N, 3, 8, 8) -> (N, 2048), linear: it takes next to no time, so that what is around it shows."""
    weights = numpy_helper.from_array(np.random.RandomState(0).randn(192, DIMS).astype(np.float32), "weights")
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["features"]),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("images", ("N", 3, 8, 8)), ("features", ("N", DIMS)))
    ]
    graph = helper.make_graph(nodes, "stand-in", ends[:1], ends[1:], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    helper.set_model_props(model, {"fastfid.mode": "size=8 resize=bilinear"})
    onnx.save(model, path)


def noise(count: int) -> Source:
    return open_source(np.random.RandomState(0).randint(0, 256, (count, 8, 8, 3), dtype=np.uint8))


def run(engine: Engine, facts: Facts, source: Source, size: int, store: Store | None = None) -> tuple[bytes, float]:
    """Bits of the covariance, and seconds."""
    start = time.perf_counter()
    cut = list(pieces(source, size=size))
    how = How()
    if store is None:
        fits = engine.fit([TIMED], cut, how)
    else:
        how = How(keep=keep_of(store, cut, [TIMED], facts, {}))
        fits = resumed(engine, [TIMED], cut, how, Messages())
    whole = fold(fits, Fit.empty([TIMED], facts.roles))
    return whole[TIMED].sigma.tobytes(), time.perf_counter() - start


def overhead(options: argparse.Namespace) -> None:
    """Per piece and per image, from runs that differ in the size of the pieces only."""
    start_ray()
    source = noise(options.count)
    sizes = (2560, options.count)  # more images than dims: states of full size
    with tempfile.TemporaryDirectory() as root:
        model = Path(root, "stand_in.onnx")
        write_network(model)
        began = time.perf_counter()
        ray = Ray({"workers": 1})
        facts = ray.open(Recipe(model=model, device="cpu"), Messages())
        opening = time.perf_counter() - began
        local = Local()
        local.open(Recipe(model=model, device="cpu"), Messages())
        ways: dict[str, Callable[[int], tuple[bytes, float]]] = {
            "local": lambda size: run(local, facts, source, size),
            "local, resume": lambda size: run(local, facts, source, size, Store(tempfile.mkdtemp(dir=root))),
            "Ray, one actor": lambda size: run(ray, facts, source, size),
            "Ray, one actor, resume": lambda size: run(ray, facts, source, size, Store(tempfile.mkdtemp(dir=root))),
        }
        seconds: dict[tuple[str, int], list[float]] = {(way, size): [] for way in ways for size in sizes}
        for size in sizes:
            assert len({call(size)[0] for call in ways.values()}) == 1, "the engine changed the bits"
        for _ in range(options.repeats):
            for way, size in seconds:
                seconds[way, size].append(ways[way](size)[1])
        folding = _folding(Path(root), facts, source, sizes[0])
        ray.close()
    print(describe("ray"))
    known = options.count * SECONDS
    print(f"{options.count} images of {1e3 * SECONDS} ms, {DIMS} dims, {options.repeats} turns, medians\n")
    counts = [-(-options.count // size) for size in sizes]
    heads = (f"seconds, {counts[1]} piece", f"seconds, {counts[0]} pieces", "ms a piece", "ms an image beyond its own")
    print("| engine | " + " | ".join(heads) + " |")
    print("|---|---|---|---|---|")
    for way in ways:
        many, few = (statistics.median(seconds[way, size]) for size in sizes)
        each = (many - few) / (counts[0] - counts[1])
        rest = (few - counts[1] * each - known) / options.count
        print(f"| {way} | {few:.2f} | {many:.2f} | {1e3 * each:.1f} | {1e3 * rest:.3f} |")
    print(f"\nReading a piece and merging it takes {1e3 * folding:.1f} ms, opening the first actor {opening:.1f} s.")


def _folding(root: Path, facts: Facts, source: Source, size: int) -> float:
    """Seconds to read a piece from a file and to merge it, which the driver does one after the other."""
    cut = list(pieces(source, size=size))
    store = Store(root / "fold")
    files = keep_of(store, cut, [MOMENTS], facts, {})
    rng = np.random.RandomState(0)
    states = Fit.empty([MOMENTS], facts.roles)
    states.update({"features": rng.randn(4 * DIMS, DIMS).astype(np.float32)})
    states.seen.accepted = 4 * DIMS
    for piece in cut:
        files.write(piece, states, "")
    found = []
    for _ in range(3):
        start = time.perf_counter()
        with closing(ahead(files.read_number, range(len(cut)), READERS)) as fits:
            fold(((None, fit) for fit in fits), states)
        found.append((time.perf_counter() - start) / len(cut))
    return min(found)


def simulate(workers: int, count: int, images: float, each: float, folding: float) -> float:
    """Seconds until the last piece is merged; `images` and `each` are seconds of a piece's images, and beyond them.

    As the engine does: a piece goes to the first worker that is free, at most `_AHEAD` pieces a worker are given out
    and not merged, and the driver merges them in order, one at a time.
    """
    free = [0.0] * workers
    heapq.heapify(free)
    merged: list[float] = []
    for number in range(count):
        room = merged[number - _AHEAD * workers] if number >= _AHEAD * workers else 0.0
        done = max(heapq.heappop(free), room) + images + each
        heapq.heappush(free, done)
        merged.append(max(done, merged[-1] if merged else 0.0) + folding)
    return merged[-1]


def efficiency(options: argparse.Namespace) -> None:
    """Share of the workers' time that goes into images."""
    size, rate = 8192, options.rate
    print(f"{rate} images/s a worker, pieces of {size}: {options.each} ms for each, {options.folding} ms to merge it\n")
    counts = (1, 2, 4, 8, 16, 32, 64)
    print("| images | " + " | ".join(f"{workers} workers" for workers in counts) + " |")
    print("|---" * (len(counts) + 1) + "|")
    for total in (50_000, 1_000_000, 1_281_167, 10_000_000, 100_000_000):
        count = -(-total // size)
        shares = []
        for workers in counts:
            took = simulate(workers, count, size / rate, options.each / 1e3, options.folding / 1e3)
            shares.append(count * size / rate / (workers * took))
        print(f"| {total:,} | " + " | ".join(f"{share:.3f}" for share in shares) + " |")


MEMORY = """
import resource, sys, tempfile, time
sys.path[:0] = [{bench!r}]
import scale, ray, pathlib
import fastfid
from fastfid.sources import Piece
scale.start_ray()
with tempfile.TemporaryDirectory() as root:
    model = pathlib.Path(root, "stand_in.onnx")
    scale.write_network(model)
    engine = scale.Ray({{"workers": 2}})
    facts = engine.open(scale.Recipe(model=model, device="cpu"), scale.Messages())
    source = scale.noise({count} * 4)
    cut = list(scale.pieces(source, size=4))
    store = scale.Store(pathlib.Path(root, "kept"))
    keep = scale.keep_of(store, cut, [scale.MOMENTS], facts, {{}})
    fits = scale.resumed(engine, [scale.MOMENTS], cut, scale.How(keep=keep), scale.Messages())
    start = time.perf_counter()
    whole = scale.fold(fits, None)
    assert whole.n == {count} * 4
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, round(time.perf_counter() - start, 1))
"""


def memory(options: argparse.Namespace) -> None:
    """Peak of the driver, with files of the pieces."""
    print(describe("ray"))
    print("| pieces | memory of the driver, MiB | seconds |")
    print("|---|---|---|")
    for count in (100, 1000, 10_000):
        code = MEMORY.format(bench=str(Path(__file__).parent), count=count)
        done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
        mebibytes, seconds = done.stdout.split()[-2:]
        print(f"| {count:,} | {mebibytes} | {seconds} |", flush=True)


LISTING = """
import resource, sys, time
from fastfid.sources import open_source
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
source = open_source(sys.argv[1])
seconds = time.perf_counter() - start
print(source.size, round(seconds, 2), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, before // 1024)
"""


def listing(options: argparse.Namespace) -> None:
    """Open a folder of a million empty files, in 1000 subfolders."""
    with tempfile.TemporaryDirectory() as root:
        for i in range(options.names // 1000):
            folder = Path(root, f"n{i:08}")
            folder.mkdir()
            for j in range(1000):
                os.close(os.open(folder / f"n{i:08}_{j:08}.JPEG", os.O_CREAT))
        print(describe())
        print("| names | seconds | memory at its peak, MiB | before, MiB |")
        print("|---|---|---|---|")
        for _ in range(3):
            done = subprocess.run([sys.executable, "-c", LISTING, root], capture_output=True, text=True, check=True)
            size, seconds, peak, before = done.stdout.split()
            print(f"| {int(size):,} | {seconds} | {peak} | {before} |", flush=True)


def actors() -> list[int]:
    """The processes of the actors of this cluster."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(b"ray::_Actor") and MARK in path.with_name("environ").read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def kills(options: argparse.Namespace) -> None:
    """Every run has the bits of the undisturbed one, in every second run with files of the pieces."""
    warnings.simplefilter("ignore", fastfid.FastFIDWarning)
    start_ray()
    source = noise(options.count)
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as root:
        model = Path(root, "stand_in.onnx")
        write_network(model)
        local = Local()
        facts = local.open(Recipe(model=model, device="cpu"), Messages())
        size = options.count // 40
        wanted, _ = run(local, facts, source, size)
        print(describe("ray"))
        print(f"seed {options.seed}, {options.count} images in 40 pieces, 1 to 3 workers\n")
        total = 0
        for turn in range(options.runs):
            engine: Any = Ray({"workers": rng.randint(1, 3)})
            engine.open(Recipe(model=model, device="cpu"), Messages())
            over, killed = threading.Event(), []

            def kill(over: threading.Event = over, killed: list[int] = killed) -> None:
                while not over.wait(rng.uniform(0.2, 1.5)) and len(killed) < 4:
                    for number in actors()[:1]:
                        os.kill(number, signal.SIGKILL)
                        killed.append(number)

            killer = threading.Thread(target=kill)
            killer.start()
            try:
                found, _ = run(engine, facts, source, size, Store(Path(root, str(turn))) if turn % 2 else None)
            finally:
                over.set()
                killer.join()
                engine.close()
            assert found == wanted, f"run {turn} has other bits"
            total += len(killed)
            print(f"run {turn}: {len(killed)} actors killed, the same bits", flush=True)
    print(f"\n{options.runs} runs, {total} actors killed, all bits equal")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=("overhead", "efficiency", "memory", "listing", "kills"))
    parser.add_argument("--count", type=int, default=10240)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--names", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=int, default=2000, help="images a second of one worker")
    parser.add_argument("--each", type=float, help="milliseconds a piece, as `overhead` prints them")
    parser.add_argument("--folding", type=float, help="milliseconds to merge a piece, as `overhead` prints them")
    options = parser.parse_args()
    if options.table == "efficiency" and None in (options.each, options.folding):
        parser.error("efficiency needs --each and --folding, which overhead prints")
    globals()[options.table](options)


if __name__ == "__main__":
    main()
