"""`shard` and `merge`: parts in any order, of any number, give the bits of one run."""

import json
import random
import shutil
import subprocess
import sys
import warnings
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastfid
from fastfid import InputError
from fastfid.cli.main import main
from fastfid.sources import pieces
from pictures import folder, pictures
from stand_in import stand_in

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")
PIECE = 20
METRICS = ("fid", "kid", "vendi")


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setitem(pieces.__kwdefaults__, "size", PIECE)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return str(stand_in(tmp_path_factory.mktemp("network") / "own.onnx"))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return folder(tmp_path_factory.mktemp("images") / "set", pictures(110, 16))


def bytes_of(fit, path):
    return fastfid.save(fit, path).read_bytes()


@cache
def opened(network):
    return fastfid.Extractor(network)


@cache
def whole(images, network):
    """What one run gives; it is called in tests, where the pieces are small."""
    return fastfid.fit(images, model=opened(network), metrics=METRICS)


@settings(max_examples=20, deadline=None)
@given(of=st.integers(1, 8), seed=st.integers(0, 1000), data=st.data())
def test_parts_in_any_order(network, images, tmp_path_factory, of, seed, data):
    root, wanted, options = (
        tmp_path_factory.mktemp("parts"),
        whole(images, network),
        {"metrics": METRICS, "model": opened(network)},
    )
    order = random.Random(seed).sample(range(of), of)
    again = data.draw(st.lists(st.sampled_from(order), max_size=2))  # a part that ran already
    counts = {i: fastfid.shard(images, root, index=i, of=of, **options) for i in [*order, *again]}
    assert sum(counts.values()) == 110
    found = fastfid.merge(root)
    assert bytes_of(found, root / "found.npz") == bytes_of(wanted, root / "wanted.npz")
    assert found.seen == wanted.seen
    assert found.provenance == wanted.provenance


def test_a_run_on_one_machine_continues_from_parts(network, images, tmp_path):
    fastfid.shard(images, tmp_path, index=1, of=3, model=network)
    wanted = fastfid.statistics(images, model=network)
    assert fastfid.statistics(images, model=network, resume=tmp_path).sigma.tobytes() == wanted.sigma.tobytes()
    assert fastfid.merge(tmp_path).n == 110


def test_images_left_out_are_listed(network, tmp_path):
    path = folder(tmp_path / "set", pictures(50, 16))
    (path / "030.png").write_bytes(b"none")
    told = "1 image left out: cannot decode .*030.png"
    options = {"model": network, "on_error": "skip"}
    with pytest.warns(fastfid.FastFIDWarning, match=told):
        assert fastfid.shard(path, tmp_path / "kept", index=1, of=2, **options) == 19
    with warnings.catch_warnings():
        warnings.filterwarnings("error", told, fastfid.FastFIDWarning)
        assert fastfid.shard(path, tmp_path / "kept", index=0, of=2, **options) == 30
    with pytest.warns(fastfid.FastFIDWarning, match=told):
        assert fastfid.merge(tmp_path / "kept").n == 49


@pytest.mark.parametrize("ending", ["png", "npy"])
def test_parts_of_two_sets_with_the_same_names(network, tmp_path, ending):
    for seed, name in enumerate("ab"):
        images = pictures(110, 16, seed)
        if ending == "npy":
            np.save(tmp_path / f"{name}.npy", images)
        else:
            folder(tmp_path / name, images)
    one, other = (tmp_path / (f"{name}.npy" if ending == "npy" else name) for name in "ab")
    fastfid.shard(one, tmp_path / "kept", index=0, of=2, model=network)
    with pytest.raises(InputError, match="images of the same names, but other ones: those of .*a.* there, .*b.* here"):
        fastfid.shard(other, tmp_path / "kept", index=1, of=2, model=network)
    fastfid.shard(other, tmp_path / "other", index=1, of=2, model=network)
    for path in (tmp_path / "other").glob("piece-*"):
        shutil.copy(path, tmp_path / "kept")
    with pytest.raises(InputError, match=r"piece-000001\.npz is damaged: it belongs to another run"):
        fastfid.merge(tmp_path / "kept")


class TestMerge:
    def test_of_missing_parts(self, network, images, tmp_path):
        fastfid.shard(images, tmp_path, index=2, of=3, model=network)
        with pytest.raises(InputError, match=r"lacks 4 of 6 pieces: 0, 1, 3, 4; run their parts again"):
            fastfid.merge(tmp_path)

    def test_of_a_damaged_part(self, network, images, tmp_path):
        fastfid.shard(images, tmp_path, index=0, of=1, model=network)
        path = tmp_path / "piece-000003.npz"
        path.write_bytes(path.read_bytes()[:2000])
        with pytest.raises(InputError, match=r"piece-000003.npz is damaged: .*: remove it, and run its part again"):
            fastfid.merge(tmp_path)

    def test_of_the_folder_of_a_comparison(self, network, images, tmp_path):
        fastfid.compare(images, images, model=network, resume=tmp_path)
        with pytest.raises(InputError, match="is of a comparison: merge .*/a or .*/b, the pieces of one side"):
            fastfid.merge(tmp_path)
        assert fastfid.merge(tmp_path / "b").n == 110

    def test_of_very_many_pieces(self, network, images, tmp_path):
        fastfid.shard(images, tmp_path, index=0, of=1, model=network)
        facts = json.loads((tmp_path / "run.json").read_text())
        (tmp_path / "run.json").write_text(json.dumps({**facts, "pieces": 10**15}))
        with pytest.raises(InputError, match=r"lacks 999999999999994 of 1000000000000000 pieces: 6, 7, 8, 9, 10…; run"):
            fastfid.merge(tmp_path)

    @pytest.mark.parametrize("change", [{"needs": 5}, {"roles": []}, {"pieces": "6"}, {"pieces": -1}, {"roles": {}}])
    def test_of_hostile_facts(self, network, images, tmp_path, change):
        fastfid.shard(images, tmp_path, index=0, of=1, model=network)
        facts = json.loads((tmp_path / "run.json").read_text())
        (tmp_path / "run.json").write_text(json.dumps({**facts, **change}))
        with pytest.raises(InputError):
            fastfid.merge(tmp_path)

    def test_of_nothing(self, tmp_path):
        with pytest.raises(InputError, match="holds no pieces; fastfid shard writes them"):
            fastfid.merge(tmp_path)
        (tmp_path / "a.txt").touch()
        with pytest.raises(InputError, match=r"cannot read .*run.json: No such file"):
            fastfid.merge(tmp_path)

    def test_of_what_no_file_can_hold(self, network, images, tmp_path):
        fastfid.compare(images, images, model=network, metrics=["vendi"], resume=tmp_path)
        with pytest.raises(InputError, match="hold .*UnitMoments of features, which a file of statistics cannot"):
            fastfid.merge(tmp_path / "a")


@pytest.mark.parametrize(
    ("index", "of", "text"),
    [
        (2, 2, "index must be between 0 and 1, got 2"),
        (-1, 2, "index must be between 0 and 1, got -1"),
        (0, 0, "of must be at least 1"),
    ],
)
def test_numbers(images, tmp_path, index, of, text):
    with pytest.raises(InputError, match=text):
        fastfid.shard(images, tmp_path, index=index, of=of)
    assert not [*tmp_path.iterdir()]


def test_statistics_have_no_parts(network, images, tmp_path):
    path = fastfid.statistics(images, model=network).save(tmp_path / "a.npz")
    with pytest.raises(InputError, match="holds statistics; parts are computed of images"):
        fastfid.shard(path, tmp_path, index=0, of=1)


def test_from_the_command_line(network, images, tmp_path, capsys):
    for index in "01":
        arguments = ["--index", index, "--of", "2", "--model", network, "--with", "kid", "--quiet"]
        assert main(["shard", str(images), str(tmp_path / "kept"), *arguments]) == 0
        assert f"part {index} of 2: {60 if index == '0' else 50} images are in" in capsys.readouterr().err
    assert main(["merge", str(tmp_path / "merged.npz"), str(tmp_path / "kept")]) == 0
    assert "saved the statistics of 110 images" in capsys.readouterr().err
    single = ["--save-stats", str(images), str(tmp_path / "single.npz"), "--model", network, "--with", "kid", "--quiet"]
    assert main(single) == 0
    assert (tmp_path / "merged.npz").read_bytes() == (tmp_path / "single.npz").read_bytes()


@pytest.mark.parametrize("flags", [[], ["--index", "0"], ["--index", "x", "--of", "2"], ["--of", "2", "--limit", "1"]])
def test_bad_usage(images, tmp_path, flags):
    with pytest.raises(SystemExit) as caught:
        main(["shard", str(images), str(tmp_path), *flags])
    assert caught.value.code == 2


def test_parts_at_the_same_time(network, images, tmp_path):
    code = (
        "import sys, fastfid; from fastfid.sources.pieces import pieces; pieces.__kwdefaults__['size'] = 5\n"
        "fastfid.shard(sys.argv[1], sys.argv[2], index=int(sys.argv[3]), of=3, model=sys.argv[4])"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, str(images), str(tmp_path / "kept")]
    jobs = [subprocess.Popen([*command, str(index), network], stderr=subprocess.PIPE) for index in (0, 1, 2, 2)]
    for job in jobs:
        _, errors = job.communicate(timeout=120)
        assert job.returncode == 0, errors
    left = [path.name for path in (tmp_path / "kept").iterdir() if not path.name.startswith("piece-")]
    assert left == ["run.json"]
    assert fastfid.merge(tmp_path / "kept").n == 110


def test_a_moved_source_is_the_same(network, images, tmp_path):
    """Another machine may see the images in another place."""
    fastfid.shard(images, tmp_path / "kept", index=0, of=2, model=network)
    shutil.copytree(images, tmp_path / "elsewhere")
    fastfid.shard(tmp_path / "elsewhere", tmp_path / "kept", index=1, of=2, model=network)
    wanted = fastfid.statistics(images, model=network)
    np.testing.assert_array_equal(fastfid.merge(tmp_path / "kept")[fastfid.FID().needs[0]].sigma, wanted.sigma)
