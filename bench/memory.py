"""Peak memory of scoring a folder against fixed statistics, for growing numbers of images.

    python bench/memory.py [--counts 600 3000 6000] [--size 128]

Each count runs `fastfid` in a process of its own and reads its peak resident size from the operating system.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from machine import describe
from PIL import Image

CHILD = """
import resource, sys, warnings
import fastfid
warnings.simplefilter("ignore", fastfid.FastFIDWarning)
folder, reference, model = sys.argv[1:]
result = fastfid.compare(folder, reference, model=model, progress=False)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[600, 3000, 6000])
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--model", default="inception-v3-random")
    options = parser.parse_args()
    print(describe())
    print("| images | peak MiB | of the largest count |")
    print("|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        rows = np.random.RandomState(0).standard_normal((2100, 2048))
        np.savez(root / "reference.npz", mu=rows.mean(axis=0), sigma=np.cov(rows, rowvar=False))
        peaks = {}
        for count in sorted(options.counts, reverse=True):
            make_folder(root / str(count), count, options.size)
            command = [sys.executable, "-c", CHILD, root / str(count), root / "reference.npz", options.model]
            n, fid, peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            assert int(n) == count
            assert float(fid) > 0
            peaks[count] = int(peak) / (1024 if sys.platform != "darwin" else 2**20)
            print(f"| {count} | {peaks[count]:.0f} | {peaks[count] / peaks[max(peaks)]:.3f} |", flush=True)


if __name__ == "__main__":
    main()
