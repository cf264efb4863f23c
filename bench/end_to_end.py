"""Wall time from two folders to one number, against the tools that fastfid reproduces.

    python bench/end_to_end.py A B --weights W.pth --rivals-python /path/to/rivals/bin/python [--repeats 2]

The tools take turns, each in its own process, so that a busy machine slows down all of them alike. If a number is off
by more than 1e-4 relative, the run ends before any time is printed.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from machine import describe

PAIRS = {"pytorch": "pytorch-fid", "tensorflow": "torch-fidelity"}  # our mode, the tool that it equals
RIVALS = Path(__file__).with_name("rivals.py")


def run_ours(mode: str, options: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, "-m", "fastfid", options.a, options.b, "--model", options.weights, "--mode", mode]
    start = time.perf_counter()
    done = subprocess.run([*command, "--json", "--quiet"], stdout=subprocess.PIPE, check=True)
    return {"fid": json.loads(done.stdout)["fid"], "seconds": time.perf_counter() - start}


def run_rival(tool: str, options: argparse.Namespace) -> dict[str, float]:
    command = [options.rivals_python, str(RIVALS), tool, options.a, options.b, "--weights", options.weights]
    start = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    # Its own clock would leave out its imports; both sides are whole processes.
    return {**result, "seconds": time.perf_counter() - start}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a")
    parser.add_argument("b")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--rivals-python", required=True)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--modes", nargs="+", default=list(PAIRS), choices=list(PAIRS))
    options = parser.parse_args()
    print(describe())
    print("| mode | tool | FID | ours | relative difference | seconds | ours | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    for mode in options.modes:
        ours, theirs = [], []
        for _ in range(options.repeats):
            ours.append(run_ours(mode, options))
            theirs.append(run_rival(PAIRS[mode], options))
        fid, reference = ours[0]["fid"], theirs[0]["fid"]
        difference = abs(fid - reference) / reference
        assert difference < 1e-4, f"{mode}: {fid} is not {PAIRS[mode]}'s {reference}"
        times = [median(run["seconds"] for run in runs) for runs in (theirs, ours)]
        tool = f"{PAIRS[mode]} {theirs[0]['version']}"
        print(
            f"| {mode} | {tool} | {reference:.9f} | {fid:.9f} | {difference:.1e} "
            f"| {times[0]:.0f} | {times[1]:.0f} | {times[0] / times[1]:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
