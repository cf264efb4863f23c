"""The command line: last line, exit codes, drop-in flags, merge, models, demo."""

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import fastfid
from fastfid.cli.demo import draw_curves
from fastfid.cli.main import main
from pictures import folder, pictures

MODEL = ["--model", "inception-v3-random", "--dims", "64"]


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    root = tmp_path_factory.mktemp("sets")
    return str(folder(root / "a", pictures(6, high=128))), str(folder(root / "b", pictures(7, seed=1)))


@pytest.fixture(scope="module")
def fid(sets):
    with pytest.warns(fastfid.FastFIDWarning, match="fewer"):
        return fastfid.score(*sets, model="inception-v3-random", dims=64)


def test_last_line_is_the_fid(sets, fid, capsys):
    assert main([*sets, *MODEL]) == 0
    out, err = capsys.readouterr()
    assert out == f"FID:  {fid!r}\n"
    assert "fastfid: warning: " in err
    assert "6 images are fewer than 64 dims" in err
    assert "fastfid: note: made with inception-v3-random: not comparable with published FIDs" in err


def test_json_is_one_object(sets, fid, capsys):
    assert main([*sets, *MODEL, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["fid"] == fid
    assert result["a"].pop("identity").keys() == {"images", "mean", "trace"}
    assert result["a"] == {"name": sets[0], "n": 6, "rejected": [], "formats": {"PNG": 6}}
    assert result["provenance"]["mode"] == "pytorch"


def test_as_a_module(sets, fid):
    command = [sys.executable, "-m", "fastfid", *sets, *MODEL, "--batch-size", "16", "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == f"FID:  {fid!r}"


def test_save_stats_and_score_them(sets, fid, tmp_path, capsys):
    files = [str(tmp_path / name) for name in ("a.npz", "b")]
    for source, target in zip(sets, files, strict=True):
        assert main(["--save-stats", source, target, *MODEL, "--num-workers", "1"]) == 0
    assert (tmp_path / "b.npz").exists()
    capsys.readouterr()
    assert main([files[0], files[1] + ".npz"]) == 0
    assert capsys.readouterr().out == f"FID:  {fid!r}\n"
    assert main(["--save-stats", sets[0], files[1], *MODEL]) == 1
    assert "exists already" in capsys.readouterr().err
    assert main(["--save-stats", sets[0], files[1], *MODEL, "--force", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"saved": f"{files[1]}.npz", "n": 6, "dims": 64}


def test_save_stats_needs_a_folder_that_exists(sets, tmp_path, capsys):
    assert main(["--save-stats", sets[0], str(tmp_path / "no" / "a.npz"), *MODEL]) == 1
    assert "does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("target", ["out/", "", "folder.npz"])
def test_a_target_that_is_no_file_is_refused_before_the_network_runs(sets, tmp_path, monkeypatch, capsys, target):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "out").mkdir()
    assert main(["--save-stats", sets[0], target, "--model", "not looked up", "--force"]) == 1
    assert "not the name of a file" in capsys.readouterr().err


def test_merge_equals_the_whole(tmp_path, capsys):
    rows = np.random.RandomState(0).standard_normal((40, 5))
    parts = []
    for i, part in enumerate(np.split(rows, [10, 12])):
        parts.append(str(fastfid.Statistics(5).update(part).save(tmp_path / f"{i}")))
    assert main(["merge", str(tmp_path / "all"), *parts]) == 0
    merged = fastfid.Statistics.load(tmp_path / "all.npz")
    assert merged.n == 40
    np.testing.assert_allclose(merged.sigma, np.cov(rows, rowvar=False), rtol=1e-13)
    assert main(["merge", str(tmp_path / "all.npz"), *parts]) == 1
    np.savez(tmp_path / "foreign.npz", mu=np.zeros(5), sigma=np.eye(5))
    assert main(["merge", str(tmp_path / "x"), parts[0], str(tmp_path / "foreign.npz")]) == 1
    assert "foreign.npz cannot be merged: it has no n" in capsys.readouterr().err
    assert not (tmp_path / "x.npz").exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 2),
        (["one"], 2),
        (["a", "b", "--no-such-flag"], 2),
        (["a", "b", "--method", "magic"], 2),
        (["no-such-folder", "no-such-folder"], 1),
        (["models"], 2),
        (["models", "path", "no-such-model"], 1),
        (["merge", "out"], 2),
        (["demo", "--images", "1"], 2),
        (["demo", "--out", "curves.png"], 2),
        (["a", "b", "--mode", "cubist"], 2),
        (["a", "b", "--device", "gpu"], 2),
        (["a", "b", "--batch-size", "0"], 2),
        (["a", "b", "--limit", "1"], 2),
        (["a", "b", "--num-workers", "-1"], 2),
        (["a", "b", "--precision", "fp8"], 2),
        (["a", "b", "--bootstrap", "20", "--seed", "-1"], 2),
        (["a", "b", "--bootstrap", "5"], 2),
        (["a", "b", "--metrics", "fid,"], 2),
        (["a", "b", "--engine", "spark"], 2),
        (["a", "b", "--device", "cuda:0,gpu"], 2),
        (["", "b"], 1),
    ],
)
def test_exit_codes(arguments, code, capsys):
    try:
        got = main(arguments)
    except SystemExit as exit_:  # argparse's way out
        got = exit_.code
    assert got == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err


def test_a_folder_named_like_a_command(sets, tmp_path, monkeypatch, capsys):
    folder(tmp_path / "demo", pictures(6, high=128))
    monkeypatch.chdir(tmp_path)
    assert main(["./demo", sets[1], *MODEL]) == 0
    assert capsys.readouterr().out.startswith("FID:  ")


def test_differences_from_pytorch_fid_that_change_n_are_told(sets, tmp_path, capsys):
    path = folder(tmp_path / "set", pictures(4))
    folder(path / "sub", pictures(3))
    (path / "000.png").rename(path / "000.PNG")
    assert main([str(path), sets[1], *MODEL]) == 0
    notes = [line for line in capsys.readouterr().err.splitlines() if "note" in line and "pytorch-fid" in line]
    assert len(notes) == 1
    assert re.search(r"\b3\b.*subfolder", notes[0])
    assert main([str(path), sets[1], *MODEL, "--no-recursive", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["a"]["n"] == 4


def test_ctrl_c_is_no_traceback(sets, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("fastfid.compare", interrupt)
    assert main([*sets, *MODEL]) == 130
    assert capsys.readouterr().err == "fastfid: interrupted\n"


def test_models_list_and_export(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("FASTFID_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    assert main(["models", "list"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^inception-v3 +SHA-256 6726825d0af5.*not on this machine", out, re.MULTILINE)
    assert re.search(r"^inception-v3-random .*built in", out, re.MULTILINE)
    assert main(["models", "path", "inception-v3"]) == 1
    target = tmp_path / "r.onnx"
    assert main(["models", "export", "inception-v3-random", str(target), "--dims", "64"]) == 0
    exported, plain = (fastfid.Extractor(model, dims=64) for model in (target, "inception-v3-random"))
    np.testing.assert_array_equal(exported(pictures(2)), plain(pictures(2)))
    assert exported.provenance.sha256 == plain.provenance.sha256
    assert main(["models", "export", "inception-v3-random", str(target), "--dims", "64"]) == 1


def test_no_weights_and_no_network(sets, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FASTFID_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # a port that nobody listens on
    assert main(list(sets)) == 1
    err = capsys.readouterr().err
    for way_out in ("https://github.com/mseitzer/pytorch-fid/releases/", str(tmp_path / "home"), "--model", "hub"):
        assert way_out in err


def test_demo(tmp_path, capsys):
    assert main(["demo", "--images", "4", "--out", str(tmp_path / "curves.svg")]) == 0
    out = capsys.readouterr().out
    rows = {line.split()[0]: [float(v) for v in line.split()[1:]] for line in out.splitlines()[3:6]}
    assert set(rows) == {"noise", "blur", "occlusion"}
    for scores in rows.values():
        assert scores == sorted(scores)
        assert scores[0] == 0
    assert "not comparable with published FIDs" in out
    assert "fastfid models fetch" in out
    drawn = ET.parse(tmp_path / "curves.svg").getroot()
    assert len([e for e in drawn if e.tag.endswith("polyline")]) == 3


def test_curves_reach_from_the_axis_to_the_top():
    root = ET.fromstring(draw_curves({"noise": [0, 1, 2, 4], "blur": [0, 0, 0, 0], "occlusion": [0, 1, 1, 1]}))
    points = [e.attrib["points"].split() for e in root if e.tag.endswith("polyline")]
    assert [p.split(",")[1] for p in points[0]] == ["252.0", "195.0", "138.0", "24.0"]
    assert {p.split(",")[1] for p in points[1]} == {"252.0"}


@pytest.mark.parametrize("command", [[], ["fdr"], ["reference"]])
def test_the_help_names_every_kind_of_input(capsys, command):
    with pytest.raises(SystemExit):
        main([*command, "--help"])
    said = " ".join(capsys.readouterr().out.split())
    for kind in ("a folder", ".tar.gz", ".parquet", ".csv list of paths", "a pattern or an address"):
        assert kind in said
