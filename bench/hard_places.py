"""Every command that writes where a machine is unkind: no home, an unknown user, little memory, a full disk.

    python bench/hard_places.py [--commands save,merge,...] [--places home,user,...]

As root, on Linux. A command must do its work, or say in one line why it cannot, and leave nothing half-made.
"""

import argparse
import os
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from machine import describe
from short_runs import World, chosen

PAGE = 4096  # bytes, the unit of a file system in memory
STRANGER = 54_321  # a user whom no file knows


class Place(NamedTuple):
    """Where a command runs: what the shell does before it, what the process does before it, and its environment."""

    shell: str = ""
    before: Callable[[], object] = lambda: None
    without: tuple[str, ...] = ()


def as_stranger() -> None:
    os.setgroups([])
    os.setgid(STRANGER)
    os.setuid(STRANGER)


def limited(kind: int, most: int) -> Callable[[], object]:
    return lambda: resource.setrlimit(kind, (most, most))


_NOWHERE = ("HOME", "XDG_CACHE_HOME", "FASTFID_HOME")
PLACES = {
    "no HOME": Place(without=_NOWHERE),
    "an unknown user": Place("chmod -R a+rwX {root}", before=as_stranger, without=_NOWHERE),
    "a read-only root": Place("mount --bind {work} {work}; mount -o remount,ro,bind /", without=_NOWHERE),
    "64 open files": Place(before=limited(resource.RLIMIT_NOFILE, 64)),
    "1 GiB of address space": Place(before=limited(resource.RLIMIT_AS, 1 << 30)),
    "2 GiB of address space": Place(before=limited(resource.RLIMIT_AS, 2 << 30)),
    "a full disk": Place(
        "cp -r {work} {root}/full; mount -t tmpfs -o size={full} none {work}; cp -r {root}/full/. {work}"
    ),
}


def inside(root: Path, place: Place, name: str) -> str:
    """Run a command where this process is, and say how it ended."""
    world = World(root)
    world.current, case = name, world.runs()[name]
    env = {key: value for key, value in os.environ.items() if key not in place.without}
    command = [sys.executable, "-m", "fastfid", *case.arguments]
    done = subprocess.run(command, preexec_fn=place.before, env=env, capture_output=True, text=True, check=False)
    left = world.left_over(ended_well=done.returncode == 0)
    if left:
        return f"WRONG: left behind: {left}"
    if done.returncode == 0:
        return "done" if case.right(done.stdout) else "WRONG: another result"
    if case.half() or done.returncode != 1:
        return f"WRONG: half a result, or status {done.returncode}: {done.stderr[-2000:]}"
    errors = [line for line in done.stderr.splitlines() if line.startswith("fastfid: error:")]
    if len(errors) != 1 or "Traceback" in done.stderr:
        return f"WRONG: {done.stderr[-2000:]}"
    return errors[0].removeprefix("fastfid: error: ").replace(str(root), "...")


def outside(root: Path, world: World, place: str, name: str) -> str:
    """Make a place in a mount namespace of its own, and run a command there."""
    world.begin()
    shutil.rmtree(root / "full", ignore_errors=True)
    full = sum(-(-path.stat().st_size // PAGE) * PAGE for path in world.work.rglob("*") if path.is_file())
    shell = PLACES[place].shell.format(root=root, work=world.work, full=full)
    again = shlex.join([sys.executable, __file__, "--inside", str(root), place, name])
    command = ["unshare", "-m", "sh", "-ec", f"{shell or ':'}\nexec {again}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or f"WRONG: {done.stderr[-1500:]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands")
    parser.add_argument("--places")
    parser.add_argument("--inside", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        root, place, name = options.inside
        print(inside(Path(root), PLACES[place], name))
        return
    print(describe())
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "world"
        Path(scratch).chmod(0o755)
        world = World.prepared(root)
        names = chosen(world.runs(), options.commands)
        places = options.places.split(",") if options.places else list(PLACES)
        wrong = 0
        for place in places:
            print(f"\n{place}")
            for name in names:
                said = outside(root, world, place, name)
                wrong += said.startswith("WRONG")
                print(f"  {name}: {said}", flush=True)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
