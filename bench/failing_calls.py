"""Each call that can fail, made to fail: the n-th open, read, write, fsync, rename and allocation of every command.

python bench/failing_calls.py [--commands save,merge,...] [--kinds open,read,...] [--most 5000]

The calls are those for files of the run, and allocations of at least 4 KiB. For every n a process runs the command with
that one call failing (writes and fsyncs: also all later ones, as on a full disk). It must end with the right result or
with one line that says what is wrong; nothing half-made may be left, and the command must work when it is run again.
Needs Linux and a C compiler.
"""

import argparse
import ctypes
import errno
import os
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from machine import describe

from short_runs import Run, World, chosen, run  # isort: skip - it adds tests to the path
from processes import wait_for

AGAIN = 10  # of so many faults, one is followed by a run without
KINDS = {
    "open": (0, errno.EMFILE, False),
    "read": (1, errno.EIO, False),
    "write": (2, errno.EIO, False),
    "full disk": (2, errno.ENOSPC, True),
    "fsync": (3, errno.EIO, False),
    "rename": (4, errno.EIO, False),
    "allocation": (5, errno.ENOMEM, False),
}


def attempt(arguments: Sequence[str], folder: Path, below: Path, kind: str, n: int) -> tuple[int | str, str, str, int]:
    """Run a command in a fork whose n-th call of a kind fails; give status, both texts and the number of such calls."""
    number, error, on = KINDS[kind]
    pid = os.fork()
    if pid == 0:
        code, result = 99, ["", ""]
        shim = ctypes.CDLL(None)
        shim.fault_count.restype = ctypes.c_long
        shim.fault_arm.argtypes = [ctypes.c_int, ctypes.c_long, ctypes.c_int, ctypes.c_int, ctypes.c_char_p]
        try:
            shim.fault_arm(number, n, error, on, os.fsencode(below))
            code, *result = run(arguments)
        except BaseException:
            shim.fault_arm(number, 0, 0, 0, b"/nowhere")
            result = ["", traceback.format_exc()]
        count = shim.fault_count(number)
        shim.fault_arm(number, 0, 0, 0, b"/nowhere")
        for name, text in zip(("stdout", "stderr", "count"), (*result, str(count)), strict=True):
            (folder / name).write_text(text)
        os._exit(code or 0)
    return (
        wait_for(pid),
        *((folder / name).read_text() for name in ("stdout", "stderr")),
        int((folder / "count").read_text()),
    )


def wrong(world: World, case: Run, code: int | str, out: str, err: str) -> str:
    """Return what is wrong with how a command with a fault has ended, or an empty string."""
    left = world.left_over(ended_well=code == 0)
    if code == 0:
        return f"left behind: {left}" if left else "" if case.right(out) else "wrong result"
    if code != 1:
        return f"exit status {code}"
    if case.half():
        return "half a result"
    if "fastfid: error:" not in err or "Traceback" in err:
        return "no message"
    return f"left behind: {left}" if left else ""


def fail_all(world: World, name: str, case: Run, kind: str, most: int, folder: Path) -> list[str]:
    """Let each call fail, one after the other; print a row and give what went wrong."""
    world.begin()
    world.current = name
    code, out, err, count = attempt(case.arguments, folder, world.root, kind, 0)
    assert code == 0, f"{name}: {err}"
    assert case.right(out), name
    found, problems = Counter[str](), []
    step = -(-count // most) or 1
    for n in range(1, count + 1, step):
        world.begin()
        code, out, err, _ = attempt(case.arguments, folder, world.root, kind, n)
        if problem := wrong(world, case, code, out, err):
            problems.append(f"{name}, {kind} {n}: {problem}: {err.strip()[-1500:]}")
        found["right" if code == 0 else "refused"] += 1
        if n // step % AGAIN == 0 and not world.made(name):
            code, out, err, _ = attempt(case.arguments, folder, world.root, kind, 0)
            if code != 0 or (problem := wrong(world, case, code, out, err)):
                problems.append(f"{name}, {kind} {n}, run again: {code}, {problem}: {err[-1500:]}")
            found["again"] += 1
    of = f"{count}" if step == 1 else f"{count}, each {step}th"
    print(
        f"| {name} | {kind} | {of} | {found['right']} | {found['refused']} | {found['again']} | {len(problems)} |",
        flush=True,
    )
    return problems


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands")
    parser.add_argument("--kinds")
    parser.add_argument("--most", type=int, default=5000, help="calls of one kind that are made to fail")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if "FASTFID_BENCH_SHIM" not in os.environ:
            shim = Path(scratch) / "shim.so"
            source = Path(__file__).with_suffix(".c")
            subprocess.run(["cc", "-O1", "-shared", "-fPIC", str(source), "-o", str(shim), "-ldl"], check=True)
            env = os.environ | {"LD_PRELOAD": str(shim), "FASTFID_BENCH_SHIM": "1"}
            sys.exit(subprocess.run([sys.executable, *sys.argv], env=env, check=False).returncode)
        print(describe())
        print("\n| command | call | in a run | still right | refused | run again: right | wrong |")
        print("|---|---|---|---|---|---|---|")
        world = World.prepared(Path(scratch) / "world")
        cases, problems = world.runs(), []
        for name in chosen(cases, options.commands):
            for kind in options.kinds.split(",") if options.kinds else KINDS:
                problems += fail_all(world, name, cases[name], kind, options.most, Path(scratch))
        print("\n".join(problems))
        sys.exit(bool(problems))


if __name__ == "__main__":
    main()
