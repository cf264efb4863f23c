"""`python -m fastfid A B`, as `python -m pytorch_fid A B`."""

import sys

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main())
