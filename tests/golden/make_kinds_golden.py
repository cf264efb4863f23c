"""Make kinds.npz: the network's input by every tool, for every kind of image, at seeded positions.

    python tests/golden/make_kinds_golden.py --weights W.pth

Runs where the tools are (see `bench/parity_tools.py`), with Pillow 13, on x86-64 with FMA and AVX2. Any weights
in pytorch-fid's layout will do: the tools load them, but only the network's input is recorded.
"""

import argparse
import sys
import tempfile
from io import BytesIO
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent / "bench")]

from parity_tools import TOOLS, input_and_features  # noqa: E402
from rivals import declare_missing_operators  # noqa: E402

import kinds  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True)
    weights = parser.parse_args().weights
    declare_missing_operators()
    formats = kinds.formats()
    names = [*kinds.sizes(), *formats]
    golden = {"kinds": np.array(names), "pillow": np.array(PIL.__version__)}
    for name, data in formats.items():
        golden[f"{name} file"] = np.frombuffer(data, np.uint8)
        golden[f"{name} pixels"] = np.asarray(Image.open(BytesIO(data)).convert("RGB"))
    with tempfile.TemporaryDirectory() as scratch:
        paths = kinds.write(Path(scratch), {**kinds.sizes(), **formats})
        for mode, make in TOOLS.items():
            tool = make(weights)
            inputs = [input_and_features(tool, path)[0] for path in paths]
            golden[mode] = np.stack([x.ravel()[kinds.positions(name)] for name, x in zip(names, inputs, strict=True)])
    np.savez_compressed(Path(__file__).with_name("kinds.npz"), **golden)


if __name__ == "__main__":
    main()
