"""Settings of the whole set; warnings are errors by pyproject.toml."""

import os

import pytest
from hypothesis import settings

from fuzz import SEED

# Small matrices everywhere: on a busy machine the threads of three BLAS libraries wait for each other, and the set
# takes a minute longer. test_threads.py looks at more than one.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("FASTFID_NUM_THREADS", "1")

# No deadline: the machine decides how long an example takes. Fresh examples in every run, here and on CI, from a seed
# that the run prints (derandomize is said because Hypothesis takes it for granted where CI is set).
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
