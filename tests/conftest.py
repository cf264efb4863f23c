"""Settings of the whole set; warnings are errors by pyproject.toml."""

import os

from hypothesis import settings

# No deadline: the machine decides how long an example takes. On CI the same examples every time.
settings.register_profile("fastfid", deadline=None, derandomize="CI" in os.environ, print_blob=True)
settings.load_profile("fastfid")
