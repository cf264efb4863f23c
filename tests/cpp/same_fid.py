"""Check that an example prints the FID of the Python package, to the last bit: ``python same_fid.py PROGRAM``."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import fastfid


def run(program, *names):
    return subprocess.run([program, *names], capture_output=True, text=True, check=False)


def main():
    program = str(Path(sys.argv[1]).resolve())
    rng = np.random.default_rng(0)
    few, many = rng.standard_normal((30, 64)).astype(np.float32), rng.standard_normal((200, 64))
    with tempfile.TemporaryDirectory() as folder:
        for name, array in {"few": few, "many": many, "turned": np.asfortranarray(many), "flat": many[0]}.items():
            np.save(Path(folder, f"{name}.npy"), array)
        Path(folder, "cut.npy").write_bytes(Path(folder, "many.npy").read_bytes()[:-8])
        at = {path.stem: str(path) for path in Path(folder).iterdir()}
        for a, b in (("few", "many"), ("many", "few"), ("few", "few")):
            words = run(program, at[a], at[b]).stdout.split()
            arrays = [np.load(at[name]) for name in (a, b)]
            expected = fastfid.frechet_distance_from_features(*arrays)
            assert words[0] == "FID:", words
            assert float(words[1]) == expected, (a, b, words, expected)
        for bad in ("turned", "flat", "cut", "missing"):
            refused = run(program, at.get(bad, bad), at["few"])
            assert refused.returncode == 1, bad
            assert refused.stderr.startswith("fid: "), refused.stderr
    print("the same FIDs; bad files are refused")


if __name__ == "__main__":
    main()
