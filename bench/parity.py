"""Every mode against its tool on every kind of image: the network's input, the features, and FIDs of whole folders.

    python bench/parity.py --weights W.pth --tools-python /path/to/tools/bin/python [--folders A B --photos P]

The images are drawn (`tests/kinds.py`). With --folders, each of 64 images or more, and --photos, of mixed sizes, it
also compares FIDs of small sets from them. Asserts the error budget: 1e-6 absolute on the input's [-1, 1], 1e-5 of the
largest feature, 1e-4 relative (5e-5 absolute below 0.5) on the FID. Prints the tables of tests/README.md.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe
from numpy.typing import NDArray

import fastfid
from fastfid.images.modes import MODES
from fastfid.sources import open_source
from fastfid.sources.pieces import read_items

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import kinds

TOOLS = Path(__file__).with_name("parity_tools.py")
INPUT_BOUND, FEATURE_BOUND = 1e-6, 1e-5


def run_tools(options: argparse.Namespace, *arguments: object) -> dict[str, Any]:
    command = [options.tools_python, TOOLS, *arguments, "--weights", options.weights]
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def network_inputs(folder: Path, mode: str) -> NDArray[np.float32]:
    """What our decoder and our kernel make of every file, (n, 3, 299, 299)."""
    source = open_source(folder)
    assert source.size is not None
    out = np.empty((source.size, 3, kinds.SIZE, kinds.SIZE), dtype=np.float32)
    for item, planes in zip(read_items(source), out, strict=True):
        MODES[mode](item.decode().pixels, planes)
    return out


def largest(difference: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of each image."""
    return np.abs(difference).reshape(len(difference), -1).max(axis=1)


def kinds_table(options: argparse.Namespace, scratch: Path) -> list[str]:
    folder = scratch / "kinds"
    written = kinds.write(folder, {**kinds.sizes(), **kinds.formats()})
    found = run_tools(options, "images", folder, "--out", scratch / "tools.npz")
    cells: dict[str, list[str]] = {path.name: [] for path in written}
    with np.load(scratch / "tools.npz") as theirs:
        names = theirs["kinds"].tolist()
        assert names == [Path(item.name).name for item in read_items(open_source(folder))]
        for mode in MODES:
            inputs = largest(network_inputs(folder, mode) - theirs[f"{mode} inputs"])
            expected = theirs[f"{mode} features"]
            ours = fastfid.Extractor(options.weights, mode=mode)(folder)
            features = largest(ours - expected) / largest(expected)
            assert inputs.max() <= INPUT_BOUND, f"{mode}: {inputs.max()} on {names[inputs.argmax()]}"
            assert features.max() <= FEATURE_BOUND, f"{mode}: {features.max()} on {names[features.argmax()]}"
            for name, a, b in zip(names, inputs, features, strict=True):
                mark = "*" if name in found["overlooked"][mode] else ""
                cells[name].append(f"{short(a)} / {short(b)}{mark}")
    print(", ".join(f"{name} {version}" for name, version in found["versions"].items()), end="\n\n")
    return [f"| {name} | {' | '.join(row)} |" for name, row in cells.items()]


def short(value: float) -> str:
    return f"{value:.0e}" if value else "0"


def sets(options: argparse.Namespace, scratch: Path) -> dict[str, tuple[Path, Path]]:
    """Pairs of small folders: of one size, of mixed sizes, of every format."""
    a, b = (sorted(path for path in Path(folder).iterdir())[:64] for folder in options.folders)
    photos = sorted(path for path in Path(options.photos).iterdir() if path.suffix == ".jpg")
    half = len(photos) // 2
    every = sorted((scratch / "kinds").iterdir())
    content = {
        "one size": (a, b),
        "mixed sizes": (a[half:] + photos[:half], b[half:] + photos[half:]),
        "every kind above": (every, b + photos),
    }
    pairs = {}
    for name, sides in content.items():
        pairs[name] = (scratch / name / "a", scratch / name / "b")
        for folder, files in zip(pairs[name], sides, strict=True):
            folder.mkdir(parents=True)
            for file in files:
                shutil.copyfile(file, folder / file.name)
    return pairs


def folder_rows(options: argparse.Namespace, scratch: Path) -> None:
    for name, (a, b) in sets(options, scratch).items():
        counts = " + ".join(str(len(list(folder.iterdir()))) for folder in (a, b))
        for mode in MODES:
            theirs = run_tools(options, "fid", a, b, "--mode", mode)
            ours, fid = fastfid.score(a, b, model=options.weights, mode=mode), theirs["fid"]
            assert abs(ours - fid) <= (1e-4 * fid if fid >= 0.5 else 5e-5), f"{mode}: {ours} is not {fid}"
            crash = theirs["crashed"] or "-"
            print(
                f"| {name}, {counts} | {mode} | {crash} | {fid:.6f} | {ours:.6f} | {abs(ours / fid - 1):.1e} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--tools-python", required=True)
    parser.add_argument("--folders", nargs=2, metavar=("A", "B"))
    parser.add_argument("--photos", metavar="P")
    options = parser.parse_args()
    if bool(options.folders) != bool(options.photos):
        parser.error("--folders and --photos go together")
    warnings.simplefilter("ignore", fastfid.FastFIDWarning)  # of few images and lost alpha, which is the point here
    print(describe("pillow"))
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        rows = kinds_table(options, scratch)
        print(f"| kind | {' | '.join(MODES)} |\n|{'---|' * (1 + len(MODES))}")
        print("\n".join(rows), flush=True)
        if options.folders:
            print("\n| folders | mode | batches of 50 | tool | ours | relative difference |\n|---|---|---|---|---|---|")
            folder_rows(options, scratch)


if __name__ == "__main__":
    main()
