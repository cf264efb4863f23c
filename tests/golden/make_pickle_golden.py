"""Make statistics-0.1.0.pickle: two `Statistics` pickled by fastfid 0.1.0, one with rows and one with moments.

    python tests/golden/make_pickle_golden.py tests/golden/statistics-0.1.0.pickle

Needs fastfid 0.1.0: the file represents the pickles that its users have.
"""

import pickle
import sys
from pathlib import Path

import fastfid

ROWS = [[0.0, 1.0, 2.0], [4.0, 4.0, 3.0], [1.0, 0.0, 5.0], [2.0, 2.0, 2.0], [8.0, 3.0, 1.0]]

if __name__ == "__main__":
    assert fastfid.__version__ == "0.1.0"
    provenance = fastfid.Provenance("inception-v3", "0" * 64, "pytorch", 3, "cpu", "fp32", 16, {"fastfid": "0.1.0"})
    few, many = (fastfid.Statistics(3, provenance).update(ROWS[:n]) for n in (2, 5))
    assert few.rows is not None
    assert many.rows is None
    Path(sys.argv[1]).write_bytes(pickle.dumps([few, many], protocol=4))
