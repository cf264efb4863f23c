"""The engine on Ray: the bits of one undisturbed run on one machine, whatever happens to the actors or the driver."""

import builtins
import dataclasses
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import fastfid
from fastfid import InputError
from fastfid.cli.main import main
from fastfid.engines.base import How
from fastfid.engines.local import Local
from fastfid.engines.piece_files import keep_of
from fastfid.engines.ray import Ray
from fastfid.engines.ray_cluster import Plan, plan
from fastfid.errors import DeviceError, ImageError
from fastfid.extraction.recipe import Recipe
from fastfid.files.store import Store
from fastfid.fit import fold
from fastfid.messages import Messages
from fastfid.sources import pieces
from pictures import folder, pictures
from processes import run
from slow_pictures import SlowPictures
from stand_in import stand_in

os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_IMPORT_WARNING": "1"}
ray = pytest.importorskip("ray", reason="Ray has no wheel for this Python")

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")
PIECE = 20
MARK = f"FASTFID_CLUSTER_OF={os.getpid()}".encode()  # in the environment of this cluster's processes
METRICS = ["fid", "kid", "prdc", "vendi", "mind", "authpct"]


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setitem(pieces.__kwdefaults__, "size", PIECE)


@pytest.fixture(scope="module")
def cluster():
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)  # the actors import this folder's modules
    os.environ["FASTFID_CLUSTER_OF"] = str(os.getpid())
    plain_print = print  # Ray replaces it
    context = ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield context.address_info["gcs_address"]
    ray.shutdown()
    builtins.print = plain_print
    del os.environ["PYTHONPATH"], os.environ["FASTFID_CLUSTER_OF"]


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return str(stand_in(tmp_path_factory.mktemp("network") / "own.onnx"))


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    root = tmp_path_factory.mktemp("sides")
    return folder(root / "a", pictures(70, 16)), folder(root / "b", pictures(50, 16, 1, 30))


def equal(one, other):
    for name, score in one.scores.items():
        np.testing.assert_equal((other.scores[name].value, other.scores[name].parts), (score.value, score.parts))
    assert (one.a, one.b, one.provenance, one.warnings) == (other.a, other.b, other.provenance, other.warnings)


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_the_same_bits(cluster, network, sides, tmp_path, workers):
    options = {"model": network, "metrics": METRICS, "bootstrap": 20}
    on_ray = {"engine": "ray", "engine_options": {"workers": workers}}
    plain, seen = fastfid.compare(*sides, **options), []
    equal(plain, fastfid.compare(*sides, progress=lambda done, of: seen.append((done, of)), **on_ray, **options))
    for of in (70, 50):
        done = [n for n, total in seen if total == of]
        assert done == sorted(done)
        assert done[-1] == of
    for missing in (), ("a/piece-000001.npz", "b/piece-000002.npz"):
        for name in missing:
            (tmp_path / name).unlink()
        equal(plain, fastfid.compare(*sides, resume=tmp_path, **on_ray, **options))
    assert len([*tmp_path.rglob("piece-*.npz")]) == 7
    assert ray.is_initialized()


def test_every_metric(cluster, tmp_path):
    sides = [folder(tmp_path / name, pictures(24, 16, seed)) for seed, name in enumerate("ab")]
    names = ["fid", "kid", "is", "prdc", "sfid", "vendi", "mind", "authpct"]
    options = {"model": "inception-v3-random", "metrics": names}
    equal(fastfid.compare(*sides, **options), fastfid.compare(*sides, engine="ray", **options))


def test_classes_of_the_running_script(cluster, network, tmp_path):
    """Actors cannot import them."""

    class Source(SlowPictures):
        pass

    class Rows(fastfid.metrics.rows.Rows):
        pass

    @dataclasses.dataclass(frozen=True)
    class Count(fastfid.Metric):
        name, sides = "count", 1
        needs = (fastfid.Need("features", Rows),)

        def value(self, a):
            return fastfid.Score(float(np.sum(a[self.needs[0]].matrix)))

    for resume in (None, tmp_path):
        options = {"model": network, "metrics": [Count()]}
        wanted = fastfid.compare(Source(50), **options).scores["count"].value
        found = fastfid.compare(Source(50), engine="ray", resume=resume, **options).scores["count"].value
        assert found == wanted


def test_an_extractor_and_a_limit(cluster, network, sides):
    extractor = fastfid.Extractor(network)
    for options in ({"limit": 45, "seed": 3}, {"endings": "png"}):
        wanted = fastfid.statistics(sides[0], model=extractor, **options)
        found = fastfid.statistics(sides[0], model=extractor, engine="ray", **options)
        assert found.sigma.tobytes() == wanted.sigma.tobytes()
        assert found.provenance == wanted.provenance


def actors():
    """The processes of the actors of this cluster."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(b"ray::_Actor") and MARK in path.with_name("environ").read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="finds the actors in /proc")
@pytest.mark.parametrize("kept", [False, True])
def test_actors_that_are_killed(cluster, network, tmp_path, kept):
    source, killed, rng = SlowPictures(200, 0.004), [], random.Random(os.urandom(8))
    wanted = fastfid.fit(source, model=network, metrics=["kid"])
    when = sorted(rng.sample(range(1, 150), 3))  # how many images are done

    def kill(done, of):
        alive = actors()
        if alive and len(killed) < len(when) and done >= when[len(killed)]:
            killed.append(rng.choice(alive))
            os.kill(killed[-1], signal.SIGKILL)

    options = {"engine": "ray", "engine_options": {"workers": 2}, "resume": tmp_path if kept else None}
    found = fastfid.fit(source, model=network, metrics=["kid"], progress=kill, **options)
    assert killed
    assert found.n == 200
    for need, state in wanted.states.items():
        np.testing.assert_equal(found[need].__getstate__(), state.__getstate__())


def test_pieces_that_are_computed_again_after_they_were_written(cluster, network, tmp_path):
    """As after the loss of an answer: the second files replace the first, and nothing counts twice."""
    source, needs = SlowPictures(50), fastfid.KID().needs
    cut = [*pieces(source, size=PIECE)]
    with Ray({"workers": 2}) as engine:
        facts = engine.open(Recipe(model=network, device="cpu"), Messages())
        keep = keep_of(Store(tmp_path), cut, needs, facts, {}, Messages())
        found = [fold(engine.fit(needs, cut, How(keep=keep)), None) for _ in range(2)]
    with Local() as engine:
        engine.open(Recipe(model=network, device="cpu"), Messages())
        wanted = fold(engine.fit(needs, cut, How()), None)
    for fit in found:
        assert fit.n == 50
        np.testing.assert_equal(fit[needs[0]].__getstate__(), wanted[needs[0]].__getstate__())


def test_a_driver_that_is_killed(cluster, network, tmp_path):
    code = (
        "import sys, os, fastfid; from fastfid.sources.pieces import pieces; pieces.__kwdefaults__['size'] = 20\n"
        "from slow_pictures import SlowPictures\n"
        "def show(done, of):\n"
        "    if done >= 60: os.kill(os.getpid(), 9)\n"
        "fastfid.statistics(SlowPictures(200, 0.01), model=sys.argv[1], resume=sys.argv[2], progress=show,\n"
        "    engine='ray', engine_options={'address': sys.argv[3], 'workers': 2})"
    )
    done = run(code, network, tmp_path, cluster)
    assert done.returncode == -signal.SIGKILL, done.stderr
    there = len([*tmp_path.glob("piece-*.npz")])
    assert 0 < there < 10
    source = SlowPictures(200)
    wanted = fastfid.statistics(source, model=network)
    found = fastfid.statistics(source, model=network, resume=tmp_path, engine="ray")
    assert (found.n, found.sigma.tobytes()) == (200, wanted.sigma.tobytes())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_driver_that_is_told_to_end(cluster, tmp_path, number, code):
    for name in "ab":
        folder(tmp_path / name, pictures(120, 16))
    text = (
        "import signal, sys; from fastfid.cli.main import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a job in the background ignores it
        "sys.exit(main(sys.argv[1:]))"
    )
    options = {"address": cluster, "workers": 1}
    flags = ["--engine", "ray", "--engine-options", json.dumps(options), "--resume", tmp_path / "kept", "--quiet"]
    command = [sys.executable, "-c", text, tmp_path / "a", tmp_path / "b", "--model", "inception-v3-random", *flags]
    with subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, text=True) as driver:
        while not (tmp_path / "kept" / "b" / "run.json").exists():
            time.sleep(0.01)
        driver.send_signal(number)
        _, errors = driver.communicate(timeout=60)
    assert driver.returncode == code, errors
    assert "Traceback" not in errors


def test_a_driver_leaves_the_cluster_as_it_was(cluster, network, sides):
    code = (
        "import sys, ray, fastfid\n"
        "address = {'address': sys.argv[3]}\n"
        "s = fastfid.statistics(sys.argv[1], model=sys.argv[2], engine='ray', engine_options=address)\n"
        "assert not ray.is_initialized()\n"
        "print(s.n)"
    )
    done = run(code, sides[0], network, cluster)
    assert (done.returncode, done.stdout) == (0, "70\n"), done.stderr


def test_from_the_command_line(cluster, network, sides, tmp_path, capsys):
    wanted = fastfid.score(*sides, model=network)
    flags = ["--engine", "ray", "--engine-options", '{"workers": 1}', "--resume", str(tmp_path), "--quiet"]
    assert main([*map(str, sides), "--model", network, *flags]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"FID:  {wanted}"


def test_the_page_on_scale(cluster, network, tmp_path, monkeypatch, capsys):
    page = (Path(__file__).parents[1] / "docs" / "scale.md").read_text()
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "generated", pictures(30, 16))
    folder(tmp_path / "real", pictures(30, 16, 1))
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    own = block.replace('"real", engine', '"real", model=network, engine')
    scope = {"network": network}
    exec(compile(own, "scale.md", "exec"), scope)
    assert scope["statistics"].n == 30
    (line,) = re.findall(r"^fastfid (generated real .*--engine ray --resume .*)$", page, re.MULTILINE)
    flags = line.replace("s3://bucket/pieces", str(tmp_path / "pieces")).split()
    assert main([*flags, "--model", network, "--quiet"]) == 0
    found = float(capsys.readouterr().out.split()[-1])
    assert found == fastfid.score("generated", "real", model=network)
    (line,) = re.findall(r"`fastfid (generated real --metrics .* --engine ray)`", page)
    assert main([*line.split(), "--model", network, "--quiet"]) == 0


class TestErrors:
    def test_of_an_image(self, cluster, network, tmp_path):
        path = folder(tmp_path / "set", pictures(50, 16))
        (path / "030.png").write_bytes(b"none")
        with pytest.raises(ImageError, match=r"cannot decode .*030\.png"):
            fastfid.statistics(path, model=network, engine="ray")
        options = {"model": network, "on_error": "skip"}
        wanted = fastfid.compare(path, path, **options)
        equal(wanted, fastfid.compare(path, path, engine="ray", **options))
        assert "030.png" in wanted.a.rejected[0]

    def test_of_the_model(self, cluster, sides):
        with pytest.raises(fastfid.ModelError, match="no-such-model"):
            fastfid.statistics(sides[0], model="no-such-model", engine="ray")

    def test_of_a_source_that_cannot_be_sent(self, cluster, network):
        source = SlowPictures(5)
        source.lock = threading.Lock()
        with pytest.raises(InputError, match=r"slow pictures cannot be sent to another process: .*lock"):
            fastfid.statistics(source, model=network, engine="ray")

    def test_of_a_folder_that_the_driver_does_not_see(self, cluster, network, sides):
        with pytest.raises(InputError, match="piece 0 is not in memory://own, although an actor has written it"):
            fastfid.statistics(sides[0], model=network, engine="ray", resume="memory://own")

    def test_of_a_source_that_ends_the_process(self, cluster, network):
        class Deadly(SlowPictures):
            def __reduce__(self):
                return os._exit, (3,)

        with pytest.raises(DeviceError, match="died again and again"):
            fastfid.statistics(Deadly(30), model=network, engine="ray", engine_options={"workers": 1})

    def test_of_a_generator(self, cluster, network):
        with pytest.raises(InputError, match="can only be read from start to end, by one process"):
            fastfid.statistics((image for image in pictures(5)), model=network, engine="ray")

    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({"threads": 2}, "'threads' is none of workers, num_gpus, num_cpus, address"),
            ({"workers": 0}, "workers must be at least 1"),
            ({"workers": 1.5}, "workers must be a whole number"),
            ({"num_gpus": -1}, "num_gpus must be 0, or a number of at least 0.01, got -1"),
            ({"num_cpus": 1e-5}, "num_cpus must be 0, or a number of at least 0.01"),
            ({"num_cpus": "1"}, "num_cpus must be 0, or a number"),
            ({"num_cpus": float("inf")}, "num_cpus must be finite"),
            ({"address": ""}, "address must be a text"),
        ],
    )
    def test_of_options(self, options, text):
        with pytest.raises(InputError, match=f"engine_options: {text}"):
            Ray(options)

    @pytest.mark.parametrize("device", ["cuda:1", "cpu,cpu"])
    def test_of_devices(self, sides, network, device):
        with pytest.raises(InputError, match="engine='ray' chooses among the GPUs itself"):
            fastfid.statistics(sides[0], model=network, engine="ray", device=device)

    def test_of_options_without_the_engine(self, sides, network):
        with pytest.raises(InputError, match="engine_options are those of engine='ray'"):
            fastfid.statistics(sides[0], model=network, engine_options={"workers": 2})

    def test_of_a_missing_gpu(self, cluster, sides, network):
        with pytest.raises(DeviceError, match="device 'cuda' needs a GPU, and the Ray cluster has none"):
            fastfid.statistics(sides[0], model=network, engine="ray", device="cuda")

    def test_of_a_missing_package(self, sides, network, monkeypatch):
        monkeypatch.setitem(sys.modules, "ray", None)
        with pytest.raises(InputError, match="needs the package ray: pip install ray"):
            fastfid.statistics(sides[0], model=network, engine="ray")

    def test_of_another_cluster(self, cluster, sides, network):
        with pytest.raises(InputError, match=rf"Ray is attached to {cluster} already, and not to 192\.0\.2\.9:6379"):
            fastfid.statistics(sides[0], model=network, engine="ray", engine_options={"address": "192.0.2.9:6379"})
        options = {"address": cluster}
        assert fastfid.statistics(sides[0], model=network, engine="ray", engine_options=options).n == 70

    def test_of_a_missing_cluster(self, cluster, sides, network, monkeypatch):
        def init(**options):
            raise ConnectionError("Could not find any running Ray instance.")

        monkeypatch.setattr(ray, "is_initialized", lambda: False)
        monkeypatch.setattr(ray, "init", init)
        with pytest.raises(DeviceError, match="no Ray cluster can be reached: .* None is started by fastfid: run `ray"):
            fastfid.statistics(sides[0], model=network, engine="ray")


def machine(cpus, gpus=0, alive=True):
    return {"Alive": alive, "Resources": {"CPU": float(cpus), **({"GPU": float(gpus)} if gpus else {})}}


@pytest.mark.parametrize(
    ("asked", "machines", "device", "planned"),
    [
        ({}, [machine(64, 8)], "auto", Plan(8, 1, 8)),
        ({}, [machine(64, 8)], "cpu", Plan(16, 0, 4)),
        ({}, [machine(64, 8), machine(64, 8)], "cuda:0", Plan(16, 1, 8)),
        ({"num_gpus": 0.5}, [machine(64, 8)], "auto", Plan(16, 0.5, 4)),
        ({"num_gpus": 2}, [machine(64, 8)], "auto", Plan(4, 2, 16)),
        ({"workers": 1}, [machine(8, 1), machine(8, 1)], "auto", Plan(1, 1, 8)),
        ({}, [machine(8, 8), machine(1000)], "auto", Plan(8, 1, 1)),
        ({}, [machine(1, 2), machine(8, 2)], "auto", Plan(4, 1, 0.5)),
        ({}, [machine(16), machine(16, alive=False)], "auto", Plan(4, 0, 4)),
        ({}, [machine(16), machine(16)], "auto", Plan(8, 0, 4)),
        ({}, [machine(1), *[machine(64)] * 8], "auto", Plan(128, 0, 4)),
        ({}, [machine(2)], "auto", Plan(1, 0, 2)),
        ({"num_cpus": 8}, [machine(16), machine(16)], "auto", Plan(4, 0, 8)),
        ({"workers": 3}, [machine(16)], "auto", Plan(3, 0, 4)),
        ({"workers": 6}, [machine(16)], "auto", Plan(6, 0, 2)),
        ({"workers": 7}, [machine(2)], "auto", Plan(7, 0, 0.28)),
        ({"workers": 999}, [machine(2)], "auto", Plan(999, 0, 0.01)),
        ({"num_cpus": 0, "workers": 2}, [machine(16)], "auto", Plan(2, 0, 0)),
        ({"num_cpus": 0}, [machine(16)], "auto", Plan(1, 0, 0)),
    ],
)
def test_the_number_of_actors(asked, machines, device, planned):
    assert plan(asked, machines, device) == planned


@pytest.mark.parametrize(
    ("asked", "machines", "text"),
    [
        ({"num_gpus": 9}, [machine(64, 8), machine(64, 8)], "takes .* CPUs and 9 GPUs, and no machine .* has as many"),
        ({"num_gpus": 2}, [machine(8, 1), machine(8, 1)], "2 GPUs, and no machine"),
        ({"num_cpus": 6}, [machine(4), machine(4)], "takes 6 CPUs and 0 GPUs, and no machine"),
    ],
)
def test_more_than_a_machine_has(asked, machines, text):
    with pytest.raises(DeviceError, match=text):
        plan(asked, machines, "auto")
