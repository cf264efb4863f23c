"""Statistics of another model, mode or dims: said with the flags that they need, before any weights are looked for."""

import numpy as np
import pytest

import fastfid
from fastfid.cli.main import main
from fastfid.networks.registry import OFFICIAL_SHA256, REGISTRY
from pictures import folder, pictures

RANDOM = REGISTRY["inception-v3-random"].sha256


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """A folder of images, and a way to save statistics that something else made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTFID_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FASTFID_MIRROR", "https://no-such-host.invalid")  # nothing may be asked for
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder(tmp_path / "a", pictures(4))

    def save(model, sha256, mode="pytorch", dims=64):
        rows = np.random.RandomState(0).randn(80, dims)
        made = fastfid.Provenance(model, sha256, mode, dims)
        fastfid.Statistics(dims, made).update(rows).save("real.npz")

    return save


def run(capsys, *typed):
    assert main(["a", "real.npz", *typed]) == 1
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("made", "typed", "advice"),
    [
        (("inception-v3-random", RANDOM), (), "--model inception-v3-random --dims 64"),
        (("inception-v3-random", RANDOM, "clean"), ("--dims", "64"), "--model inception-v3-random --mode clean"),
        (("inception-v3", OFFICIAL_SHA256, "clean"), ("--dims", "64"), "--mode clean"),
        (("inception-v3", OFFICIAL_SHA256, "clean"), ("--dims", "64", "--mode", "keras"), "--mode clean"),
        (("inception-v3", OFFICIAL_SHA256), (), "--dims 64"),
        (("inception-v3", OFFICIAL_SHA256), ("--dims", "64", "--model", "inception-v3-keras"), "--model inception-v3"),
        (("own.onnx", "c" * 64), ("--dims", "64"), "--model FILE, FILE being own.onnx"),
    ],
)
def test_the_flags_are_named(saved, capsys, made, typed, advice):
    saved(*made)
    error = run(capsys, *typed)
    assert error.removesuffix(" (--force overrides)").endswith(f": give {advice}")
    assert ("overrides" in error) == ("--dims" not in advice)
    assert "real.npz, " in error


def test_what_fits_goes_on_to_the_weights(saved, capsys):
    for model, sha256 in (("inception-v3", OFFICIAL_SHA256), ("pt_inception-2015-12-05-6726825d.pth", OFFICIAL_SHA256)):
        saved(model, sha256)
        assert "no-such-host.invalid" in run(capsys, "--dims", "64")
    saved("inception-v3", OFFICIAL_SHA256, "clean")
    assert "no-such-host.invalid" in run(capsys, "--dims", "64", "--force")


def test_in_python_arguments_are_named(saved):
    saved("inception-v3-random", RANDOM, "clean")
    with pytest.raises(fastfid.StatisticsMismatch, match="give model='inception-v3-random', mode='clean', dims=64"):
        fastfid.compare("a", "real.npz")
    with pytest.raises(fastfid.StatisticsMismatch, match="give dims=64"):
        fastfid.rank("real.npz", "a", "a", model="inception-v3-random", mode="clean")
