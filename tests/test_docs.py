"""What the documentation shows is run: README blocks, docstring examples, the promises of the import."""

import doctest
import importlib
import pkgutil
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import fastfid
from fastfid import models
from fastfid.cli import main
from pictures import folder, pictures

README = Path(__file__).parents[1] / "README.md"
MODULES = sorted(
    m.name for m in pkgutil.walk_packages(fastfid.__path__, "fastfid.") if not re.search("__main__|openblas", m.name)
)

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """A folder with two sets, where the official weights are the built-in ones and nothing is downloaded."""
    folder(tmp_path / "generated", pictures(3))
    folder(tmp_path / "real", pictures(3, seed=1))
    load = models.load
    monkeypatch.setattr(models, "load", lambda model, **options: load("inception-v3-random", **options))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_python_blocks_of_the_readme_run(offline):
    scope = {}
    for block in blocks("python"):
        exec(compile(block, str(README), "exec"), scope)
    assert scope["fid"] > 0
    assert scope["evaluate"]([pictures(3)]) > 0


def test_the_commands_of_the_readme_run(offline, capsys):
    fastfid.Statistics(3).update([[0, 1, 2], [3, 4, 4.5]]).save("shard0.npz")
    fastfid.Statistics(3).update([[0, 1, 2], [3, 4, 4.5]]).save("shard1.npz")
    lines = [line.partition("#")[0] for block in blocks("sh") for line in block.splitlines()]
    commands = [line for line in lines if line.startswith("fastfid") and "fetch" not in line and "path" not in line]
    assert len(commands) >= 5
    for command in commands:
        assert main(shlex.split(command)[1:]) == 0, command
    assert capsys.readouterr().out.count("FID:  ") == 2


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE).failed == 0


def test_every_public_name_has_a_docstring():
    for name in fastfid.__all__:
        if name != "__version__":
            assert getattr(fastfid, name).__doc__, name


def test_the_import_is_light():
    code = "import sys, fastfid; print([m for m in ('onnxruntime', 'onnx', 'PIL', 'tqdm') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
