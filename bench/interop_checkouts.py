"""The exchanges of `bench/interop.py` with tools that are not packages but checkouts of a repository.

CHECKOUTS is a folder with a checkout of each under the name of its repository: torch-fidelity (LTH14's fork, which MAR
and JiT use), imeanflow, edm, edm2, stylegan3, fadtk, inference (MLPerf's) and guided-diffusion. What is missing is left
out. `bench/interop_readers.py` has what is run of each tool.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import fastfid
from fastfid.images.modes import kernel

if TYPE_CHECKING:
    from interop import Interop


class Exchange(NamedTuple):
    """How files of one tool are named, and the format that we write for it."""

    repository: str
    ending: str
    theirs: str
    form: str | None = "fastfid"  # None: it reads only its own
    ddof: int = 1


EXCHANGES = {
    "fork": Exchange("torch-fidelity", ".npz", "the fork of torch-fidelity", "torch-fidelity-fork"),
    "imf": Exchange("imeanflow", ".npz", "iMF", "imf"),
    "edm": Exchange("edm", ".npz", "EDM"),
    "edm2": Exchange("edm2", ".pkl", "EDM2", "edm2"),
    "stylegan": Exchange("stylegan3", ".pkl", "StyleGAN3", None, ddof=0),
    "fadtk": Exchange("fadtk", ".npz", "fadtk", None),
}


def exchange_checkouts(run: "Interop", checkouts: str, rows: NDArray[Any], a: str, b: str) -> None:
    """Compare distances of files that the tools write and read, at full rank, and whole runs of the images."""
    sides = rows[:2600], rows[-2600:]
    for name, exchange in EXCHANGES.items():
        checkout = Path(checkouts, exchange.repository)
        if checkout.is_dir():
            exchange_files(run, name, exchange, str(checkout), sides)
    folder_against_file(run, checkouts, a, b)
    subset(run, checkouts, a, b)
    inputs(run, checkouts, a)


def exchange_files(
    run: "Interop", name: str, exchange: Exchange, checkout: str, sides: tuple[NDArray[Any], NDArray[Any]]
) -> None:
    ours, theirs = ([run.path(f"{who}-{name}-{side}{exchange.ending}") for side in "ab"] for who in ("ours", "theirs"))
    for part, out, out2 in zip(sides, ours, theirs, strict=True):
        np.save(run.path("rows.npy"), part)
        run.tool("write", name, checkout, run.path("rows.npy"), out2)
        if exchange.form is not None:
            fastfid.Statistics(part.shape[1]).update(part).save(out, format=exchange.form)
    what = f"full rank, we read {exchange.theirs}'s"
    score = run.tool("score", name, checkout, *theirs)
    if exchange.ddof == 0:  # the tool divides by n, and our reader by n - 1
        compare_ddof(what, float(score.removeprefix("FID:")), theirs)
    else:
        run.compare(what, score, *theirs, full_rank=True)
    if exchange.form is not None:
        text = f"full rank, {exchange.theirs} reads ours (`--format {exchange.form}`)"
        run.compare(text, run.tool("score", name, checkout, *ours), *ours, full_rank=True)


def compare_ddof(what: str, theirs: float, files: list[str]) -> None:
    loaded = [fastfid.Statistics.load(file) for file in files]
    sigmas = [s.sigma * ((s.n - 1) / s.n) for s in loaded if s.n]
    values = [
        fastfid.frechet_distance(loaded[0].mu, sigmas[0], loaded[1].mu, sigmas[1], method=method)
        for method in ("auto", "schur")
    ]
    cells = [f"{value:.9f} | {abs(value / theirs - 1):.0e}" for value in values]
    assert all(abs(value / theirs - 1) < 1e-6 for value in values), f"{what}: {values} are not {theirs}"
    print(f"| {what}, ours brought back to ddof 0 | {theirs:.9f} | {' | '.join(cells)} |", flush=True)


def folder_against_file(run: "Interop", checkouts: str, a: str, b: str) -> None:
    """Run the command of MAR and JiT, and MLPerf's score, on a folder and a file."""
    fork, mlperf = Path(checkouts, "torch-fidelity"), Path(checkouts, "inference", "text_to_image")
    if fork.is_dir():
        ours = run.path("ours-for-the-fork.npz")
        run.save(b, ours, "--mode", "tensorflow", "--format", "torch-fidelity-fork")
        score = run.tool("fork-folder", str(fork), a, ours, run.weights)
        run.compare(
            "the fork: `input1=A, input2=None, fid_statistics_file=` ours", score, a, ours, "--mode", "tensorflow"
        )
    if mlperf.is_dir():
        ours = run.path("ours-for-mlperf.npz")
        run.save(b, ours)
        run.compare(
            "MLPerf's SDXL: `compute_fid` of images and ours", run.tool("mlperf", str(mlperf), a, ours), a, ours
        )


def subset(run: "Interop", checkouts: str, a: str, b: str) -> None:
    """Score the subset that EDM chooses by `--num 60 --seed 1`, beside that of our `--limit 60 --seed 1`."""
    if not Path(checkouts, "edm").is_dir():
        return
    reference = run.path("ours-edm-reference.npz")
    run.save(b, reference)
    run.tool("edm-subset", str(Path(checkouts, "edm")), a, "60", "1", run.path("chosen"))
    theirs, ours = run.ours(run.path("chosen"), reference), run.ours(a, reference, "--limit", "60", "--seed", "1")
    assert theirs == ours, f"EDM chooses other images: {theirs}, {ours}"
    print(f"| EDM: `--num 60 --seed 1`, ours: `--limit 60 --seed 1` | {theirs:.9f} | {ours:.9f} | 0 | | |", flush=True)


def inputs(run: "Interop", checkouts: str, folder: str) -> None:
    """Compare what iMF's network gets with what ours gets: iMF resizes like pytorch-fid, but takes (x - 128) / 128."""
    if not Path(checkouts, "imeanflow").is_dir():
        return
    run.tool("imf-inputs", str(Path(checkouts, "imeanflow")), folder, run.path("inputs.npy"))
    theirs, worst = np.load(run.path("inputs.npy")), {"pytorch": 0.0, "tensorflow": 0.0}
    for file, expected in zip(sorted(Path(folder).iterdir()), theirs, strict=True):
        image, out = np.array(Image.open(file).convert("RGB")), np.empty((3, 299, 299), np.float32)
        for mode in worst:
            kernel(mode)(image, out)
            worst[mode] = max(worst[mode], float(np.abs(out - expected).max()))
    cells = " | ".join(f"mode {mode}: {value:.1e}" for mode, value in worst.items())
    print(f"| iMF's input of the network, on [−1, 1]: largest difference | | {cells} | | |", flush=True)
    assert worst["pytorch"] < 1 / 127
