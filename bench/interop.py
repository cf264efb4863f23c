"""Statistics files between fastfid and the tools: each tool reads ours, we read theirs, and the numbers are compared.

    python bench/interop.py A B --weights W.pth --tools-python /path/to/tools/bin/python
                            [--features flowers_pool3.npz] [--adm-evaluator evaluations/evaluator.py]
                            [--checkouts FOLDER] [--only checkouts]

Statistics of the first 100 images of the folders A and B, which are far from full rank; with --features (an array
`features` of 2600 rows or more, 2048 wide) also ones of full rank. ADM's evaluator is openai/guided-diffusion's file.
`bench/interop_checkouts.py` says which repositories --checkouts looks for; it needs --features.

Asserts that the tool agrees within 1e-6 relative with `--method schur`, which computes what the tools compute, and also
with our default if both sides have full rank. Otherwise the default may be 1e-4 off: the tools take the square root of
a singular product, which is only accurate to about 1e-6.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from interop_checkouts import exchange_checkouts
from machine import describe
from numpy.typing import NDArray

import fastfid

TOOLS = Path(__file__).with_name("interop_tools.py")
HUB_NAME = "hub/checkpoints/pt_inception-2015-12-05-6726825d.pth"  # where torch looks before it downloads


class Interop:
    """Runs both sides in a scratch folder and prints a row for each exchange."""

    def __init__(self, options: argparse.Namespace, scratch: Path) -> None:
        self.scratch, self.weights, self.tools_python = scratch, options.weights, options.tools_python
        self.cache = scratch / "torch"
        (self.cache / HUB_NAME).parent.mkdir(parents=True)
        shutil.copyfile(self.weights, self.cache / HUB_NAME)

    def path(self, name: str) -> str:
        """Return a path of that name in the scratch folder."""
        return str(self.scratch / name)

    def tool(self, *arguments: str) -> str:
        """Run a command of interop_tools.py; return the last line."""
        command = [self.tools_python, str(TOOLS), *arguments]
        environment = {**os.environ, "TORCH_HOME": str(self.cache), "TQDM_DISABLE": "1"}
        return _last_line(command, environment)

    def ours(self, *arguments: str) -> float:
        """Return the FID that our command line prints."""
        command = [sys.executable, "-m", "fastfid", *arguments, "--model", self.weights, "--quiet"]
        return float(_last_line(command, {**os.environ}).removeprefix("FID:"))

    def save(self, folder: str, out: str, *arguments: str) -> None:
        """Write statistics by our command line."""
        command = [sys.executable, "-m", "fastfid", "--save-stats", folder, out, "--model", self.weights, *arguments]
        subprocess.run([*command, "--quiet"], check=True, stderr=subprocess.DEVNULL)

    def compare(self, what: str, theirs: str, *arguments: str, full_rank: bool = False) -> None:
        """Print a row: the tool's last line beside what our command line prints for the same."""
        fid = float(theirs.removeprefix("FID:"))
        default, schur = self.ours(*arguments), self.ours(*arguments, "--method", "schur")
        assert abs(schur - fid) <= 1e-6 * fid, f"{what}: {schur} is not {fid}"
        assert abs(default - fid) <= (1e-6 if full_rank else 1e-4) * fid, f"{what}: {default} is not {fid}"
        print(
            f"| {what} | {fid:.9f} | {default:.9f} | {abs(default / fid - 1):.0e} "
            f"| {schur:.9f} | {abs(schur / fid - 1):.0e} |",
            flush=True,
        )


def _last_line(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()[-1000:]}")
    return done.stdout.splitlines()[-1] if done.stdout else ""


def first_images(folder: str, out: str, count: int) -> None:
    Path(out).mkdir()
    for file in sorted(path for path in Path(folder).iterdir() if path.is_file())[:count]:
        shutil.copyfile(file, Path(out) / file.name)


def exchange_pytorch_fid(run: Interop, a: str, b: str) -> None:
    ours, theirs = ([run.path(f"{who}-{side}.npz") for side in "ab"] for who in ("ours", "theirs"))
    for folder, out, out2 in zip((a, b), ours, theirs, strict=True):
        run.save(folder, out)
        run.tool("pytorch-fid", "--save-stats", "--device", "cpu", "--num-workers", "0", folder, out2)
    for what, pair in {
        "pytorch-fid reads ours": ours,
        "we read pytorch-fid's (TTUR's and EDM's .npz are alike)": theirs,
        "both read one of each": [ours[0], theirs[1]],
        "both read ours beside a folder": [ours[0], b],
    }.items():
        run.compare(what, run.tool("pytorch-fid", "--device", "cpu", "--num-workers", "0", *pair), *pair)


def exchange_clean_fid(run: Interop, a: str, b: str) -> None:
    ours, theirs = run.path("ours-clean.npz"), run.path("theirs-clean.npz")
    run.save(a, ours, "--mode", "clean")
    run.tool("clean-stats", a, theirs, run.weights)
    for what, file in {
        "clean-fid reads ours as custom statistics, beside a folder": ours,
        "we read clean-fid's custom statistics, beside a folder": theirs,
        "we read clean-fid's features (`_kid.npz`), beside a folder": f"{theirs}.kid.npz",
    }.items():
        known = file.removesuffix(".kid.npz")
        run.compare(what, run.tool("clean-fid", b, known, run.weights), file, b, "--mode", "clean")


def exchange_adm(run: Interop, evaluator: str) -> None:
    """ADM's reference batches: images, statistics in the precision of its code, and those of the spatial features."""
    ours, theirs = ([run.path(f"{who}-{side}.npz") for side in "ab"] for who in ("ours", "adm"))
    for source, target in zip(ours, theirs, strict=True):
        with np.load(source) as file:
            mu, sigma = file["mu"].astype(np.float32), file["sigma"]
        spatial = {"mu_s": np.zeros(2023, np.float32), "sigma_s": np.eye(2023)}
        np.savez(target, arr_0=np.zeros((3, 8, 8, 3), np.uint8), mu=mu, sigma=sigma, **spatial)
    run.compare("we read ADM's reference batches", run.tool("adm", evaluator, *theirs), *theirs)
    try:
        run.compare("ADM's evaluator reads ours", run.tool("adm", evaluator, *ours), *ours)
    except RuntimeError as error:
        print(f"| ADM's evaluator reads ours | {str(error).splitlines()[-1]} | | | | |")


def exchange_references(run: Interop, evaluator: str, a: str, b: str) -> None:
    """ADM's evaluator reads what `fastfid reference` writes: statistics of both kinds, and the images."""
    paths = [run.path(f"reference-{side}.npz") for side in "ab"]
    for folder, path in zip((a, b), paths, strict=True):
        fastfid.reference(folder, path, images=50, model=run.weights, progress=False)
    theirs = json.loads(run.tool("adm-references", evaluator, *paths))
    ours = fastfid.compare(*paths, metrics=[fastfid.FID("schur"), fastfid.SFID("schur")]).scores
    for path, total in zip(paths, theirs["sums"], strict=True):
        with np.load(path) as file:
            assert int(file["arr_0"].sum()) == total
    for name in ("fid", "sfid"):
        found, expected = ours[name].value, theirs[name]
        assert abs(found - expected) <= 1e-6 * expected, f"{name}: {found} is not {expected}"
        what = f"ADM's evaluator reads `fastfid reference`: {name}"
        print(f"| {what} | {expected:.9f} | | | {found:.9f} | {abs(found / expected - 1):.0e} |", flush=True)


def exchange_full_rank(run: Interop, rows: NDArray[Any]) -> None:
    ours, theirs = ([run.path(f"{who}-full-{side}.npz") for side in "ab"] for who in ("ours", "theirs"))
    for part, out, out2 in zip((rows[:2600], rows[-2600:]), ours, theirs, strict=True):
        fastfid.Statistics(part.shape[1]).update(part).save(out)
        # As pytorch-fid does: its features are float64 copies of float32.
        act = part.astype(np.float64)
        np.savez_compressed(out2, mu=np.mean(act, axis=0), sigma=np.cov(act, rowvar=False))
    for what, pair in {"full rank, pytorch-fid reads ours": ours, "full rank, we read pytorch-fid's": theirs}.items():
        run.compare(what, run.tool("pytorch-fid", "--device", "cpu", *pair), *pair, full_rank=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a")
    parser.add_argument("b")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--tools-python", required=True)
    parser.add_argument("--features", metavar="F.npz")
    parser.add_argument("--adm-evaluator", metavar="PY")
    parser.add_argument("--checkouts", metavar="FOLDER")
    parser.add_argument("--only", choices=["checkouts", "references"])
    options = parser.parse_args()
    rows = None
    if options.features:
        with np.load(options.features) as file:
            rows = file["features"]
    print(describe("pillow"))
    print("| files | the tool | ours | relative difference | ours, `--method schur` | relative difference |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        run = Interop(options, Path(name))
        a, b = run.path("a"), run.path("b")
        for folder, out in ((options.a, a), (options.b, b)):
            first_images(folder, out, 100)
        if not options.only:
            exchange_pytorch_fid(run, a, b)
            exchange_clean_fid(run, a, b)
            if options.adm_evaluator:
                exchange_adm(run, options.adm_evaluator)
            if rows is not None:
                exchange_full_rank(run, rows)
        if options.adm_evaluator and options.only in (None, "references"):
            exchange_references(run, options.adm_evaluator, a, b)
        if options.checkouts and rows is not None:
            exchange_checkouts(run, options.checkouts, rows, a, b)


if __name__ == "__main__":
    main()
