"""How many threads: the default, the environment, the container's quota, and the user's setting."""

import os
import subprocess
import sys

import numpy as np
import pytest

from fastfid import InputError, Statistics, _core, frechet_distance_from_features, set_num_threads, sqrtm, threads

SHOW = "from fastfid import _core, threads; print(threads.num_threads(), _core.get_num_threads())"


@pytest.fixture(autouse=True)
def restore():
    chosen, blas = threads._chosen, _core.get_num_threads()
    yield
    threads._chosen = chosen
    _core.set_num_threads(blas)


@pytest.fixture
def default(monkeypatch):
    """A machine with 8 CPUs in the affinity mask, no quota, and nothing set."""
    monkeypatch.setattr(threads, "_chosen", None)
    monkeypatch.setattr(threads, "_affinity", lambda: 8)
    monkeypatch.setattr(threads, "_cgroup_quota", lambda: float("inf"))
    monkeypatch.delenv("FASTFID_NUM_THREADS", raising=False)
    return monkeypatch


def run(code, **environment):
    env = {k: v for k, v in os.environ.items() if k != "FASTFID_NUM_THREADS"} | environment
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity mask here")
def test_default_follows_the_affinity_mask():
    cpu = min(os.sched_getaffinity(0))
    assert run(f"import os; os.sched_setaffinity(0, {{{cpu}}}); {SHOW}").stdout.split() == ["1", "1"]


def test_environment_at_import():
    assert run(SHOW, FASTFID_NUM_THREADS="3").stdout.split()[0] == "3"
    refused = run(SHOW, FASTFID_NUM_THREADS="many")
    assert refused.returncode == 1
    assert "FASTFID_NUM_THREADS must be a positive whole number" in refused.stderr
    assert "got 'many'" in refused.stderr


@pytest.mark.parametrize("text", ["x", "0", "100000"])
def test_a_wrong_environment_is_one_line_on_the_command_line(text):
    for arguments in (["a", "b"], ["models", "list"]):
        code = f"import sys; from fastfid.cli.main import main; sys.exit(main({arguments}))"
        done = run(code, FASTFID_NUM_THREADS=text)
        assert (done.returncode, done.stdout) == (1, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith("fastfid: error: FASTFID_NUM_THREADS must be a positive whole number")
        assert line.endswith(f"got {text!r}")


def test_a_wrong_environment_does_not_spoil_the_import():
    """What needs the number says so; until then the machine's own is used."""
    code = """
import numpy as np, fastfid
from fastfid import _core
assert _core.get_num_threads() >= 1
try:
    fastfid.Extractor("inception-v3-random", dims=64)
except fastfid.InputError as error:
    print(error)
"""
    done = run(code, FASTFID_NUM_THREADS="x")
    assert done.stdout.startswith("FASTFID_NUM_THREADS must be a positive whole number")
    assert done.stderr == ""


@pytest.mark.parametrize(
    "text", ["0", "-1", "2.5", "two", " 2", "²", "1e3", "100000", "9" * 5000, str(threads._MOST + 1)]
)
def test_environment_that_is_no_number(default, text):
    default.setenv("FASTFID_NUM_THREADS", text)
    with pytest.raises(InputError, match="FASTFID_NUM_THREADS must be a positive whole number"):
        threads.num_threads()


@pytest.mark.parametrize(("text", "expected"), [("", 8), ("1", 1), ("12", 12)])
def test_environment_comes_before_the_machine(default, text, expected):
    default.setenv("FASTFID_NUM_THREADS", text)
    assert threads.num_threads() == expected


@pytest.mark.parametrize(("quota", "expected"), [(float("inf"), 8), (100.0, 8), (2.0, 2), (1.5, 2), (0.1, 1)])
def test_quota_cuts_the_affinity(default, quota, expected):
    default.setattr(threads, "_cgroup_quota", lambda: quota)
    assert threads.num_threads() == expected


V1 = ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, float("inf")),
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, float("inf")),
        ({"cpu.max": "max\n"}, float("inf")),
        ({"cpu.max": ""}, float("inf")),
        ({"cpu.max": "100000 0\n"}, float("inf")),
        ({V1[0]: "400000\n", V1[1]: "100000\n"}, 4.0),
        ({V1[0]: "-1\n", V1[1]: "100000\n"}, float("inf")),
        ({V1[0]: "400000\n"}, float("inf")),
        ({V1[0]: "what\n", V1[1]: "100000\n"}, float("inf")),
    ],
)
def test_quota_of_the_container(tmp_path, files, expected):
    (tmp_path / "cpu").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert threads._cgroup_quota(tmp_path, tmp_path / "no-such-file") == expected


@pytest.mark.parametrize(
    ("membership", "folder"),
    [("0::/user.slice/app.scope\n", "user.slice"), ("3:cpu,cpuacct:/jobs/7\n9:memory:/x\n", "cpu/jobs/7")],
)
def test_quota_of_the_processs_own_group_and_those_above(tmp_path, membership, folder):
    (tmp_path / "self").write_text(membership)
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / "cpu.max").write_text("200000 100000\n")
    assert threads._cgroup_quota(tmp_path, tmp_path / "self") == 2.0


def test_the_users_word_comes_first(default):
    default.setenv("FASTFID_NUM_THREADS", "5")
    set_num_threads(2)
    assert threads.num_threads() == 2
    assert _core.get_num_threads() == 2


@pytest.mark.parametrize("n", [0, -1, 2.0, True, "2", None, 4097, 2**40, 10**400])
def test_refuses(n):
    before = threads.num_threads()
    with pytest.raises(InputError, match="number of threads must be"):
        set_num_threads(n)
    assert threads.num_threads() == before


def test_results_do_not_depend_on_it():
    rng = np.random.RandomState(0)
    x, y, a = rng.standard_normal((900, 150)), rng.standard_normal((400, 150)), rng.standard_normal((150, 150))

    def results():
        return Statistics(150).update(x).sigma, frechet_distance_from_features(x, y), sqrtm(a)

    set_num_threads(1)
    one = results()
    set_num_threads(2)
    for got, expected in zip(results(), one, strict=True):
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-11 * np.abs(expected).max())


CONCURRENT = """
import os, threading
import numpy as np
import fastfid

x, y = np.random.RandomState(0).standard_normal((2, 700, 300))
expected = fastfid.frechet_distance_from_features(x, y), fastfid.sqrtm(np.cov(x, rowvar=False))

def agrees():
    fid, root = fastfid.frechet_distance_from_features(x, y), fastfid.sqrtm(np.cov(x, rowvar=False))
    return abs(fid - expected[0]) < 1e-10 * expected[0] and np.allclose(root, expected[1], atol=1e-12)
"""


def test_several_python_threads_at_once():
    code = """
found = []
workers = [threading.Thread(target=lambda: found.append(agrees())) for _ in range(4)]
[w.start() for w in workers], [w.join() for w in workers]
print(found)
"""
    assert run(CONCURRENT + code, FASTFID_NUM_THREADS="2").stdout == "[True, True, True, True]\n"


def test_the_core_does_not_turn_the_gil_on():
    code = """
import sys

def on():
    return getattr(sys, "_is_gil_enabled", lambda: True)()  # there since Python 3.13

import numpy
before = on()
import fastfid._core
print(before == on())
"""
    assert run(code).stdout == "True\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_the_core_after_a_fork():
    code = """
child = os.fork()
if child == 0:
    os._exit(0 if agrees() else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), agrees())
"""
    assert run(CONCURRENT + code, FASTFID_NUM_THREADS="2").stdout == "0 True\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_an_extractor_from_before_a_fork_says_so_instead_of_hanging():
    code = """
import os, numpy as np, fastfid
images = np.full((2, 8, 8, 3), 200, np.uint8)
extractor = fastfid.Extractor("inception-v3-random", dims=64, batch_size=2)
child = os.fork()
if child == 0:
    try:
        extractor(images)
    except fastfid.DeviceError as error:
        os._exit(0 if "after the fork" in str(error) else 1)
    os._exit(2)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), extractor(images).shape)
"""
    assert run(code).stdout == "0 (2, 64)\n"
