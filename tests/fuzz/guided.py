"""Let a reader's own branches guide the damage: Google's atheris keeps the input that reaches new ones.

    pip install atheris
    python tests/fuzz/guided.py "npz of arrays" FOLDER -runs=100000

FOLDER keeps what it finds, for the next run; the other arguments are those of libFuzzer. It ends at the first case that
is wrong, and writes its bytes to a file.
"""

import gc
import sys
import tempfile
from pathlib import Path
from types import FunctionType

import atheris

if __name__ == "__main__":  # the folder above, and not this one, which has a module named as one of Python's
    sys.path[0] = str(Path(__file__).parents[1])

from fuzz.every import EVERY


def _own_functions() -> list[FunctionType]:
    """Return the functions of fastfid; the hook of imports does not see what is installed as editable."""
    every = [each for each in gc.get_objects() if isinstance(each, FunctionType)]
    return [each for each in every if (each.__module__ or "").startswith("fastfid.")]


def main(name: str, folder: str, *options: str) -> None:
    """Run from the command line."""
    reader = EVERY[name]
    kept = Path(folder)
    kept.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate([*reader.good(), *(path.read_bytes() for path in reader.corpus())]):
        (kept / f"good-{number}").write_bytes(data)
    for function in _own_functions():
        atheris.instrument_func(function)
    with tempfile.TemporaryDirectory() as scratch:
        atheris.Setup([sys.argv[0], folder, *options], lambda data: reader.judge(data, Path(scratch)))
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
