"""Faults in a long run: how soon Ctrl-C stops it, and what happens with 30 corrupt files of 3000.

python bench/faults.py [--model inception-v3-random] [--repeats 5]
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median

import numpy as np
from machine import describe
from PIL import Image

import fastfid

# Prints when the network has begun, and how many threads are left when only Python's own exit remains.
CHILD = """
import sys, threading, fastfid
def told(done, total):
    print("running", flush=True)
try:
    fastfid.statistics(sys.argv[1], model=sys.argv[2], progress=told)
except KeyboardInterrupt:
    print([t.name for t in threading.enumerate() if t.name.startswith("fastfid")], flush=True)
"""


def fill(folder: Path, count: int, size: int, seed: int) -> list[Path]:
    folder.mkdir()
    rng, files = np.random.RandomState(seed), []
    for i in range(count):
        coarse = Image.fromarray(rng.randint(0, 256, (8, 8, 3), dtype=np.uint8))
        files.append(folder / f"{i:04}.jpg")
        coarse.resize((size, size), Image.Resampling.BICUBIC).save(files[-1])
    return files


def ctrl_c(folder: Path, model: str) -> float:
    """Seconds from the signal to the end of the process."""
    command = [sys.executable, "-W", "ignore", "-c", CHILD, str(folder), model]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "running\n"
        time.sleep(0.3)  # somewhere inside a run of the network
        child.send_signal(signal.SIGINT)
        start = time.perf_counter()
        rest = child.stdout.read().splitlines()
        child.wait()
        assert rest[-1] == "[]", f"threads left: {rest[-1]}"
        return time.perf_counter() - start


def corrupt(root: Path, model: str) -> None:
    """The score of 3000 files with 30 corrupt ones is that of the other 2970, and the 30 are listed."""
    files, others = fill(root / "whole", 3000, 32, 1), fill(root / "other", 300, 32, 2)
    bad = sorted(np.random.RandomState(0).permutation(len(files))[:30])
    for i in bad:
        content = files[i].read_bytes()
        files[i].write_bytes(content[: len(content) // 2] if i % 2 else b"not an image")
    extractor = fastfid.Extractor(model, dims=64)
    start = time.perf_counter()
    result = fastfid.compare(root / "whole", root / "other", model=extractor, on_error="skip", progress=False)
    seconds = time.perf_counter() - start
    assert result.a.n == 2970
    assert [files[i].name in text for i, text in zip(bad, result.a.rejected, strict=True)] == [True] * 30
    good = [file for i, file in enumerate(files) if i not in bad]
    expected = fastfid.score(good, others, model=extractor, progress=False)
    off = abs(result.fid / expected - 1)  # the other 2970 fall into other batches
    assert off < 1e-6
    print(f"30 corrupt files of 3000, skipped: {seconds:.1f} s, all listed, {off:.0e} off the score of the other 2970.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="inception-v3-random")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore", fastfid.FastFIDWarning)
    print(describe())
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        fill(root / "long", 400, 500, 0)
        delays = [ctrl_c(root / "long", options.model) for _ in range(options.repeats)]
        print(f"Ctrl-C to the end: median {median(delays):.2f} s, worst {max(delays):.2f} s; no thread left.")
        corrupt(root, options.model)


if __name__ == "__main__":
    main()
