"""The cache of graphs: built once, built again if damaged, and no error if it cannot be written."""

import pytest

from fastfid import networks
from fastfid.errors import ModelError
from fastfid.networks.graph_cache import cached


class Builder:
    def __init__(self, graph=b"a graph"):
        self.graph, self.count = graph, 0

    def __call__(self):
        self.count += 1
        return self.graph


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTFID_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_built_once(home):
    build = Builder()
    assert [cached(build, "sha", "2048") for _ in range(3)] == [b"a graph"] * 3
    assert build.count == 1
    assert len(list((home / "graphs").iterdir())) == 1


def test_another_identity_is_another_graph(home):
    build = Builder()
    for identity in (("a", "bc"), ("ab", "c"), ("a", "b", "c"), ("a",)):
        cached(build, *identity)
    assert build.count == 4


@pytest.mark.parametrize(
    "damage", [lambda c: c[:-1], lambda c: c + b"x", lambda c: b"", lambda c: c[:40] + b"?" + c[41:]]
)
def test_a_damaged_file_is_built_again(home, damage):
    build = Builder(b"a graph" * 10)
    cached(build, "sha")
    (path,) = (home / "graphs").iterdir()
    path.write_bytes(damage(path.read_bytes()))
    assert cached(build, "sha") == b"a graph" * 10
    assert build.count == 2
    cached(build, "sha")
    assert build.count == 2


def test_a_cache_that_cannot_be_written(home):
    home.write_text("a file where the folder should be")
    build = Builder()
    assert [cached(build, "sha") for _ in range(2)] == [b"a graph"] * 2
    assert build.count == 2


def test_no_home_folder(monkeypatch):
    for name in ("FASTFID_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def unknown(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("pathlib.Path.expanduser", unknown)
    assert cached(Builder(), "sha") == b"a graph"
    with pytest.raises(ModelError, match="no home folder is known; set FASTFID_HOME"):
        networks.find("inception-v3")


def test_a_model_is_the_same_from_the_cache(home, monkeypatch):
    first = networks.load("inception-v3-random", dims=64)
    monkeypatch.setattr("fastfid.networks.random.random_weights", lambda: pytest.fail("built again"))
    assert networks.load("inception-v3-random", dims=64) == first
    assert networks.load("inception-v3-random", dims=64, mode="clean").onnx == first.onnx
