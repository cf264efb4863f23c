"""Settings for all tests; pyproject.toml turns warnings into errors."""

import os
import signal

import pytest
from hypothesis import settings

from fuzz import SEED

# The matrices are small. On a busy machine the threads of three BLAS libraries wait for each other, and the tests take
# a minute longer. test_threads.py tests more than one thread.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("FASTFID_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # datasets then asks no server
os.environ["FASTFID_TEST_SEED"] = str(SEED)  # one for all processes that run the tests

# No deadline: how long an example takes depends on the machine. Every run draws new examples, here and on CI, from a
# seed that it prints (derandomize is given because Hypothesis turns it on by default on CI).
settings.register_profile("fastfid", deadline=None, derandomize=False, print_blob=True)
settings.load_profile("fastfid")


def pytest_configure(config):
    if config.getoption("hypothesis_seed", None) is None:
        config.option.hypothesis_seed = str(SEED)


def pytest_report_header():
    return f"fresh examples; FASTFID_TEST_SEED={SEED} repeats them"


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """Graphs are cached in a folder of this run: what an older version left there must not be what is tested."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTFID_HOME", str(tmp_path_factory.mktemp("fastfid_home")))
        yield


@pytest.fixture(autouse=True, scope="session")
def signals_that_end():
    """Under nohup, or as a job that a script starts with &, a process and its children ignore these signals."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
