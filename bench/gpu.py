"""Rates, errors and determinism of every precision on a GPU, against the bare session and pytorch-fid.

    python bench/gpu.py [--rivals-python PYTHON] [--weights W.pth] [--images 4096] > table.md
    python bench/gpu.py --dry-run          # the same code on the CPU provider, in a few minutes

Needs a machine with a GPU, fastfid, and for the comparison an environment with pytorch-fid and torch for CUDA. Without
``--weights``, both tools use the built-in random network. The table starts with the goals: the FID of fp32 as on the
CPU, the same bits in ten runs, the whole run against the bare session and against pytorch-fid. A part that fails is a
row of the table, and the run goes on; it exits with 1 if a part failed or, on a GPU, a goal is missed. CUDA graphs,
cuDNN's timed search, the NHWC layout and TensorRT are tried on the bare session: what is faster there may become the
default.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from machine import describe
from PIL import Image

import fastfid
from fastfid.extraction import accelerators, runtime
from fastfid.extraction.lanes import Lane
from fastfid.images.decode import decode
from fastfid.images.modes import kernel
from fastfid.networks.half import to_half
from fastfid.networks.random import random_weights

RIVALS = Path(__file__).with_name("rivals.py")
FID_BUDGET = 1e-4  # relative, of fp32; what the faster precisions cost is measured and printed
MOST_OF_BARE = 1.3  # times the time of the bare session
LEAST_OF_RIVAL = 3.0  # times the rate of pytorch-fid at its best
ROWS: list[tuple[str, str, float | None, str]] = []
GOALS: list[tuple[str, str, bool]] = []


def row(what: str, setting: str, rate: float | None, remark: str = "") -> None:
    ROWS.append((what, setting, rate, remark))
    print(what, setting, "" if rate is None else f"{rate:.1f} images/s", remark, file=sys.stderr, flush=True)


def goal(what: str, found: str, met: bool) -> None:
    GOALS.append((what, found, met))
    print(what, found, "met" if met else "MISSED", file=sys.stderr, flush=True)


def draw(folder: Path, count: int, seed: int) -> Path:
    """`count` JPEG files of 256 pixels with detail at several scales, about 40 kB each."""
    folder.mkdir()

    def one(i: int) -> None:
        rng = np.random.RandomState([seed, i])
        layers = [rng.randint(0, 256, (side, side, 3), dtype=np.uint8) for side in (4, 16, 64, 256)]
        large = [np.asarray(Image.fromarray(layer).resize((256, 256), Image.Resampling.BICUBIC)) for layer in layers]
        mixed = sum(
            weight * layer.astype(np.float32) for weight, layer in zip((0.4, 0.3, 0.2, 0.1), large, strict=True)
        )
        Image.fromarray(mixed.astype(np.uint8)).save(folder / f"{i:05}.jpg", quality=90)

    with ThreadPoolExecutor() as pool:
        list(pool.map(one, range(count)))
    return folder


@contextmanager
def settings_changed(**changes: str) -> Iterator[None]:
    """Sessions opened inside get these settings of the CUDA provider besides their own."""
    table: dict[str, accelerators.Accelerator] = accelerators.ACCELERATORS  # type: ignore[assignment]
    usual = table["cuda"]
    table["cuda"] = replace(usual, settings=lambda *asked: {**usual.settings(*asked), **changes})
    try:
        yield
    finally:
        table["cuda"] = usual


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
    """The same with a CUDA graph: one launch replays all kernels, on buffers that stay on the device.

    Two batches are compared with the plain session before: a graph reads its buffer, not the array of the first run.
    """
    ort, cuda = runtime.load(), accelerators.ACCELERATORS["cuda"]
    settings = {**cuda.select(0), **cuda.settings(0, extractor.precision, None), "enable_cuda_graph": "1"}
    session = ort.InferenceSession(onnx, providers=[(cuda.provider, settings)])
    shape = (extractor.batch_size, 3, 299, 299)
    batches = [np.random.RandomState(seed).uniform(-1, 1, shape).astype(np.float32) for seed in (0, 1)]
    there = ort.OrtValue.ortvalue_from_numpy(batches[0], "cuda", 0)
    back = ort.OrtValue.ortvalue_from_shape_and_type((shape[0], extractor.dims), np.float32, "cuda", 0)
    binding = session.io_binding()
    binding.bind_ortvalue_input("images", there)
    binding.bind_ortvalue_output("features", back)
    for _ in range(3):
        session.run_with_iobinding(binding)
    plain = extractor.opened.session
    lane = plain.borrow()
    for images in batches:
        lane.images[...] = images
        there.update_inplace(images)
        session.run_with_iobinding(binding)
        expected = plain.run(lane)["features"]
        off = np.abs(back.numpy() - expected).max() / np.abs(expected).max()
        assert off < 1e-5, f"the graph is off by {off:.1e} of the largest feature"
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


def whole_rate(
    folder: Path, extractor: fastfid.Extractor, workers: int | None, limit: int | None = None
) -> tuple[float, fastfid.Statistics]:
    start = time.perf_counter()
    statistics = fastfid.statistics(folder, model=extractor, num_workers=workers, limit=limit, progress=False)
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
                with settings_changed(**changes):
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


def measure_tensorrt(precisions: list[str], options: Any, open_extractor: Callable[..., fastfid.Extractor]) -> None:
    """The bare session with TensorRT, where it is installed; fp32 needs NVIDIA_TF32_OVERRIDE=0."""
    for precision in precisions:
        try:
            start = time.perf_counter()
            extractor = open_extractor(precision, None, device="tensorrt")
            rate = bare_rate(extractor, 4.0, extractor.opened.session.runs_at_once)
            row("bare session", f"TensorRT, {precision}", rate, f"{time.perf_counter() - start:.0f} s with compilation")
        except fastfid.FastFIDError as error:
            row("bare session", f"TensorRT, {precision}", None, f"refused: {error}"[:120])


def measure_errors(
    sets: list[Path], precisions: list[str], options: Any, open_extractor: Callable[..., fastfid.Extractor]
) -> None:
    """Features and FID of every precision against fp32 on the CPU. An untrained network enlarges the rounding."""
    reference = open_extractor("fp32", None, device="cpu")
    few = sorted(sets[0].iterdir())[:64]
    features = reference(few)
    fid = fastfid.score(*sets, model=reference, limit=512)
    for precision in precisions:
        extractor = open_extractor(precision, None)
        off = np.abs(extractor(few) - features).max() / np.abs(features).max()
        ours = fastfid.score(*sets, model=extractor, limit=512)
        remark = f"features off by {off:.1e} of the largest, FID {ours:.6f} by {ours / fid - 1:+.1e}"
        row("error against fp32 on the CPU", precision, None, remark)
        if precision == "fp32":
            goal(f"FID within {FID_BUDGET} of the CPU's", f"{ours / fid - 1:+.1e}", abs(ours / fid - 1) < FID_BUDGET)
            if options.weights:
                goal("features within 1e-5 of the CPU's largest", f"{off:.1e}", bool(off < 1e-5))


def measure_determinism(
    folder: Path, precisions: list[str], open_extractor: Callable[..., fastfid.Extractor], limit: int
) -> None:
    """Run to run, session to session and for every number of workers: the same bits."""
    for precision in precisions:
        found: list[fastfid.Statistics] = []
        for workers in (1, 2, 4, 8, None):
            extractor = open_extractor(precision, None)
            found += [whole_rate(folder, extractor, workers, limit)[1] for _ in range(2)]
        alike = sum(bool((s.mu == found[0].mu).all() and (s.sigma == found[0].sigma).all()) for s in found)
        what = (
            f"{precision}: the same bits in {len(found)} runs, 5 sessions with 1, 2, 4, 8 and as many workers as cores"
        )
        goal(what, f"{alike}", alike == len(found))


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
        ours = median(rates)
        row("fastfid, files to mu and sigma", f"{precision}, batch {extractor.batch_size}", ours)
        goal(
            f"{precision}: at most {MOST_OF_BARE} times the time of the bare session",
            f"{bare / ours:.2f}",
            bare / ours <= MOST_OF_BARE,
        )
        if theirs:
            goal(
                f"{precision}: at least {LEAST_OF_RIVAL} times the rate of pytorch-fid",
                f"{ours / theirs:.2f}",
                ours / theirs >= LEAST_OF_RIVAL,
            )


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
        parts = [  # those that the goals need first: the time on a GPU is short
            lambda: measure_errors(sets, precisions, options, open_extractor),
            lambda: measure_determinism(sets[0], precisions, open_extractor, 16 if options.dry_run else 1024),
            lambda: measure_whole(sets[0], precisions, options, open_extractor, scratch),
            lambda: measure_sessions(precisions, options, open_extractor),
            lambda: measure_tensorrt([] if options.dry_run else precisions, options, open_extractor),
        ]
        failed = 0
        for part in parts:
            try:
                part()
            except Exception as error:  # one part must not cost the others
                traceback.print_exc()
                failed += 1
                row("FAILED", "", None, f"{type(error).__name__}: {error}"[:200])
    print(describe("torch", "pillow"))
    print("| goal | found | met |\n|---|---|---|")
    for what, found, met in GOALS:
        print(f"| {what} | {found} | {'yes' if met else 'NO'} |")
    print("\n| what | setting | images/s | remark |\n|---|---|---|---|")
    for what, setting, rate, remark in ROWS:
        print(f"| {what} | {setting} | {'' if rate is None else f'{rate:.0f}'} | {remark} |")
    sys.exit(1 if failed or not (options.dry_run or all(met for _, _, met in GOALS)) else 0)


if __name__ == "__main__":
    main()
