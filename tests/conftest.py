"""Settings of the whole set; warnings are errors by pyproject.toml."""

import os

import pytest
from hypothesis import settings

# Small matrices everywhere: on a busy machine the threads of three BLAS libraries wait for each other, and the set
# takes a minute longer. test_threads.py looks at more than one.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("FASTFID_NUM_THREADS", "1")

# No deadline: the machine decides how long an example takes. On CI the same examples every time.
settings.register_profile("fastfid", deadline=None, derandomize="CI" in os.environ, print_blob=True)
settings.load_profile("fastfid")


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """Graphs are cached in a folder of this run: what an older version left there must not be what is tested."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTFID_HOME", str(tmp_path_factory.mktemp("fastfid_home")))
        yield
