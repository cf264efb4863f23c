"""Rates from files to features: every stage alone, and the whole against the bare network and pytorch-fid.

    python bench/throughput.py --weights W.pth --cifar FOLDER --photos FOLDER --rivals-python PYTHON [--repeats 3]

The contenders take turns: the bare network, the whole, and pytorch-fid in its own process. Imports and loading are not
timed, for either tool. Rates are medians; shares are medians of the ratios to the two bare runs around each turn, so
that a slow minute of the machine does not distort them. mu of both tools is compared before a time is printed.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from statistics import median

import numpy as np
from machine import describe

import fastfid
from fastfid.images.decode import decode
from fastfid.images.modes import kernel

RIVALS = Path(__file__).with_name("rivals.py")


def fill(folder: Path, source: Path, count: int) -> Path:
    """`count` files with the images of `source`, over and over."""
    folder.mkdir()
    files = sorted(file for file in source.iterdir() if file.suffix == ".jpg")
    for i, file in enumerate(islice(cycle(files), count)):
        shutil.copyfile(file, folder / f"{i:05}.jpg")
    return folder


def rate(work: Callable[[], int]) -> float:
    start = time.perf_counter()
    count = work()
    return count / (time.perf_counter() - start)


def stages(folder: Path, count: int) -> dict[str, float]:
    """Images a second, in one thread each, of what stands before and after the network."""
    files = sorted(folder.iterdir())[:count]
    contents = [file.read_bytes() for file in files]
    images = [decode(content, "").pixels for content in contents]
    out = np.empty((3, 299, 299), np.float32)
    features = np.random.RandomState(0).standard_normal((16, 2048)).astype(np.float32)
    statistics = fastfid.Statistics(2048).update(np.tile(features, (129, 1)))  # past the rows that are only kept

    def run(function: Callable[[object], object], items: list[object]) -> Callable[[], int]:
        return lambda: len([function(item) for item in items])

    return {
        "read": rate(run(lambda file: file.read_bytes(), files)),
        "decode": rate(run(lambda content: decode(content, ""), contents)),
        "resize": rate(run(lambda image: kernel("pytorch")(image, out), images)),
        "moments": rate(lambda: 16 * len([statistics.update(features) for _ in range(256)])),
    }


def bare(extractor: fastfid.Extractor, batches: int) -> float:
    """Images a second of the session alone, on one full batch over and over."""
    session = extractor.opened.session
    lane = session.borrow()
    lane.images[...] = np.random.RandomState(0).uniform(-1, 1, lane.images.shape)
    try:
        return rate(lambda: sum(len(session.run(lane)["features"]) for _ in range(batches)))
    finally:
        session.give_back(lane)


def rival(folder: Path, batch: int, options: argparse.Namespace, scratch: Path) -> tuple[float, np.ndarray, str]:
    command = [options.rivals_python, str(RIVALS), "pytorch-fid", str(folder), "--weights", options.weights]
    command += ["--rate", str(scratch / "mu.npz"), "--batch-size", str(batch)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    with np.load(scratch / "mu.npz") as file:
        return result["seconds"], file["mu"], f"pytorch-fid {result['version']}, torch {result['torch']}, batch {batch}"


def compare(
    title: str,
    folder: Path,
    rival_batch: int,
    extractor: fastfid.Extractor,
    options: argparse.Namespace,
    scratch: Path,
) -> None:
    count = len(list(folder.iterdir()))
    batches = max(4, count // extractor.batch_size // 8)
    shares, ours, theirs, alone = [], [], [], [bare(extractor, batches)]
    name = "pytorch-fid"
    for _ in range(options.repeats):
        start = time.perf_counter()
        statistics = fastfid.statistics(folder, model=extractor, progress=False)
        ours.append(count / (time.perf_counter() - start))
        alone.append(bare(extractor, batches))
        shares.append(2 * ours[-1] / (alone[-1] + alone[-2]))
        if options.rivals_python:
            seconds, mu, name = rival(folder, rival_batch, options, scratch)
            difference = np.abs(mu - statistics.mu).max() / np.abs(mu).max()
            assert difference < 1e-5, f"mu differs by {difference}"
            theirs.append(count / seconds)
            alone.append(bare(extractor, batches))
    print(f"\n{title}: {count} images\n\n| what | images/s |\n|---|---|")
    for stage, speed in stages(folder, min(count, 500)).items():
        print(f"| {stage}, one thread | {speed:.0f} |")
    print(f"| bare session, batch {extractor.batch_size} | {median(alone):.1f} |")
    print(f"| fastfid, files to mu and sigma | {median(ours):.1f} |")
    if theirs:
        print(f"| {name} | {median(theirs):.1f} |")
    print(f"\nOf the bare session: {median(shares):.1%} (each turn: {', '.join(f'{s:.1%}' for s in shares)}).")
    if theirs:
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        print(f"Times pytorch-fid: {median(ratios):.2f} (each turn: {', '.join(f'{r:.2f}' for r in ratios)}).")


def start_up(weights: str, home: str) -> None:
    """Seconds of imports and of opening a session, each in a fresh process."""
    open_session = f"import fastfid; fastfid.Extractor({os.fspath(weights)!r})"
    code = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t)"
    print("\n| start-up | seconds |\n|---|---|")
    for what, statement in (
        ("import numpy", "import numpy"),
        ("import fastfid", "import fastfid"),
        ("import fastfid and open a session, weights read for the first time", open_session),
        ("import fastfid and open a session, graph cached", open_session),
    ):
        command = [sys.executable, "-c", code.format(statement)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env={**os.environ, "FASTFID_HOME": home})
        print(f"| {what} | {float(done.stdout):.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--cifar", type=Path, required=True, help="32-pixel JPEG files")
    parser.add_argument("--photos", type=Path, required=True, help="500-pixel JPEG files")
    parser.add_argument("--rivals-python", help="Python of an environment with pytorch-fid")
    parser.add_argument("--counts", type=int, nargs=2, default=[3000, 640], metavar=("CIFAR", "PHOTOS"))
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore", fastfid.FastFIDWarning)
    print(describe("pillow"))
    extractor = fastfid.Extractor(options.weights)
    with tempfile.TemporaryDirectory() as root:
        scratch = Path(root)
        for title, source, count, rival_batch in (
            ("CIFAR-10, 32x32 JPEG", options.cifar, options.counts[0], 50),  # pytorch-fid's own default
            ("Photographs of 500 pixels, JPEG", options.photos, options.counts[1], 1),  # it cannot stack mixed sizes
        ):
            if count:
                folder = fill(scratch / source.name, source, count)
                compare(title, folder, rival_batch, extractor, options, scratch)
    rows = np.random.RandomState(0).standard_normal((2, 4096, 2048)).astype(np.float32)
    sets = [fastfid.Statistics(2048).update(x) for x in rows]
    start = time.perf_counter()
    fastfid.score(*sets)
    print(f"\nDistance of two sets of 4096 images at 2048 dims: {time.perf_counter() - start:.2f} s.")
    with tempfile.TemporaryDirectory() as home:  # where no graph is cached yet
        start_up(options.weights, home)


if __name__ == "__main__":
    main()
