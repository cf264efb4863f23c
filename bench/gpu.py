"""Rates, errors and determinism of every precision on a GPU, against the bare session and pytorch-fid.

    python bench/gpu.py [--rivals-python PYTHON] [--weights W.pth] [--images 4096]
    python bench/gpu.py --dry-run          # the same code on the CPU provider, in a minute or two

Needs a machine with a GPU, fastfid, and for the comparison an environment with pytorch-fid and torch for CUDA. Without
``--weights``, both tools use the built-in random network. Every number is checked before a rate is printed; the table
comes last. CUDA graphs, cuDNN's timed search and the NHWC layout are tried on the bare session: what is faster there
may become the default.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from machine import describe
from PIL import Image

import fastfid
from fastfid.extraction import runtime
from fastfid.extraction.lanes import Lane
from fastfid.images.decode import decode
from fastfid.images.modes import kernel
from fastfid.networks.half import to_half
from fastfid.networks.random import random_weights

RIVALS = Path(__file__).with_name("rivals.py")
FID_BUDGET = {"fp32": 1e-4}  # relative; what the faster precisions cost is measured and printed
ROWS: list[tuple[str, str, float | None, str]] = []


def row(what: str, setting: str, rate: float | None, remark: str = "") -> None:
    ROWS.append((what, setting, rate, remark))
    print(what, setting, "" if rate is None else f"{rate:.1f} images/s", remark, file=sys.stderr, flush=True)


def draw(folder: Path, count: int, seed: int) -> Path:
    """`count` JPEG files of 256 pixels with detail at several scales, about 40 kB each."""
    folder.mkdir()
    rng = np.random.RandomState(seed)
    for i in range(count):
        layers = [rng.randint(0, 256, (side, side, 3), dtype=np.uint8) for side in (4, 16, 64, 256)]
        large = [np.asarray(Image.fromarray(layer).resize((256, 256), Image.Resampling.BICUBIC)) for layer in layers]
        mixed = sum(
            weight * layer.astype(np.float32) for weight, layer in zip((0.4, 0.3, 0.2, 0.1), large, strict=True)
        )
        Image.fromarray(mixed.astype(np.uint8)).save(folder / f"{i:05}.jpg", quality=90)
    return folder


@contextmanager
def options_changed(**changes: str) -> Iterator[None]:
    """Sessions opened inside get these options of the CUDA provider besides their own."""
    plain = runtime.cuda_options
    runtime.cuda_options = lambda *settings: {**plain(*settings), **changes}
    try:
        yield
    finally:
        runtime.cuda_options = plain


def bare_rate(extractor: fastfid.Extractor, seconds: float, at_once: int) -> float:
    """Images a second of the session alone, `at_once` runs on the device at a time."""
    session = extractor.opened.session
    lanes = [session.borrow() for _ in range(at_once)]
    with ThreadPoolExecutor(at_once) as pool:
        for lane in lanes:
            lane.images[...] = np.random.RandomState(0).uniform(-1, 1, lane.images.shape)
            session.run(lane)
        stop = threading.Event()

        def work(lane: Lane) -> int:
            done = 0
            while not stop.is_set():
                done += len(session.run(lane)["features"])
            return done

        start = time.perf_counter()
        running = [pool.submit(work, lane) for lane in lanes]
        time.sleep(seconds)
        stop.set()
        return sum(future.result() for future in running) / (time.perf_counter() - start)


def unbound_rate(extractor: fastfid.Extractor, seconds: float) -> float:
    """The same by plain runs, one at a time, whose inputs and outputs ONNX Runtime copies itself."""
    session = extractor.opened.session
    images = np.random.RandomState(0).uniform(-1, 1, (session.batch_size, 3, *session.size)).astype(np.float32)
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        (features,) = session._session.run(None, {"images": images})
        done += len(features)
    return done / (time.perf_counter() - start)


def graph_rate(extractor: fastfid.Extractor, onnx: bytes, seconds: float) -> float:
    """The same with a CUDA graph: one launch replays all kernels, on buffers that stay on the device."""
    ort = runtime.load()
    options = {**runtime.cuda_options(extractor.device, extractor.precision), "enable_cuda_graph": "1"}
    session = ort.InferenceSession(onnx, providers=[("CUDAExecutionProvider", options)])
    shape = (extractor.batch_size, 3, 299, 299)
    images = np.random.RandomState(0).uniform(-1, 1, shape).astype(np.float32)
    there = ort.OrtValue.ortvalue_from_numpy(images, "cuda", 0)
    back = ort.OrtValue.ortvalue_from_shape_and_type((shape[0], extractor.dims), np.float32, "cuda", 0)
    binding = session.io_binding()
    binding.bind_ortvalue_input("images", there)
    binding.bind_ortvalue_output("features", back)
    for _ in range(3):
        session.run_with_iobinding(binding)
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        there.update_inplace(images)
        session.run_with_iobinding(binding)
        done += len(back.numpy())
    return done / (time.perf_counter() - start)


def decode_rate(folder: Path, workers: int) -> float:
    """Files to network input, without the network."""
    files = sorted(folder.iterdir())
    local = threading.local()

    def work(file: Path) -> None:
        if not hasattr(local, "out"):
            local.out = np.empty((3, 299, 299), np.float32)
        kernel("pytorch")(decode(file, "").pixels, local.out)

    with ThreadPoolExecutor(workers) as pool:
        start = time.perf_counter()
        list(pool.map(work, files))
        return len(files) / (time.perf_counter() - start)


def whole_rate(folder: Path, extractor: fastfid.Extractor, workers: int | None) -> tuple[float, fastfid.Statistics]:
    start = time.perf_counter()
    statistics = fastfid.statistics(folder, model=extractor, num_workers=workers, progress=False)
    assert statistics.n is not None
    return statistics.n / (time.perf_counter() - start), statistics


def rival(folder: Path, weights: Path, workers: int, batch: int, options: Any, scratch: Path) -> tuple[float, Any, str]:
    device = "cpu" if options.dry_run else "cuda"
    command = [options.rivals_python, str(RIVALS), "pytorch-fid", str(folder), "--weights", str(weights)]
    command += ["--rate", str(scratch / "mu.npz"), "--device", device]
    command += ["--workers", str(workers), "--batch-size", str(batch)]
    result = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.splitlines()[-1])
    about = f"{result['version']}, torch {result['torch']}, TF32 convolutions {'on' if result['tf32'] else 'off'}"
    with np.load(scratch / "mu.npz") as file:
        return result["seconds"], file["mu"], about


def measure_sessions(precisions: list[str], options: Any, open_extractor: Callable[..., fastfid.Extractor]) -> None:
    """The bare session: precisions, batch sizes, runs at once, and what else the provider offers."""
    seconds, on_gpu = (0.2, False) if options.dry_run else (4.0, True)
    for precision in precisions:
        for batch in [16] if options.dry_run else [32, 64, 128, 256]:
            extractor = open_extractor(precision, batch)
            for at_once in (1, 2):
                rate = bare_rate(extractor, seconds, at_once)
                row("bare session", f"{precision}, batch {batch}, {at_once} at once", rate)
            rate = unbound_rate(extractor, seconds)
            row("bare session", f"{precision}, batch {batch}, 1 at once, no binding, no locked pages", rate)
        if not on_gpu:
            continue
        for name, changes in (
            ("timed algorithm search", {"cudnn_conv_algo_search": "EXHAUSTIVE"}),
            ("NHWC", {"prefer_nhwc": "1"}),
            ("NHWC, timed algorithm search", {"prefer_nhwc": "1", "cudnn_conv_algo_search": "EXHAUSTIVE"}),
        ):
            try:
                with options_changed(**changes):
                    rate = bare_rate(open_extractor(precision, None), seconds, 2)
                row("bare session", f"{precision}, default batch, {name}", rate)
            except fastfid.FastFIDError as error:
                row("bare session", f"{precision}, default batch, {name}", None, f"refused: {error}"[:120])
        try:
            onnx = fastfid.networks.load(options.weights or "inception-v3-random").onnx
            if precision == "fp16":
                onnx = to_half(onnx, "inception-v3")
            rate = graph_rate(open_extractor(precision, None), onnx, seconds)
            row("bare session", f"{precision}, default batch, CUDA graph, buffers on the device", rate)
        except Exception as error:  # the row shows the error, and the run continues
            row("bare session", f"{precision}, default batch, CUDA graph", None, f"refused: {error}"[:120])


def measure_errors(sets: list[Path], precisions: list[str], open_extractor: Callable[..., fastfid.Extractor]) -> None:
    """Features and FID of every precision against fp32 on the CPU."""
    reference = open_extractor("fp32", None, device="cpu")
    few = sorted(sets[0].iterdir())[:64]
    features = reference(few)
    fid = fastfid.score(*sets, model=reference, limit=512)
    for precision in precisions:
        extractor = open_extractor(precision, None)
        off = np.abs(extractor(few) - features).max() / np.abs(features).max()
        ours = fastfid.score(*sets, model=extractor, limit=512)
        assert abs(ours / fid - 1) < FID_BUDGET.get(precision, 0.1)
        if precision == "fp32":
            assert off < 1e-5, off
        remark = f"features off by {off:.1e} of the largest, FID {ours:.6f} by {ours / fid - 1:+.1e}"
        row("error against fp32 on the CPU", precision, None, remark)


def measure_determinism(folder: Path, precisions: list[str], open_extractor: Callable[..., fastfid.Extractor]) -> None:
    """Run to run, session to session and for every number of workers: the same bits."""
    for precision in precisions:
        found = []
        for workers in (1, 2, 8):
            _, statistics = whole_rate(folder, open_extractor(precision, None), workers)
            found.append(statistics)
        same = all((s.mu == found[0].mu).all() and (s.sigma == found[0].sigma).all() for s in found)
        row("same bits in three sessions, 1, 2 and 8 workers", precision, None, "yes" if same else "NO")


def measure_whole(
    folder: Path, precisions: list[str], options: Any, open_extractor: Callable[..., fastfid.Extractor], scratch: Path
) -> None:
    """Files to statistics, in turns with pytorch-fid at its best number of workers."""
    weights = Path(options.weights) if options.weights else scratch / "weights.npz"
    if not options.weights:
        np.savez(weights, **random_weights())
    workers = [2] if options.dry_run else [4, 8, 16]
    for count in workers:
        row("decode and resize only", f"{count} threads", decode_rate(folder, count))
    theirs = 0.0
    if options.rivals_python:
        for count, batch in itertools.product(workers, [16] if options.dry_run else [50, 128]):
            seconds, mu, about = rival(folder, weights, count, batch, options, scratch)
            rate = len(list(folder.iterdir())) / seconds
            theirs = max(theirs, rate)
            row("pytorch-fid, files to mu and sigma", f"{count} workers, batch {batch}", rate, about)
    for precision in precisions:
        extractor = open_extractor(precision, None)
        bare = bare_rate(extractor, 0.2 if options.dry_run else 4.0, extractor.opened.session.runs_at_once)
        rates = []
        for _ in range(1 if options.dry_run else 3):
            rate, statistics = whole_rate(folder, extractor, None)
            rates.append(rate)
        if options.rivals_python:
            off = np.abs(mu - statistics.mu).max() / np.abs(mu).max()
            assert off < {"fp32": 2e-3, "tf32": 2e-3, "fp16": 2e-2}[precision], off  # its own are in TF32
        remark = f"{median(rates) / bare:.1%} of the bare session"
        if theirs:
            remark += f", {median(rates) / theirs:.2f} times pytorch-fid"
        row("fastfid, files to mu and sigma", f"{precision}, batch {extractor.batch_size}", median(rates), remark)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", help="weights for both tools; the built-in random ones by default")
    parser.add_argument("--rivals-python", help="Python of an environment with torch and pytorch-fid")
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--dry-run", action="store_true", help="on the CPU provider, with few images")
    options = parser.parse_args()
    warnings.simplefilter("ignore", fastfid.FastFIDWarning)
    device, precisions, images = "cuda", ["fp32", "tf32", "fp16"], options.images
    if options.dry_run:
        device, precisions, images = "cpu", ["fp32", "fp16"], 40

    def open_extractor(precision: str, batch: int | None, device: str = device) -> fastfid.Extractor:
        weights = options.weights or "inception-v3-random"
        return fastfid.Extractor(weights, device=device, precision=precision, batch_size=batch)

    with tempfile.TemporaryDirectory() as root:
        scratch = Path(root)
        sets = [draw(scratch / name, images, seed) for seed, name in enumerate("ab")]
        measure_sessions(precisions, options, open_extractor)
        measure_errors(sets, precisions, open_extractor)
        measure_determinism(sets[0], precisions, open_extractor)
        measure_whole(sets[0], precisions, options, open_extractor, scratch)
    print(describe("torch", "pillow"))
    print("| what | setting | images/s | remark |\n|---|---|---|---|")
    for what, setting, rate, remark in ROWS:
        print(f"| {what} | {setting} | {'' if rate is None else f'{rate:.0f}'} | {remark} |")


if __name__ == "__main__":
    main()
