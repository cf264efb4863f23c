"""Whether memory, open files and threads stay as they are in a long run, and over many runs in one process.

    python bench/soak.py images [--images 1000000] [--different 4000]
    python bench/soak.py calls [--calls 5000]

`images` fits a source in memory with a small network of 64 dims. Of the first 1,048,576 images that are different a
hash is kept, to find copies; `--different` says after how many images they repeat, so that what else is kept shows.
`calls` calls `score` again and again, for folders, arrays, files and statistics in turn. Both ask the operating system
100 times how much the process holds, print a table, and end with an error if it holds more at the end than after the
first tenth.
"""

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from machine import describe
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import fastfid
from fastfid.images.observed import MOST_DIGESTS

DIMS, SIDE = 64, 8
SAMPLES = 100
MOST_MIB = 8  # between the first tenth and the end; an allocator moves by some MiB
HASH = 100  # bytes that the hash of an image takes at most
SHOWN = (0, 10, 25, 50, 75, 100)  # per cent


class Held(NamedTuple):
    """What a process holds."""

    done: int
    seconds: float
    mib: float
    files: int
    threads: int


class Watch:
    """Asks the operating system what this process holds."""

    def __init__(self, total: int) -> None:
        self._begin, self._next, self._step = time.perf_counter(), 0, max(1, total // SAMPLES)
        self.held: list[Held] = []

    def __call__(self, done: int, total: int | None = None) -> None:
        """Take a sample if one is due."""
        if done < self._next and done != total:
            return
        self._next = done + self._step
        status = Path("/proc/self/status").read_text()
        mib = int(status.partition("VmRSS:")[2].split()[0]) / 1024
        threads = int(status.partition("Threads:")[2].split()[0])
        files = sum(1 for _ in Path("/proc/self/fd").iterdir()) - 1  # without that of the listing
        self.held.append(Held(done, time.perf_counter() - self._begin, mib, files, threads))

    def report(self, what: str, hashed: int = 0) -> None:
        """Print a table, and end with an error if something has grown after the first tenth.

        Memory may grow by the hashes of the first `hashed` images.
        """
        print(f"| {what} | seconds | MiB | open files | threads |\n{'|---' * 5}|")
        for percent in SHOWN:
            done, seconds, mib, files, threads = self.held[(len(self.held) - 1) * percent // 100]
            print(f"| {done:,} | {seconds:.0f} | {mib:.1f} | {files} | {threads} |")
        warm = self.held[len(self.held) // 10 :]
        first, last = warm[0], warm[-1]
        most = max(each.mib for each in warm)
        print(f"\nfrom {first.done:,} on: {first.mib:.1f} MiB, at most {most:.1f}, at the end {last.mib:.1f}")
        half = len(warm) // 2
        for name in ("files", "threads"):  # a thread may just be ending
            early, late = (max(getattr(each, name) for each in part) for part in (warm[:half], warm[half:]))
            assert late <= early, f"{name}: {early} in the first half, {late} in the second"
        allowed = MOST_MIB + max(0, hashed - first.done) * HASH / 2**20
        assert last.mib - first.mib < allowed, f"{last.mib - first.mib:.1f} MiB more at the end"


class Pictures(fastfid.Source):
    """Images of 8 x 8 pixels, made from their indices when they are read."""

    def __init__(self, size: int, different: int) -> None:
        super().__init__("pictures", size)
        self._different = different

    def read(self, indices: Iterable[int]) -> Iterator[fastfid.Item]:
        """Yield the images at these indices."""
        for index in indices:
            yield fastfid.Item(f"picture {index}", partial(picture, index % self._different))


def picture(number: int) -> NDArray[np.uint8]:
    """Return an image that is different for each number below 2**24, and looks like noise."""
    mixed = (number + 1) * 0x9E3779B97F4A7C15 % 2**64
    values = np.frombuffer(mixed.to_bytes(8, "little") * 24, np.uint8).reshape(SIDE, SIDE, 3)
    return values ^ np.arange(values.size, dtype=np.uint8).reshape(values.shape)


def write_network(path: Path) -> Path:
    """(N, 3, 8, 8) -> (N, 64): linear."""
    weights = numpy_helper.from_array(np.random.RandomState(0).randn(3 * SIDE**2, DIMS).astype(np.float32), "weights")
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["features"]),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("images", ("N", 3, SIDE, SIDE)), ("features", ("N", DIMS)))
    ]
    graph = helper.make_graph(nodes, "stand-in", ends[:1], ends[1:], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    helper.set_model_props(model, {"fastfid.mode": f"size={SIDE} resize=bilinear"})
    onnx.save(model, path)
    return path


def images(model: Path, number: int, different: int) -> None:
    """Fit many images, and check their mean."""
    watch = Watch(number)
    found = fastfid.statistics(Pictures(number, different), model=model, progress=watch)
    watch.report("images", min(different, MOST_DIGESTS))
    few = fastfid.statistics(Pictures(different, different), model=model, progress=False)
    assert found.n == number
    if number % different == 0:  # all of them equally often
        np.testing.assert_allclose(found.mu, few.mu, rtol=1e-9)
    print(f"{number / watch.held[-1].seconds:.0f} images a second")


def calls(model: Path, number: int, folder: Path) -> None:
    """Call `score` for several kinds of sides, and check that each gives the same number each time."""
    for name, first in (("a", 0), ("b", 100)):
        (folder / name).mkdir()
        for index in range(12):
            Image.fromarray(picture(first + index)).save(folder / name / f"{index}.png")
    stack = np.stack([picture(200 + index) for index in range(12)])
    np.save(folder / "c.npy", stack)
    fastfid.statistics(folder / "b", model=model, progress=False).save(folder / "b.npz")
    extractor = fastfid.Extractor(model)
    sides = [(folder / "a", folder / "b"), (stack, folder / "b.npz"), (folder / "c.npy", list(stack[::-1]))]
    expected = [fastfid.score(*pair, model=model, progress=False) for pair in sides]
    watch = Watch(number)
    watch(0)
    for call in range(number):
        kind = call % len(sides)
        opened = extractor if call // len(sides) % 2 else model  # a network that is open, or opened by the call
        assert fastfid.score(*sides[kind], model=opened, progress=False) == expected[kind]
        watch(call + 1, number)
    watch.report("calls")


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["images", "calls"])
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--different", type=int, default=4000)
    parser.add_argument("--calls", type=int, default=5000)
    asked = parser.parse_args()
    warnings.simplefilter("ignore", fastfid.FastFIDWarning)
    print(describe())
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FASTFID_HOME"] = folder
        model = write_network(Path(folder) / "stand-in.onnx")
        if asked.what == "images":
            images(model, asked.images, asked.different)
        else:
            calls(model, asked.calls, Path(folder))


if __name__ == "__main__":
    main()
