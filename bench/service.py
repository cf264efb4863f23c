"""A load test of examples/service.py: clients that post images at the same time, beside plain batches of them.

    python -m pip install fastapi uvicorn gunicorn uvicorn-worker && python bench/service.py

The service runs in a process of its own, and the clients are threads here. Each turn posts the images to a run of its
own, and computes the features of the same images by an Extractor in this process while the service rests.
"""

import argparse
import http.client
import io
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe
from PIL import Image

import fastfid

EXAMPLES = Path(__file__).parents[1] / "examples"
MODEL, DIMS = "inception-v3-random", 64
GUNICORN = ("--worker-class", "uvicorn_worker.UvicornWorker", "--bind", "127.0.0.1:{port}", "--log-level", "warning")


def pngs(number: int, size: int) -> list[bytes]:
    rng, files = np.random.RandomState(0), []
    for _ in range(number):
        coarse = rng.randint(0, 256, (8, 8, 3)).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC).save(file, "PNG")
        files.append(file.getvalue())
    return files


def call(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with suppress(BrokenPipeError, ConnectionResetError):  # an answer comes before all of a large body is sent
        connection.request(method, path, body)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text) if text else None


@contextmanager
def served(command: Sequence[str], real: Path) -> Iterator[tuple[int, int]]:
    """Start the service; give its port and the process that works."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "FASTFID_REAL": str(real), "FASTFID_MODEL": MODEL, "FASTFID_DIMS": str(DIMS)}
    arguments = [part.format(port=port) for part in command]
    process = subprocess.Popen([sys.executable, "-m", *arguments], cwd=EXAMPLES, env=environment)
    try:
        for _ in count():
            with suppress(OSError):
                yield port, call(port, "GET", "/health")[1]["process"]
                return
            if process.poll() is not None:
                raise SystemExit(f"the service ended with {process.returncode}")
            time.sleep(0.1)
    finally:
        process.terminate()
        process.wait()


def memory(process: int) -> float:
    """Return the resident memory of a process in MiB."""
    text = Path(f"/proc/{process}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


def post_all(port: int, name: str, files: Sequence[bytes], clients: int) -> tuple[float, list[float]]:
    """Post files by several clients at the same time; return the seconds of all, and of each."""
    numbers, seconds, wrong = count(), [], []

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while (number := next(numbers)) < len(files):
            begin = time.perf_counter()
            connection.request("POST", f"/runs/{name}", files[number])
            answer = connection.getresponse()
            text = answer.read()
            seconds.append(time.perf_counter() - begin)
            if answer.status != 200:
                wrong.append((answer.status, text))

    threads = [threading.Thread(target=client) for _ in range(clients)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = time.perf_counter() - begin
    assert not wrong, wrong[:3]
    return whole, seconds


def check_slow_clients(port: int, files: Sequence[bytes]) -> None:
    """Check that 8 clients that hold all uploads, and send next to nothing, do not stop another one."""
    head = b"POST /runs/slow HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(8 * 5)]
    for connection in slow:
        connection.sendall(head + b"x")
    time.sleep(1.5)  # they may be as slow as they like for a second
    assert (held := call(port, "GET", "/health")[1]["uploads"]) == 32, held
    _, seconds = post_all(port, "quick", files, 1)
    print(f"beside 8 slow clients with 40 connections: {len(files)} images, {max(seconds) * 1e3:.0f} ms at most")
    for connection in slow:
        connection.close()
    assert call(port, "DELETE", "/runs/quick")[0] == 204


def check(port: int, files: Sequence[bytes]) -> None:
    """Check errors, and that a client that goes away leaves nothing behind."""
    assert call(port, "POST", "/runs/bad", b"no image")[0] == 422
    assert call(port, "POST", "/runs/bad", bytes(17 << 20))[0] == 413
    assert call(port, "GET", "/runs/none")[0] == 404
    for file in files[:30]:
        gone = socket.create_connection(("127.0.0.1", port))
        gone.sendall(f"POST /runs/gone HTTP/1.1\r\nHost: x\r\nContent-Length: {len(file)}\r\n\r\n".encode() + file)
        gone.close()
    for _ in range(100):
        time.sleep(0.1)
        if not (waiting := call(port, "GET", "/health")[1]["waiting"]):
            break
    assert not waiting, waiting
    for name in call(port, "GET", "/runs")[1]:
        assert call(port, "DELETE", f"/runs/{name}")[0] == 204


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--size", type=int, default=64)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    files = pngs(options.requests // options.turns, options.size)
    extractor = fastfid.Extractor(MODEL, dims=DIMS)
    extractor(files[:32])
    with tempfile.TemporaryDirectory() as folder:
        real = fastfid.save(fastfid.fit(files[::2], model=extractor, progress=False), f"{folder}/real.npz")
        with served(("gunicorn", "service:app", "--preload", *GUNICORN), real) as (port, _):
            check(port, files)
            print("gunicorn --preload: the network opened after the fork, and works")
        with served(("uvicorn", "service:app", "--port", "{port}", "--log-level", "warning"), real) as (port, process):
            check(port, files)
            check_slow_clients(port, files[:50])
            post_all(port, "warm", files[:100], options.clients)
            rates, plain, seconds, before = [], [], [], memory(process)
            for turn in range(options.turns):
                begin = time.perf_counter()
                features = extractor(files)
                plain.append(len(files) / (time.perf_counter() - begin))
                whole, each = post_all(port, f"run{turn}", files, options.clients)
                rates.append(len(files) / whole)
                seconds += each
                expected = fastfid.compare(fastfid.Statistics(DIMS, extractor.provenance).update(features), str(real))
                found = call(port, "GET", f"/runs/run{turn}")[1]
                assert found["a"]["n"] == len(files)
                assert abs(found["fid"] / expected.fid - 1) < 1e-4, (found["fid"], expected.fid)
            after = memory(process)
    of_plain = [rate / other for rate, other in zip(rates, plain, strict=True)]
    p50, p99 = (np.percentile(seconds, q) * 1e3 for q in (50, 99))
    print(describe())
    print(f"{len(seconds)} requests by {options.clients} clients, PNG of {options.size} pixels, {DIMS} dims")
    columns = {
        "images/s, service": f"{statistics.median(rates):.0f}",
        "images/s, plain batches": f"{statistics.median(plain):.0f}",
        "share, median (each turn)": f"{statistics.median(of_plain):.2f} ({', '.join(f'{x:.2f}' for x in of_plain)})",
        "p50, p99, longest": f"{p50:.0f}, {p99:.0f}, {max(seconds) * 1e3:.0f} ms",
        "MiB before, after": f"{before:.0f}, {after:.0f}",
    }
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|\n| {' | '.join(columns.values())} |")


if __name__ == "__main__":
    main()
