"""Forks: an inherited extractor raises an error, one opened in the child works, and the child exits."""

import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from processes import run
from test_outputs import write

PATHS = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

PARENT = """
import os, sys, threading, time
import numpy as np
import fastfid
import processes
from processes import wait_for

IMAGES = np.full((4, 8, 8, 3), 200, np.uint8)

def open_extractor():
    return fastfid.Extractor(sys.argv[1], batch_size=2)

def child_of(work):
    return processes.child_of(work, leave=sys.exit)  # as a program ends: destructors run

extractor = open_extractor()
expected = extractor(IMAGES)
"""

REBIND = """
def rebind():
    global extractor
    extractor = open_extractor()  # this drops the only reference to the inherited one
    return 0 if np.array_equal(extractor(IMAGES), expected) else 2
"""


@pytest.fixture
def forked(tmp_path):
    """Runs code that has an extractor, with a small network; gives what it prints."""
    weights = {"w": np.random.RandomState(0).standard_normal((8, 3, 3, 3)).astype(np.float32)}
    nodes = [
        helper.make_node("Conv", ["images", "w"], ["c"]),
        helper.make_node("ReduceMean", ["c"], ["features"], axes=[2, 3], keepdims=0),
    ]
    path = write(tmp_path / "own.onnx", nodes, weights=weights, out=("N", 8))

    def run_it(code, threads=2):
        done = run(PARENT + code, path, FASTFID_NUM_THREADS=str(threads), PYTHONPATH=PATHS, timeout=300)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.strip()

    return run_it


@pytest.mark.parametrize("threads", [1, 2])
def test_rebinding_the_name(forked, threads):
    assert forked(REBIND + "print([wait_for(child_of(rebind)) for _ in range(4)])", threads) == "[0, 0, 0, 0]"


def test_fifty_forks_while_other_threads_score(forked):
    code = (
        REBIND
        + """
stop, wrong = threading.Event(), []

def load(extractor):
    while not stop.is_set():
        if not np.array_equal(extractor(IMAGES), expected):
            wrong.append(1)

threads = [threading.Thread(target=load, args=(extractor,)) for _ in range(2)]
for thread in threads:
    thread.start()
codes = []
for i in range(50):
    time.sleep(0.001 * (i % 10))
    codes.append(wait_for(child_of(rebind)))
stop.set()
for thread in threads:
    thread.join()
print(set(codes), wrong)
"""
    )
    assert forked(code) == "{0} []"


def test_an_inherited_extractor_says_so(forked):
    """In the call, in a stream that had begun, and where it is only thrown away."""
    code = """
from fastfid.sources import open_source
stream = extractor.stream(open_source(np.concatenate([IMAGES] * 9)))
next(stream)

def use():
    global extractor, stream
    try:
        extractor(IMAGES)
    except fastfid.DeviceError as error:
        if "open an Extractor after the fork" not in str(error):
            return 3
        stream.close()
        del stream, extractor
        return 0
    return 2

print(wait_for(child_of(use)), extractor(IMAGES).shape[0], sum(len(rows) for rows in stream))
"""
    assert forked(code) == "0 4 34"


def test_children_of_children(forked):
    code = (
        REBIND
        + """
def twice():
    return rebind() or wait_for(child_of(rebind))

print(wait_for(child_of(twice)))
"""
    )
    assert forked(code) == "0"


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
def test_a_pool_of_processes(forked):
    code = """
import multiprocessing

def score(_):
    return open_extractor()(IMAGES)

def begin():
    global extractor
    extractor = None

with multiprocessing.get_context("fork").Pool(2, begin) as pool:
    found = pool.map(score, range(4))
print(all(np.array_equal(features, expected) for features in found))
"""
    assert forked(code) == "True"
