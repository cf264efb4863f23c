"""Features at every tap against pytorch-fid's, image by image, on two folders.

    python bench/features.py A B --weights W.pth --rivals-python /path/to/rivals/bin/python

Asserts the error budget: 1e-5 of the largest feature. The last column is fp16 against fp32: on a
CPU only its weights are rounded to float16.
"""

import argparse
import subprocess
import tempfile
import warnings
from pathlib import Path

import numpy as np
from machine import describe

import fastfid

RIVALS = Path(__file__).with_name("rivals.py")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a")
    parser.add_argument("b")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--rivals-python", required=True)
    options = parser.parse_args()
    folders = {"a": options.a, "b": options.b}
    with tempfile.TemporaryDirectory() as scratch:
        out = f"{scratch}/features.npz"
        command = [options.rivals_python, str(RIVALS), "pytorch-fid", options.a, options.b]
        subprocess.run([*command, "--weights", options.weights, "--features", out], check=True, capture_output=True)
        expected = dict(np.load(out))
    warnings.simplefilter("ignore", fastfid.FastFIDWarning)
    print(describe())
    print("| folder | images | dims | largest difference / largest feature | weights in float16 |")
    print("|---|---|---|---|---|")
    for dims in (64, 192, 768, 2048):
        extractor = fastfid.Extractor(options.weights, dims=dims, device="cpu")
        half = fastfid.Extractor(options.weights, dims=dims, device="cpu", precision="fp16")
        for side, folder in folders.items():
            theirs = expected[f"{side}{dims}"]
            ours = extractor(folder)
            difference = np.abs(ours - theirs).max() / np.abs(theirs).max()
            assert ours.shape == theirs.shape
            assert difference < 1e-5
            rounded = np.abs(half(folder) - ours).max() / np.abs(ours).max()
            print(f"| {Path(folder).name} | {len(ours)} | {dims} | {difference:.1e} | {rounded:.1e} |", flush=True)


if __name__ == "__main__":
    main()
