"""Peak memory and rate of several threads that call one extractor, like the requests of a service.

    python bench/callers.py [--callers 1 4 16] [--images 16] [--calls 3] [--dims 2048]

Each count runs in a new process, once as it is and once with the caller's own lock around every call, and reads its
peak resident size from the operating system. Every answer is compared with that of a single caller.
"""

import argparse
import subprocess
import sys

from machine import describe

import fastfid

CHILD = """
import contextlib, resource, sys, threading, time
import numpy as np
import fastfid

callers, count, calls, dims, locked = (int(argument) for argument in sys.argv[1:])
images = np.random.RandomState(0).randint(0, 256, (count, 64, 64, 3)).astype(np.uint8)
extractor = fastfid.Extractor("inception-v3-random", dims=dims)
expected = extractor(images)
lock = threading.Lock() if locked else contextlib.nullcontext()
wrong = []

def call():
    for _ in range(calls):
        with lock:
            features = extractor(images)
        if not np.array_equal(features, expected):
            wrong.append(features)

threads = [threading.Thread(target=call) for _ in range(callers)]
start = time.perf_counter()
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
seconds = time.perf_counter() - start
print(len(wrong), callers * calls * count / seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callers", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--calls", type=int, default=3)
    parser.add_argument("--dims", type=int, default=2048)
    options = parser.parse_args()
    fastfid.Extractor("inception-v3-random", dims=options.dims)  # from here on its graph is cached
    print(describe())
    print("| callers | lock of the caller's | images/s | peak MiB |")
    print("|---|---|---|---|")
    for callers in options.callers:
        for locked in (False, True):
            numbers = (callers, options.images, options.calls, options.dims, int(locked))
            command = [sys.executable, "-c", CHILD, *map(str, numbers)]
            wrong, rate, peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            assert wrong == "0", f"{wrong} answers of {callers} callers differ from that of one"
            mebibytes = int(peak) / (1024 if sys.platform != "darwin" else 2**20)
            print(f"| {callers} | {'yes' if locked else 'no'} | {float(rate):.1f} | {mebibytes:.0f} |", flush=True)


if __name__ == "__main__":
    main()
