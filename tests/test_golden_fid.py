"""The FID, end to end, against what pytorch-fid and torch-fidelity printed for the same files and weights."""

import json
from pathlib import Path

import pytest

import fastfid
from pictures import golden_sets

GOLDEN = json.loads((Path(__file__).parent / "golden" / "fid.json").read_text())


@pytest.mark.filterwarnings("ignore:.*fewer than:fastfid.FastFIDWarning")
@pytest.mark.filterwarnings("ignore:(size|upscaled|format|jpeg-quality|unequal-n):fastfid.FastFIDWarning")
@pytest.mark.parametrize("mode", ["pytorch", "tensorflow"])
def test_end_to_end(mode, tmp_path):
    extractor = fastfid.Extractor("inception-v3-random", mode=mode)
    stats = {name: fastfid.statistics(path, model=extractor) for name, path in golden_sets(tmp_path).items()}
    for pair, expected in GOLDEN[mode].items():
        a, b = (stats[name] for name in pair.split())
        assert fastfid.score(a, b) == pytest.approx(expected, rel=1e-4), pair
