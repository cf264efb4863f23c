"""FDr: the table of several networks, through Python and the command line."""

import json

import numpy as np
import pytest

import fastfid
from fastfid.cli.main import main
from pictures import folder, pictures
from test_protocols import write_network

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")
MODES = {"box": "size=8 resize=box", "bicubic": "size=16 resize=torch-bicubic mean=0.5 std=0.5"}


@pytest.fixture
def sets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "generated", pictures(5))
    folder(tmp_path / "real", pictures(6, seed=1))
    for name, mode in MODES.items():
        write_network(tmp_path / f"{name}.onnx", int(mode.split()[0][5:]), 7, mode=mode)
    return "generated", "real"


def test_is_the_mean_of_the_ratios(sets):
    result = fastfid.fdr(*sets, {"box.onnx": 2, "bicubic.onnx": 0.5})
    by_hand = [fastfid.score(*sets, model=f"{name}.onnx") for name in MODES]
    assert [each.fd for each in result.ratios] == by_hand
    assert [each.ratio for each in result.ratios] == [by_hand[0] / 2, by_hand[1] / 0.5]
    assert result.mean == pytest.approx(np.mean([by_hand[0] / 2, by_hand[1] / 0.5]), rel=1e-15)
    assert [each.mode for each in result.ratios] == [str(fastfid.Preprocessing.parse(mode)) for mode in MODES.values()]
    assert (result.a.n, result.b.n) == (5, 6)


def test_the_command_prints_a_table(sets, capsys):
    command = ["fdr", *sets, "--network", "box.onnx=2", "--network", "bicubic.onnx=.5", "--quiet", "--limit", "5"]
    assert main(command) == 0
    header, line, *rows, mean, citation = capsys.readouterr().out.splitlines()
    assert header == "| network | preprocessing | dims | FD | divisor | ratio |"
    assert line == "| --- | --- | ---: | ---: | ---: | ---: |"
    assert len(rows) == 2
    result = fastfid.fdr(*sets, {"box.onnx": 2, "bicubic.onnx": 0.5}, limit=5)
    for row, each in zip(rows, result.ratios, strict=True):
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[:3] == [each.network, each.mode, "7"]
        assert [float(cell) for cell in cells[3:]] == pytest.approx([each.fd, each.divisor, each.ratio], rel=1e-5)
    assert mean == f"| mean |  |  |  |  | {result.mean:.6g} |"
    assert citation == result.citation
    assert "n 5 and 5" in citation
    assert all(each.sha256[:12] in citation for each in result.ratios)
    assert main([*command, "--json"]) == 0
    as_json = json.loads(capsys.readouterr().out)
    assert as_json["fdr"] == result.mean
    assert [each["ratio"] for each in as_json["networks"]] == [each.ratio for each in result.ratios]


def test_every_file_is_checked_before_the_first_network_runs(sets, tmp_path):
    for path in (tmp_path / "generated").iterdir():
        path.write_bytes(b"no image")
    write_network(tmp_path / "silent.onnx", 8, 7)
    with pytest.raises(fastfid.ModelError, match=r"silent.onnx does not state its preprocessing: fastfid models"):
        fastfid.fdr(*sets, {"box.onnx": 1, "silent.onnx": 1})
    with pytest.raises(fastfid.ModelError, match="neither a file nor a model of the registry"):
        fastfid.fdr(*sets, {"box.onnx": 1, "missing.onnx": 1})
    with pytest.raises(fastfid.ImageError):
        fastfid.fdr(*sets, {"box.onnx": 1})


@pytest.mark.parametrize("divisor", [0, -1, float("nan"), float("inf"), "x", None, True])
def test_a_divisor_that_cannot_divide(sets, divisor):
    with pytest.raises(fastfid.InputError, match="a divisor must be a number above 0"):
        fastfid.fdr(*sets, {"box.onnx": divisor})


@pytest.mark.parametrize("networks", [{}, [], None, "box.onnx"])
def test_networks_are_a_mapping(sets, networks):
    with pytest.raises(fastfid.InputError, match="networks must map each network to its divisor"):
        fastfid.fdr(*sets, networks)


@pytest.mark.parametrize("option", ["mode", "dims", "metrics", "protocol", "model"])
def test_what_each_network_has_itself(sets, option):
    with pytest.raises(fastfid.InputError, match=f"fdr does not take {option}"):
        fastfid.fdr(*sets, {"box.onnx": 1}, **{option: 5})


def test_a_side_that_can_be_read_once(sets):
    with pytest.raises(fastfid.InputError, match="give a list instead of an iterator"):
        fastfid.fdr(iter(pictures(4)), "real", {"box.onnx": 1})


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["box.onnx"], "'box.onnx' is not NAME=DIVISOR"),
        (["box.onnx=big"], "a divisor must be a number above 0, got 'big'"),
        (["=2"], "'=2' is not NAME=DIVISOR"),
        ([], "required: --network"),
    ],
)
def test_typing_errors(sets, typed, message, capsys):
    with pytest.raises(SystemExit):
        main(["fdr", *sets, *(word for name in typed for word in ("--network", name))])
    assert message in capsys.readouterr().err


def test_a_network_named_twice(sets, capsys):
    assert main(["fdr", *sets, "--network", "box.onnx=1", "--network", "box.onnx=2"]) == 2
    assert "names a network twice" in capsys.readouterr().err


def test_warnings_can_be_silenced(sets, capsys):
    assert main(["fdr", *sets, "--network", "box.onnx=1", "--quiet", "--silence", "few-images"]) == 0
    assert "few-images" not in capsys.readouterr().err


def test_names_are_escaped_for_the_table(sets, tmp_path):
    write_network(tmp_path / "a|b.onnx", 8, 7, mode=MODES["box"])
    row = fastfid.fdr(*sets, {"a|b.onnx": 1}).table().splitlines()[2]
    assert row.startswith(r"| a\|b.onnx | size=8")


def test_statistics_on_both_sides_need_no_network(sets):
    saved = fastfid.statistics(sets[0], model="box.onnx")
    path = fastfid.statistics(sets[1], model="box.onnx").save("real.npz")
    with pytest.raises(fastfid.InputError, match="FDr needs images on a side"):
        fastfid.fdr(saved, path, {"box.onnx": 2})
