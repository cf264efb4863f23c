"""Peak memory of scoring a folder against fixed statistics, for growing numbers of images.

    python bench/memory.py [--counts 600 3000 6000] [--size 128]
    python bench/memory.py --stand-in --counts 600 6000 60000

Each count runs `fastfid` in a new process and reads its peak resident size from the operating system. The second
form takes arrays from a generator instead of files, and a small network with 2048 features instead of Inception.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from machine import describe
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

CHILD = """
import resource, sys, warnings
import fastfid
warnings.simplefilter("ignore", fastfid.FastFIDWarning)
source, reference, model = sys.argv[1:]
if source.isdecimal():
    import numpy as np
    rng = np.random.RandomState(0)
    source = (rng.randint(0, 256, (64, 64, 3), dtype=np.uint8) for _ in range(int(source)))
result = fastfid.compare(source, reference, model=model, progress=False)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(result.a.n, result.fid, peak)
"""


def make_folder(path: Path, count: int, size: int) -> None:
    """`count` JPEG files of coarse random blocks."""
    path.mkdir()
    rng = np.random.RandomState(count)
    for i in range(count):
        blocks = rng.randint(0, 256, (8, 8, 3)).astype(np.uint8)
        Image.fromarray(blocks).resize((size, size), Image.Resampling.BICUBIC).save(path / f"{i:06}.jpg")


def write_stand_in(path: Path) -> None:
    """(N, 3, 299, 299) -> (N, 2048): averages of overlapping squares."""
    nodes = [
        helper.make_node("AveragePool", ["images"], ["means"], kernel_shape=[16, 16], strides=[8, 8]),
        helper.make_node("Flatten", ["means"], ["flat"]),
        helper.make_node("Gather", ["flat", "first"], ["features"], axis=1),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("images", ("N", 3, 299, 299)), ("features", ("N", 2048)))
    ]
    first = numpy_helper.from_array(np.arange(2048), "first")
    graph = helper.make_graph(nodes, "stand-in", ends[:1], ends[1:], [first])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[600, 3000, 6000])
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--model", default="inception-v3-random")
    parser.add_argument("--stand-in", action="store_true", help="a generator and a small network")
    options = parser.parse_args()
    print(describe())
    print("| images | peak MiB | of the largest count |")
    print("|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        rows = np.random.RandomState(0).standard_normal((2100, 2048))
        np.savez(root / "reference.npz", mu=rows.mean(axis=0), sigma=np.cov(rows, rowvar=False))
        peaks, model = {}, options.model
        if options.stand_in:
            model = str(root / "stand-in.onnx")
            write_stand_in(root / "stand-in.onnx")
        for count in sorted(options.counts, reverse=True):
            source = str(count)
            if not options.stand_in:
                make_folder(root / source, count, options.size)
                source = str(root / source)
            command = [sys.executable, "-c", CHILD, source, str(root / "reference.npz"), model]
            n, fid, peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            assert int(n) == count
            assert float(fid) > 0
            peaks[count] = int(peak) / (1024 if sys.platform != "darwin" else 2**20)
            print(f"| {count} | {peaks[count]:.0f} | {peaks[count] / peaks[max(peaks)]:.3f} |", flush=True)


if __name__ == "__main__":
    main()
