"""Histories: concurrent appenders, damaged lines, what stops being comparable, the table, the picture, the command."""

import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import UTC, datetime
from math import inf, nan
from pathlib import Path

import numpy as np
import pytest

import fastfid
from fastfid import history_table
from fastfid.against import Against
from fastfid.cli.main import main
from fastfid.files.appending import append
from fastfid.history import check_history, line_of
from fastfid.history_entry import MINUS_BASELINE, Entry
from fastfid.history_picture import picture
from fastfid.provenance import Provenance
from pictures import folder, pictures
from stand_in import stand_in

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")
TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MADE = Provenance("inception-v3", "0" * 64, "pytorch", 5)


@pytest.fixture(scope="module")
def result():
    x, y = np.random.RandomState(0).standard_normal((2, 200, 5))
    return fastfid.compare(x + 1, y, features=True, metrics=["fid", "prdc"], certainty=True)


def entry(comparison, gate=None, note="", time=TIME):
    return Entry.of(line_of(comparison, gate, note, time))


def test_a_line_holds_the_run(result):
    result = replace(result, provenance=MADE)
    gate = fastfid.gate(result, ["fid > 0", "fid.corrected > 1e6"])
    found = entry(result, gate, "night 1")
    assert (found.time, found.note, found.verdict, found.n) == (TIME, "night 1", "failed", (200, 200))
    assert found.metrics["fid"] == result.fid
    assert found.metrics["fid.low"] == result.certainty.low
    assert found.metrics["prdc.recall"] == result.scores["prdc"].parts["recall"]
    assert found.line["citation"] == result.citation
    assert found.line["provenance"]["mode"] == "pytorch"
    assert [check["verdict"] for check in found.line["gate"]["checks"]] == ["failed", "passed"]


def test_what_is_no_finite_number_is_none(result):
    found = entry(replace(result, scores={"own": fastfid.Score(nan, {"most": inf})}))
    assert found.metrics == {"own": None, "own.most": None}


def test_lines_that_are_damaged_are_named_and_the_others_read(result, tmp_path):
    path = tmp_path / "h.jsonl"
    good = line_of(result, None, "good", TIME)
    plain = json.loads(good)
    bad = [
        good[:50],
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"format": 1}',
        b"[" * 10_000,
        json.dumps({**plain, "format": 2}).encode(),
        json.dumps({**plain, "time": "yesterday"}).encode(),
        json.dumps({**plain, "metrics": {"fid": "1"}}).encode(),
        json.dumps({**plain, "metrics": {"fid": nan}}).encode(),
        json.dumps({**plain, "metrics": {"fid": True}}).encode(),
        json.dumps({**plain, "a": {"n": "5"}}).encode(),
        json.dumps({**plain, "gate": "x"}).encode(),
        json.dumps({**plain, "provenance": [1]}).encode(),
        b'{"format": 1, "note": "' + b"x" * (3 << 20) + b'"}',
    ]
    path.write_bytes(b"\n".join([good.strip(), *bad, b"", good.strip(), good[:-20]]))
    found = fastfid.History.load(path)
    assert [one.note for one in found.entries] == ["good"] * 2
    assert [int(text.split("line ")[1].split(":")[0]) for text in found.skipped] == [*range(2, 2 + len(bad)), 19]
    assert "it is damaged or cut short" in found.skipped[0]
    assert "it was written by a newer fastfid" in found.skipped[6]
    assert "it has more than 1,048,576 bytes" in found.skipped[len(bad) - 1]
    assert "19: not read: it is damaged or cut short" in found.skipped[-1]


@pytest.mark.parametrize("left", [3, 12, 25, 200])
def test_a_first_line_that_was_cut_is_still_a_history(result, tmp_path, left):
    path, whole = tmp_path / "h.jsonl", line_of(result, None, "a", TIME)
    path.write_bytes(whole[:left])
    fastfid.History.record(path, result, note="b")
    assert [one.note for one in fastfid.History.load(path).entries] == ["b"]
    path.write_bytes(json.dumps(json.loads(whole), sort_keys=True).encode() + b"\n")  # as another program writes it
    fastfid.History.record(path, result, note="b")
    assert [one.note for one in fastfid.History.load(path).entries] == ["a", "b"]


def test_only_a_few_lines_that_cannot_be_read_are_told(result, tmp_path, capsys):
    path = tmp_path / "h.jsonl"
    path.write_bytes(line_of(result, None, "a", TIME) + b"{x\n" * 20)
    assert main(["history", str(path)]) == 0
    assert capsys.readouterr().err.count("warning: ") == 6


def test_a_line_after_one_that_was_cut(result, tmp_path):
    path = tmp_path / "h.jsonl"
    whole = line_of(result, None, "a", TIME)
    path.write_bytes(whole + whole[:100])
    fastfid.History.record(path, result, note="b")
    found = fastfid.History.load(path)
    assert [one.note for one in found.entries] == ["a", "b"]
    assert len(found.skipped) == 1
    assert path.read_bytes().count(b"\n") == 3


def test_many_processes_append(tmp_path):
    path = tmp_path / "h.jsonl"
    code = (
        "import sys; from fastfid.files.appending import append\n"
        "for i in range(8): append(sys.argv[1], (f'{{ {sys.argv[2]} {i} ' + 'x' * 5000).encode() + b'\\n', ours=bool)"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(path), str(number)]) for number in range(2)]
    assert [one.wait() for one in running] == [0] * 2
    lines = [line.split(" ") for line in path.read_text().splitlines()]
    assert sorted((int(number), int(i)) for _, number, i, _ in lines) == [(n, i) for n in range(2) for i in range(8)]
    assert {text for *_, text in lines} == {"x" * 5000}
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_followed_and_a_check_leaves_nothing(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "h.jsonl")
    append(tmp_path / "link", ours=bool)
    assert not (tmp_path / "h.jsonl").exists()
    append(tmp_path / "link", b"{a\n", ours=bool)
    append(tmp_path / "link", b"{b\n", ours=bool)
    assert (tmp_path / "h.jsonl").read_bytes() == b"{a\n{b\n"
    append(tmp_path / "h.jsonl", ours=bool)
    assert (tmp_path / "h.jsonl").read_bytes() == b"{a\n{b\n"


def test_what_cannot_be_appended_to(result, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "text").write_text("no history")
    (tmp_path / "other.jsonl").write_text('{"step": 1, "loss": 0.5}\n')
    for path, said in (
        ("fifo", "not a regular file"),
        ("text", "it is there and is no history of fastfid"),
        ("other.jsonl", "it is there and is no history of fastfid"),
        (".", "not a regular file"),
        ("no/h", "does not exist"),
    ):
        with pytest.raises(fastfid.InputError, match=rf"cannot append to .*{said}"):
            check_history(tmp_path / path)
    for path in ("", 5, None):
        with pytest.raises(fastfid.InputError, match="a history is the path of a file"):
            fastfid.History.record(path, result)
    for note in (5, "x" * 1001):
        with pytest.raises(fastfid.InputError, match="a note is a text of at most 1000 characters"):
            fastfid.History.record(tmp_path / "h", result, note=note)
    with pytest.raises(fastfid.InputError, match="cannot read .*fifo: it is a FIFO"):
        fastfid.History.load(tmp_path / "fifo")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, []),
        ({"mode": "clean"}, ["mode pytorch to clean"]),
        ({"sha256": "1" * 64, "model": "own"}, ["model inception-v3 (000000000000) to own (111111111111)"]),
        ({"dims": 64, "precision": "fp16"}, ["dims 5 to 64", "precision fp32 to fp16"]),
        ({"device": "cuda:0", "batch_size": 3}, []),
    ],
)
def test_what_makes_runs_incomparable(result, change, said):
    before, after = (entry(replace(result, provenance=made)) for made in (MADE, replace(MADE, **change)))
    assert after.changes(before) == said


def test_other_sides_and_conventions_are_not_comparable(result):
    def changes(**facts):
        return entry(replace(result, **facts)).changes(entry(result))

    assert changes(b=replace(result.b, n=100)) == ["images 200 and 200 to 200 and 100"]
    assert changes(b=replace(result.b, n=199)) == []  # a few that were left out
    assert changes(a=replace(result.a, name="other")) == []
    assert changes(b=replace(result.b, name="other")) == []  # the same images
    assert changes(b=replace(result.b, name="other", identity=None))[0].endswith(" to other")
    assert changes(method="schur") == ["method auto to schur"]
    scores = {**result.scores, "prdc": replace(result.scores["prdc"], convention="adm")}
    assert changes(scores=scores) == ["convention of prdc prdc to adm"]


# The real side


def sides(x, y, **facts):
    return replace(fastfid.compare(x, y, features=True), **facts)


def test_the_real_side_is_known_by_its_features():
    x, y, z = np.random.RandomState(0).standard_normal((3, 200, 5))
    first = sides(x, y)

    def changes(other, made=None, **identity):
        found = sides(x, other)
        named = replace(found.b, name=first.b.name, identity=replace(found.b.identity, **identity))
        return entry(replace(found, b=named, provenance=made)).changes(entry(replace(first, provenance=MADE)))

    name = first.b.name
    assert changes(y, MADE) == changes(y * (1 + 1e-6), MADE) == []
    assert changes(z, MADE) == [f"real side: other images under the name {name}"]
    assert changes(y, replace(MADE, mode="clean"))[1:] == []  # other features of what may be the same images
    assert changes(z, replace(MADE, mode="clean"))[1:] == []


def test_the_real_side_is_known_by_its_images_wherever_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stand_in("own.onnx")
    for name, seed in (("real", 0), ("a", 1)):
        folder(tmp_path / name, pictures(40, 8, seed))
    main(["--save-stats", "real", "real.npz", "--model", "own.onnx", "--quiet"])
    shutil.make_archive("zipped", "zip", "real")

    def run(real, *flags):
        assert main(["a", real, "--model", "own.onnx", "--quiet", "--append", "h.jsonl", *flags]) == 0

    for real in ("real", "./real", str(tmp_path / "real"), "real/../real", "zipped.zip", "real.npz"):
        run(real)
    found = fastfid.History.load("h.jsonl")
    assert [len(part) for _, part in history_table.parts(found.entries)] == [6]
    assert found.by_name == 0
    shutil.rmtree("real")
    folder(tmp_path / "real", pictures(40, 8, 7))
    run("real")
    changes = [changes for changes, _ in history_table.parts(fastfid.History.load("h.jsonl").entries)]
    assert changes == [[], ["real side real.npz to real"]]
    shutil.rmtree("real")
    folder(tmp_path / "real", pictures(40, 8, 8))
    run("real")
    (last, _) = [*history_table.parts(fastfid.History.load("h.jsonl").entries)][-1]
    assert last == ["real side: other images under the name real"]


def test_lines_without_an_identity_are_told_apart_by_name(result, tmp_path, capsys):
    def old(name):
        line = json.loads(line_of(replace(result, b=replace(result.b, name=name)), None, name, TIME))
        del line["b"]["identity"]
        return json.dumps(line).encode()

    path = tmp_path / "h.jsonl"
    path.write_bytes(b"\n".join([old("R"), old("./R"), old("other"), line_of(result, None, "new", TIME)]))
    found = fastfid.History.load(path)
    assert [len(part) for _, part in history_table.parts(found.entries)] == [2, 1, 1]
    assert found.by_name == 3
    assert main(["history", str(path)]) == 0
    out, err = capsys.readouterr()
    assert "| not comparable with the above: real side ./R to other |" in out
    assert "note: 3 of 4 runs do not say which images the real side had" in err


def test_a_damaged_identity_is_a_damaged_line(result):
    line = json.loads(line_of(result, None, "", TIME))
    for wrong in ({"images": 5}, {"mean": "1"}, {"mean": True}, {"mean": nan}, {"more": 1}, [1], "x", 5):
        line["b"]["identity"] = wrong
        with pytest.raises((TypeError, ValueError)):
            Entry.of(json.dumps(line).encode())


def test_what_is_too_large_for_a_float_has_no_identity():
    x = np.random.RandomState(0).standard_normal((50, 3))
    with np.errstate(over="ignore"):
        found = fastfid.compare(x, x[::-1] * 1e120, features=True)
    assert json.dumps(found.b.as_dict(), allow_nan=False)


# The baseline, and classes


def test_the_difference_to_a_baseline_is_in_the_table(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.RandomState(0)
    for name, shift in (("real", 0), ("a", 1), ("b", 0.5)):
        np.save(f"{name}.npy", rng.standard_normal((50, 4)) + shift)
    for baseline in (["--baseline", "b.npy"], []):
        main(["a.npy", "real.npy", "--features", "--append", "h.jsonl", *baseline])
    first, second = fastfid.History.load("h.jsonl").entries
    made = fastfid.compare("a.npy", "real.npy", features=True, baseline="b.npy").baseline
    assert first.metrics[MINUS_BASELINE] == made.difference
    assert first.metrics[f"{MINUS_BASELINE}.standard_error"] == made.standard_error
    assert MINUS_BASELINE not in second.metrics
    capsys.readouterr()
    assert main(["history", "h.jsonl", "--plot", "h.svg", "--metric", MINUS_BASELINE]) == 0
    header, _, one, two = capsys.readouterr().out.splitlines()
    assert "| fid | fid.minus_baseline | gate | course of fid.minus_baseline |" in header
    cells = [[cell.strip() for cell in row.split("|")] for row in (one, two)]
    assert cells[0][5] == f"+{made.difference:.2f} ± {made.standard_error:.2f} to b.npy"
    assert cells[1][5] == ""
    assert "Course of fid.minus_baseline in 1 runs" in Path("h.svg").read_text()


def test_a_difference_with_its_bias_is_shown_as_such(result):
    unknown = Against("other", 9, result.fid - 0.25, False, reason="why")
    found = entry(replace(result, baseline=unknown))
    assert found.metrics[MINUS_BASELINE] == pytest.approx(0.25)
    assert "| +0.25, bias included, to other |" in [*history_table.table(fastfid.History((found,)), "fid")][-1]


def test_scores_of_classes_are_in_the_line(result):
    scores = {
        name: {key: replace(score, value=value) for key, score in result.scores.items()}
        for name, value in (("a cat", 1.0), ("dog", 4.0))
    }
    found = entry(replace(result, classes=scores))
    assert {name: value for name, value in found.metrics.items() if name.startswith("classes/")} == {
        **{f"classes/a_cat/{key}": 1.0 for key in ("fid", "prdc")},
        **{f"classes/dog/{key}": 4.0 for key in ("fid", "prdc")},
        **{f"classes/mean/{key}": 2.5 for key in ("fid", "prdc")},
        "classes/worst/fid": 4.0,
        "classes/worst/prdc": 1.0,
    }
    assert next(history_table.table(fastfid.History((found,)), "classes/worst/fid")).count("classes/worst/fid") == 2
    many = entry(replace(result, classes={f"{i:0100}": scores["dog"] for i in range(5000)}))
    assert many.metrics["classes/mean/fid"] == 4.0
    assert len(many.metrics) < 100


@pytest.fixture
def history(result):
    made = [replace(result, provenance=MADE)] * 2 + [replace(result, provenance=replace(MADE, mode="clean"))]
    gates = [None, fastfid.gate(result, "fid > 0"), fastfid.gate(result, f"fid > {result.fid!r}")]
    notes = ("a|b", "\x1b[2J<b>", "")
    return fastfid.History(tuple(map(entry, made, gates, notes)))


def test_the_table(history, result):
    header, line, *rows = history_table.table(history, history_table.number_of(history))
    assert header == "| time (UTC) | note | images | fid | prdc | gate | course of fid |"
    cells = header.count("|")
    assert [row.replace("\\|", "").count("|") for row in [line, *rows]] == [cells] * 5
    assert rows[2].startswith("| not comparable with the above: mode pytorch to clean |")
    error = result.certainty.standard_error
    assert f"| {result.fid:.2f} ± {error:.2f} |" in rows[0] or f"| {result.fid:.3f} ± {error:.3f} |" in rows[0]
    assert "\x1b" not in "".join(rows)
    assert [row.split("|")[-3].strip() for row in (rows[1], rows[3])] == ["failed", "inconclusive"]
    strip = rows[0].split("|")[-2].strip()
    assert (strip[0], strip[-1], strip.count("o"), len(strip)) == ("-", "-", 1, 24)


def test_the_number_to_show(history):
    assert history_table.number_of(history, "prdc.recall") == "prdc.recall"
    assert next(history_table.table(history, "fid.low")).endswith("| fid | prdc | fid.low | gate | course of fid.low |")
    with pytest.raises(fastfid.InputError, match="none of the runs has kid; they have fid, fid.mean_term"):
        history_table.number_of(history, "kid")


def test_the_picture(history):
    root = ET.fromstring(picture(history, "fid"))
    tags = [element.tag.split("}")[1] for element in root.iter()]
    assert root[0].text == "Course of fid in 3 runs, the newest at the right"
    assert (tags.count("circle"), tags.count("rect"), tags.count("polyline")) == (2, 2, 2)  # one is the background
    assert sum("stroke-dasharray" in element.attrib for element in root.iter()) == 1
    titles = [element.text for element in root.iter() if element.tag.endswith("title")]
    assert any("mode pytorch to clean" in title for title in titles)
    assert any(title.endswith("failed; \ufffd[2J<b>") for title in titles)


@pytest.mark.parametrize("value", [0.0, 5.0, -1e300])
def test_a_picture_of_one_run(result, value):
    one = entry(replace(result, scores={"own": fastfid.Score(value)}))
    assert ET.fromstring(picture(fastfid.History((one,)), "own")) is not None
    assert next(iter(history_table.parts([one]))) == ([], [one])


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.RandomState(0)
    for name, shift in (("real", 0), ("a", 1), ("b", 2)):
        np.save(f"{name}.npy", rng.standard_normal((50, 4)) + shift)
    for name in "ab":
        keep = ["--append", "h.jsonl", "--note", f"run {name}", "--fail-above", "8"]
        main([f"{name}.npy", "real.npy", "--features", *keep])
    with Path("h.jsonl").open("a") as file:
        file.write("cut short")
    capsys.readouterr()
    assert main(["history", "h.jsonl", "--plot", "h.svg"]) == 0
    out, err = capsys.readouterr()
    assert [row.split("|")[2].strip() for row in out.splitlines()[2:]] == ["run a", "run b"]
    assert [row.split("|")[-3].strip() for row in out.splitlines()[2:]] == ["passed", "failed"]
    assert "fastfid: warning: h.jsonl, line 3: not read: it is damaged or cut short" in err
    ET.parse("h.svg")
    assert main(["history", "h.jsonl", "--last", "1", "--json"]) == 0
    (line,) = json.loads(capsys.readouterr().out)
    assert (line["note"], line["b"]["name"]) == ("run b", "real.npy")


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (["missing.jsonl"], 1, "cannot read missing.jsonl"),
        (["empty.jsonl"], 1, "empty.jsonl has no runs"),
        (["other.npz"], 1, "error: cannot read other.npz: it is no history of fastfid: no line of it is a run"),
        (["newer.jsonl"], 1, "error: cannot read newer.jsonl: it was written by a newer fastfid"),
        (["empty.jsonl", "--plot", "h.png"], 2, "--plot draws an .svg"),
        (["empty.jsonl", "--plot", "no/h.svg"], 1, "cannot write no/h.svg"),
        (["empty.jsonl", "--last", "0"], 2, "last must be at least 1"),
    ],
)
def test_wrong_usage(tmp_path, monkeypatch, capsys, flags, code, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.jsonl").touch()
    np.savez("other.npz", mu=np.random.RandomState(0).standard_normal(5000))
    Path("newer.jsonl").write_text('{"format": 2, "time": "x"}\n' * 3)
    try:
        found = main(["history", *flags])
    except SystemExit as exit_:
        found = exit_.code
    assert found == code
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") <= 4
