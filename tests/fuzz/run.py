"""Run many cases of each reader, in processes with bounds of memory and time, and print a table of what came of them.

    python tests/fuzz/run.py --cases 100000
    python tests/fuzz/run.py --cases 100000 --only zip tar --seed 7

A process that crashes, hangs or takes too much memory ends alone: its case counts as crashed, and the next process goes
on with the next one. Each case can be repeated by its number and the seed.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":  # the folder above, and not this one, which has a module named as one of Python's
    sys.path[0] = str(Path(__file__).parents[1])

_CHUNK = 5000  # cases of a process
_SECONDS = 20  # of processor time for one case
_MEMORY = 3 << 30  # bytes of address space beyond what the process has when it begins
_SHOWN = 10  # cases of each reader that are wrong or crash


@dataclass
class Tally:
    """What came of the cases of a reader."""

    counts: Counter[str] = field(default_factory=Counter)
    slowest: float = 0
    peak: int = 0
    bad: list[str] = field(default_factory=list)
    crashed: list[int] = field(default_factory=list)

    def add(self, said: str, seconds: float, peak: int, case: str, what: str = "") -> None:
        """Count a case."""
        self.counts[said] += 1
        self.slowest, self.peak = max(self.slowest, seconds), max(self.peak, peak)
        if what:
            self.bad.append(f"{said}: {case}: {what}")


def tally(name: str, start: int, stop: int) -> Tally:
    """Run cases of a reader, from one number to another, in processes of their own."""
    from fuzz.damage import SEED, named

    found = Tally()
    environment = {
        **os.environ,
        "FASTFID_TEST_SEED": str(SEED),
        "OPENBLAS_NUM_THREADS": "1",
        "FASTFID_NUM_THREADS": "1",
    }
    while start < stop:
        command = [sys.executable, __file__, "--work", name, str(start), str(min(stop, start + _CHUNK))]
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        for line in done.stdout.decode().splitlines():
            said, seconds, peak, what = json.loads(line)
            found.add(said, seconds, peak, named(name, start), what)
            start += 1
        if done.returncode:
            what = f"status {done.returncode}: {done.stderr.decode(errors='replace')[-300:]}"
            found.add("crashed", 0, 0, named(name, start), what)
            found.crashed.append(start)
            start += 1
    return found


def work(name: str, start: int, stop: int) -> None:
    """Run cases in this process, and print a line for each."""
    import resource

    from fuzz.every import EVERY

    reader, out = EVERY[name], os.fdopen(os.dup(1), "w", buffering=1)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for data in reader.good():
            reader.judge(data, place)  # loads what is loaded late
        _bound()
        for number in range(start, stop):
            said, what = "", ""
            data = reader.case(number)
            signal.setitimer(signal.ITIMER_PROF, _SECONDS)
            began = time.process_time()
            try:
                said = reader.judge(data, place)
            except AssertionError as error:
                said, what = "wrong", f"{error}"[:500]
            except BaseException as error:
                said, what = "wrong", f"{error!r}"[:500]
            seconds = time.process_time() - began
            signal.setitimer(signal.ITIMER_PROF, 0)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            print(json.dumps([said, round(seconds, 4), peak, what]), file=out)
    out.flush()
    os._exit(0)  # a library that was handed damaged data may crash at the end


def _bound() -> None:
    """Bound the memory of this process."""
    import resource

    with open("/proc/self/statm") as file:  # noqa: PTH123
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + _MEMORY,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _rows(results: Iterator[tuple[str, Tally, float]]) -> Iterator[str]:
    yield "| reader | cases | read | refused | wrong | crashed | slowest (s) | most memory (MB) | cases/s |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    for name, found, seconds in results:
        counts = [found.counts[key] for key in ("read", "refused", "wrong", "crashed")]
        cells = [name, f"{sum(counts):,}", *(f"{count:,}" for count in counts), f"{found.slowest:.2f}"]
        yield f"| {' | '.join(cells)} | {found.peak >> 10:,} | {sum(counts) / max(seconds, 1e-9):,.0f} |"
        for text in found.bad[:_SHOWN]:
            print(f"  {text}", file=sys.stderr, flush=True)


def main() -> None:
    """Run from the command line."""
    from fuzz.damage import SEED
    from fuzz.every import EVERY

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=2000, help="of each reader")
    parser.add_argument(
        "--only", nargs="+", choices=EVERY, default=list(EVERY), metavar="READER", help="by default all"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="readers at a time")
    parser.add_argument("--seed", type=int, default=SEED, help="by default another one in every run")
    parser.add_argument("--first", type=int, default=0, help="number of the first case, to repeat it")
    typed = parser.parse_args()
    if typed.seed != SEED:
        os.environ["FASTFID_TEST_SEED"] = str(typed.seed)
        os.execv(sys.executable, [sys.executable, *sys.argv])
    print(f"FASTFID_TEST_SEED={SEED}, {typed.cases:,} cases of each reader", flush=True)

    def one(name: str) -> tuple[str, Tally, float]:
        began = time.monotonic()
        return name, tally(name, typed.first, typed.first + typed.cases), time.monotonic() - began

    with ThreadPoolExecutor(typed.workers) as pool:
        for row in _rows(pool.map(one, typed.only)):
            print(row, flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
