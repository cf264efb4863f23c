"""The examples of training, with torch, Lightning and transformers: run them, and compare what they print.

    python -m pip install torch lightning transformers accelerate jax && python bench/training.py

The project's tests have no torch. They test the monitor with arrays, and this script tests it in the frameworks: the
bits of one, two and three processes are compared, tensors with arrays, and each callback with a plain comparison.
"""

import contextlib
import os
import re
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from machine import describe

import fastfid

EXAMPLES = Path(__file__).parents[1] / "examples"
OPTIONS = {"model": "inception-v3-random", "dims": 64}
FLOATS = {"value_range": (-1, 1), "quantise": "round"}


def output(name: str, *arguments: str, launcher: Sequence[str] = ()) -> str:
    """Run an example and return what it prints."""
    command = [sys.executable, *launcher, str(EXAMPLES / f"{name}.py"), *arguments]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def printed(name: str, *arguments: str, launcher: Sequence[str] = ()) -> set[str]:
    """Return the numbers after FID that an example prints."""
    return set(re.findall(r"FID ([\d.e-]+)", output(name, *arguments, launcher=launcher)))


def loop() -> str:
    lines = output("training_loop").splitlines()
    fids = [float(re.search(r"'fid': ([\d.]+)", line)[1]) for line in lines]
    assert fids == sorted(fids, reverse=True), fids
    return f"FID falls: {', '.join(map(str, fids))}"


def distributed() -> str:
    found = set()
    for count in (1, 2, 3):
        launcher = ("-m", "torch.distributed.run", "--nproc-per-node", str(count))
        found |= set(re.findall("n 288, .*", output("distributed", launcher=launcher)))
    assert len(found) == 1, found
    return f"1, 2 and 3 processes, every rank: {found.pop()}"


def lightning() -> str:
    one, two = (printed("lightning_callback", count) for count in ("1", "2"))
    assert len(one) == len(two) == 1
    return f"one process {one.pop()}, two by DDP {two.pop()} (they train in other steps)"


def trainer() -> str:
    (found,) = printed("trainer_callback")
    return f"logged, and chosen as the best: {found}"


def tensors() -> str:
    """Give one batch as every type that torch has, and as an array."""
    images = torch.rand(40, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    real = np.random.RandomState(0).randint(0, 256, (80, 32, 32, 3))
    monitor = fastfid.Monitor(real, **OPTIONS, **FLOATS)

    def fid(batch: object) -> float:
        monitor.reset()
        monitor.update(batch)
        return monitor.compute().fid

    as_bytes = (images.double() * 127.5 + 127.5).float().round().byte()
    half = images.half()
    pairs = {
        "float32, as an array": (images, images.numpy()),
        "channels_last": (images.contiguous(memory_format=torch.channels_last), images),
        "requires_grad": (images.clone().requires_grad_(), images),
        "float16": (half, half.numpy()),
        "bfloat16": (images.bfloat16(), images.bfloat16().float()),
        "uint8": (as_bytes, as_bytes.numpy()),
        "a list of batches": ([as_bytes[:20], as_bytes[20:]], as_bytes),
    }
    for name, (one, other) in pairs.items():
        ours, theirs = fid(one), fid(other)
        assert ours == theirs or (name == "a list of batches" and abs(ours / theirs - 1) < 1e-6), (name, ours, theirs)
    whole = fastfid.compare(images, real, **OPTIONS, **FLOATS).fid
    assert fid(images) == whole
    return f"{', '.join(pairs)}: the FID of the same array, {whole!r}"


def jax_arrays() -> str:
    """Give one batch as arrays of JAX, and as NumPy's."""
    import jax

    images = jax.random.uniform(jax.random.key(0), (40, 32, 32, 3), minval=-1, maxval=1)
    half = images.astype("bfloat16")
    monitor = fastfid.Monitor(np.random.RandomState(0).randint(0, 256, (80, 32, 32, 3)), **OPTIONS, **FLOATS)
    fids = []
    for batch in (images, np.asarray(images), half, np.asarray(half).astype(np.float32)):
        monitor.reset()
        monitor.update(batch)
        fids.append(monitor.compute().fid)
    assert fids[0] == fids[1], fids
    assert fids[2] == fids[3], fids
    return "float32, bfloat16: the FID of NumPy's array"


CHECKS: dict[str, tuple[Callable[[], str], tuple[str, ...]]] = {
    "training_loop.py": (loop, ("numpy",)),
    "Monitor.update": (tensors, ("torch",)),
    "Monitor.update of JAX": (jax_arrays, ("jax",)),
    "distributed.py (gloo)": (distributed, ("torch",)),
    "lightning_callback.py": (lightning, ("lightning",)),
    "trainer_callback.py": (trainer, ("transformers",)),
}


def main() -> None:
    warnings.simplefilter("ignore")
    print(describe())
    print("| example | versions | seconds | result |")
    print("|---|---|---|---|")
    for name, (check, packages) in CHECKS.items():
        start = time.perf_counter()
        with contextlib.redirect_stdout(sys.stderr):
            result = check()
        versions = ", ".join(f"{package} {version(package)}" for package in packages)
        print(f"| {name} | {versions} | {time.perf_counter() - start:.1f} | {result} |", flush=True)


if __name__ == "__main__":
    main()
