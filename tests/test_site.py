"""The pages that only the site has: the reference has every name, and the blocks of its tutorials run."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from scipy import linalg

import fastfid
from fastfid.cli.main import main
from test_docs import README, blocks, offline  # noqa: F401 - a fixture

DOCS = README.parent / "docs"
FIRST = DOCS / "first-fid.md"
SQRTM = DOCS / "sqrtm-disp.md"

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")


def test_the_reference_has_every_public_name_once():
    text = "".join(page.read_text() for page in sorted(DOCS.glob("reference/*.md")))
    names = re.findall(r"^(?:   |\.\. py:data:: fastfid\.)(\w+)$", text, re.MULTILINE)
    assert sorted(names) == sorted(fastfid.__all__)


def test_the_first_fid(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    draw, compare = blocks("python", FIRST)
    exec(compile(draw.replace("range(300)", "range(193)"), str(FIRST), "exec"), {})
    plain, certain = (block.splitlines() for block in blocks("console", FIRST))
    assert main(shlex.split(certain[0])[2:]) == 0
    assert certain[0] == f"{plain[0]} --certainty"
    printed = capsys.readouterr()
    note, *rest = [shape(line) for line in (printed.err + printed.out).splitlines()]
    assert [note, *rest] == [shape(line) for line in certain[1:]]
    assert [note, rest[-1]] == [shape(line) for line in plain[1:]]
    for path in [*Path("real").iterdir(), *Path("generated").iterdir()]:
        if path.stem > "003":
            path.unlink()
    scope = {}
    exec(compile(compare, str(FIRST), "exec"), scope)
    assert scope["result"].a.n == 4


def shape(line):
    """A line without its numbers, which depend on the images and on the kind of machine."""
    return re.sub(r"\d[\d.e-]*", "#", line)


def test_the_commands_of_the_site_run(offline, capsys):  # noqa: F811
    text = "".join(block for page in (FIRST, SQRTM) for block in blocks("sh", page))
    commands = [line.partition("#")[0].strip() for line in text.splitlines() if line.startswith("fastfid")]
    for folder in ("generated", "real"):
        for path in sorted((offline / folder).iterdir())[3:]:
            path.unlink()
    assert len(commands) == 5
    for command in dict.fromkeys(commands):
        assert main(shlex.split(command)[1:]) == 0, command
    assert len(re.findall("^FID:  ", capsys.readouterr().out, re.MULTILINE)) == 3


def test_what_replaces_the_line_that_scipy_stops_at():
    rows = np.random.RandomState(0).standard_normal((2, 50, 4))
    (mu1, mu2), (sigma1, sigma2) = rows.mean(axis=1), (np.cov(side, rowvar=False) for side in rows)
    scope = {"fastfid": fastfid, "linalg": linalg, "mu1": mu1, "mu2": mu2, "sigma1": sigma1, "sigma2": sigma2}
    for block in blocks("python", SQRTM):
        exec(block, scope)
    theirs = np.sum((mu1 - mu2) ** 2) + np.trace(sigma1 + sigma2 - 2 * scope["covmean"])
    assert scope["fid"] == pytest.approx(theirs, rel=1e-9)


def test_the_site_begins_with_the_command_of_the_readme():
    assert blocks("sh", DOCS / "index.md")[0] in blocks("sh")
