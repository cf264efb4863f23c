"""SIGKILL at random moments of each command that writes: nothing half-made is taken for whole, and the next run works.

python bench/kills.py [--kills 200] [--seed N] [--commands save,merge,...]

Every command runs in a process of its own, which is killed between its start and a little after the time that it takes.
Then what it left is looked at, and in every other case the command is run again to its end: it must succeed, give the
right result, and leave nothing behind. `ray` has its driver killed beside a running cluster; it is slow, and runs only
if it is named.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
from machine import describe
from short_runs import Run, World, chosen, run


class Child:
    """A process that runs a command; a fork, because the imports take longer than the command."""

    def __init__(self, arguments: Sequence[str], folder: Path, *, forked: bool = True) -> None:
        self._texts = [folder / "stdout", folder / "stderr"]
        if forked:
            self._pid = os.fork()
            if self._pid == 0:
                self._work(arguments)
        else:
            files: list[IO[bytes]] = [path.open("wb") for path in self._texts]
            command = [sys.executable, "-m", "fastfid", *arguments]
            self._pid = subprocess.Popen(command, stdout=files[0], stderr=files[1], start_new_session=True).pid

    def _work(self, arguments: Sequence[str]) -> None:
        code = 99
        try:
            code, *texts = run(arguments)
            for path, text in zip(self._texts, texts, strict=True):
                path.write_text(text)
        except BaseException:
            self._texts[1].write_text(traceback.format_exc())
        os._exit(code or 0)

    def kill(self) -> None:
        """Send SIGKILL."""
        os.kill(self._pid, signal.SIGKILL)

    def wait(self) -> int:
        """Give the exit status, or minus the number of the signal that ended it."""
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def printed(self) -> tuple[str, str]:
        """Give what went to stdout and to stderr."""
        out, err = (path.read_text() if path.exists() else "" for path in self._texts)
        return out, err


def finish(world: World, name: str, case: Run, folder: Path, *, forked: bool) -> float:
    """Run a command to its end, check all it made, and give the seconds."""
    start = time.perf_counter()
    child = Child(case.arguments, folder, forked=forked)
    code = child.wait()
    seconds = time.perf_counter() - start
    out, err = child.printed()
    assert code == 0, f"{name}: exit status {code}: {err}"
    assert case.right(out), f"{name}: wrong result; {out} {err}"
    left = world.left_over(ended_well=True)
    assert not left, f"{name}: left behind: {left}"
    return seconds


def kill_often(world: World, name: str, case: Run, kills: int, rng: np.random.RandomState, folder: Path) -> None:
    forked, world.current = name != "ray", name
    world.begin()
    takes = finish(world, name, case, folder, forked=forked)
    killed = ended = whole = finished = most_left = 0
    world.begin()
    while killed < kills:
        child = Child(case.arguments, folder, forked=forked)
        time.sleep(rng.uniform(0, 1.1 * takes))
        child.kill()
        if child.wait() == -signal.SIGKILL:
            killed += 1
        else:
            ended += 1
        assert not case.half(), f"{name}: a half result after kill {killed}"
        most_left = max(most_left, len(world.left_over(ended_well=False)))
        if world.made(name):
            whole += 1
            world.begin()
        elif rng.randint(2):
            finish(world, name, case, folder, forked=forked)
            finished += 1
            world.begin()
    print(f"| {name} | {killed} | {ended} | {whole} | {finished} | {most_left} | {takes:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    parser.add_argument("--commands")
    options = parser.parse_args()
    print(describe())
    print(f"seed {options.seed}\n")
    print("| command | killed | had ended | result was whole | run again: right | most files left behind | seconds |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        world = World.prepared(Path(scratch) / "world")
        cases = world.runs()
        rng = np.random.RandomState(options.seed)
        for name in chosen(cases, options.commands):
            kill_often(world, name, cases[name], options.kills, rng, Path(scratch))


if __name__ == "__main__":
    main()
