"""Settings of the whole set; warnings are errors by pyproject.toml."""

import os

from hypothesis import settings

# Small matrices everywhere: on a busy machine the threads of three BLAS libraries wait for each other, and the set
# takes a minute longer. test_threads.py looks at more than one.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("FASTFID_NUM_THREADS", "1")

# No deadline: the machine decides how long an example takes. On CI the same examples every time.
settings.register_profile("fastfid", deadline=None, derandomize="CI" in os.environ, print_blob=True)
settings.load_profile("fastfid")
