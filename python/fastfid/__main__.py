"""`python -m fastfid A B`, like `python -m pytorch_fid A B`."""

import sys

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main())
