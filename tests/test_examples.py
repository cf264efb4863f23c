"""The examples that add a source, a metric, an accumulator and an engine from outside the package."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastfid
from pictures import pictures

EXAMPLES = Path(__file__).parents[1] / "examples"

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")


@pytest.mark.parametrize("name", ["noise_source", "own_metric", "own_accumulator", "given_features"])
def test_an_example_is_short_and_runs(name, capsys):
    path = EXAMPLES / f"{name}.py"
    assert len(path.read_text().splitlines()) < 30
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out


def test_the_metric_of_the_example_is_the_mean_term_of_the_fid():
    metric = runpy.run_path(str(EXAMPLES / "own_metric.py"))["MeanDistance"]()
    model = fastfid.Extractor("inception-v3-random", dims=64, batch_size=4)
    result = fastfid.compare(pictures(6), pictures(5, seed=1), model=model, metrics=["fid", metric])
    assert result.scores["mean-distance"].value == result.mean_term


def test_the_engine_of_the_example_gives_the_fid_of_its_features():
    rows = np.random.RandomState(1).standard_normal((9, 8)).astype(np.float32)
    engine = runpy.run_path(str(EXAMPLES / "given_features.py"))["Given"](rows)
    expected = fastfid.frechet_distance_from_features(rows, rows[:7])
    assert fastfid.score(pictures(9), pictures(7), engine=engine) == expected


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
def test_the_nightly_job(tmp_path):
    rows = np.random.RandomState(0).standard_normal((2, 60, 5))
    for name, given in zip(("bad", "real"), (rows[0] + 3, rows[1]), strict=True):
        fastfid.save(fastfid.fit(given, features=True), tmp_path / f"{name}.npz")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    command = ["sh", str(EXAMPLES / "nightly.sh"), "bad.npz", "real.npz", "5", "--note", "one"]
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PATH": path}, check=False)
    assert done.returncode == 3
    assert len((EXAMPLES / "nightly.sh").read_text().splitlines()) == 2 + 5
    assert [one.verdict for one in fastfid.History.load(tmp_path / "history.jsonl").entries] == ["failed"]
    assert (tmp_path / "history.svg").exists()
    assert "<failure" in (tmp_path / "fid.xml").read_text()
