"""examples/keras_tutorial.py: the numbers of the tutorial, and a run without a download."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

EXAMPLE = runpy.run_path(str(Path(__file__).parents[1] / "examples" / "keras_tutorial.py"))


@pytest.mark.parametrize(("seed", "expected"), [(0, 360.5493446), (1, 358.4121516), (2, 357.8916874)])
def test_the_numbers_of_calculate_fid(seed, expected):
    """Expected: the tutorial's function, with SciPy's sqrtm."""
    same, different = EXAMPLE["from_activations"](seed)
    act1 = np.random.RandomState(seed).random_sample(10 * 2048).reshape(10, 2048)
    assert abs(same) <= 1e-9 * act1.var(axis=0, ddof=1).sum()
    assert different == pytest.approx(expected, abs=1e-7)


@pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")  # 3 images for 2048 dims
def test_it_runs_without_a_download(capsys):
    EXAMPLE["main"](["--model", "inception-v3-random", "--images", "3"])
    lines = capsys.readouterr().out.splitlines()
    numbers = [[float(number) for number in re.findall(r"\): (-?[\d.]+)", line)] for line in lines]
    assert numbers[0] == pytest.approx([0, 360.5493446], abs=1e-6)
    assert len(lines) == 4
    same, different = numbers[3]
    assert abs(same) <= 1e-3 < different
