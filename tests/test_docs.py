"""The examples in the documentation run: README blocks and docstrings; and the import is light."""

import doctest
import importlib
import json
import os
import pkgutil
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fastfid
from fastfid.cli.gate import STATUS
from fastfid.cli.main import main
from fastfid.metrics import inception_score, kid, prdc, registry
from fastfid.protocols import PROTOCOLS
from pictures import folder, pictures
from servers import moto_port, s3, served_s3  # noqa: F401 - fixtures
from stand_in import small_inception
from test_own_extractor import write_network
from test_protocols import network_of

README = Path(__file__).parents[1] / "README.md"
COMING_FROM = README.parent / "docs" / "coming-from.md"
DOCUMENTS = [README, *README.parent.glob("docs/*.md")]
DATA = README.parent / "docs" / "data.md"
CERTAINTY = README.parent / "docs" / "certainty.md"
GATE = README.parent / "docs" / "gate.md"
METRICS = README.parent / "docs" / "metrics.md"
PROTOCOLS_PAGE = README.parent / "docs" / "protocols.md"
MODULES = [
    "fastfid",
    *sorted(
        m.name
        for m in pkgutil.walk_packages(fastfid.__path__, "fastfid.")
        if not re.search("__main__|openblas", m.name)
    ),
]

pytestmark = pytest.mark.filterwarnings("ignore:.*:fastfid.FastFIDWarning")


def blocks(language, document=README):
    return re.findall(rf"```{language}\n(.*?)```", document.read_text(), re.DOTALL)


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """A folder with two sets, where a small network is in the place of Inception and nothing is downloaded."""
    folder(tmp_path / "generated", pictures(10))  # enough for k = 5 and 10 splits
    folder(tmp_path / "real", pictures(10, seed=1))
    folder(tmp_path / "other", pictures(10, seed=2))
    write_network(tmp_path / "dinov2.onnx", "dinov2")
    write_network(tmp_path / "own.onnx", "clip")
    monkeypatch.chdir(tmp_path)
    with small_inception():
        yield tmp_path


def test_the_python_blocks_of_the_readme_run(offline):
    scope = {}
    for block in blocks("python"):
        exec(compile(block, str(README), "exec"), scope)
    assert scope["fid"] > 0
    assert scope["evaluate"]([pictures(3)]).fid > 0
    assert scope["validate"]([pictures(3), pictures(3) / 127.5 - 1]) > 0


def test_the_commands_of_the_readme_run(offline, capsys):
    fastfid.Statistics(3).update([[0, 1, 2], [3, 4, 4.5]]).save("shard0.npz")
    fastfid.Statistics(3).update([[0, 1, 2], [3, 4, 4.5]]).save("shard1.npz")
    np.savez("samples.npz", pictures(6, 256))
    fastfid.reference(pictures(10, 256, seed=1), "VIRTUAL_imagenet256_labeled.npz")
    lines = [line.partition("#")[0] for block in blocks("sh") for line in block.splitlines()]
    commands = [line for line in lines if line.startswith("fastfid") and "fetch" not in line and "path" not in line]
    assert len(commands) >= 13
    for command in commands:
        assert main(shlex.split(command)[1:]) == 0, command
    assert len(re.findall("^FID:  ", capsys.readouterr().out, re.MULTILINE)) == 6


def test_the_blocks_about_certainty_run(offline, capsys, monkeypatch):
    rows = np.random.RandomState(0).standard_normal((2, 60, 5)).astype(np.float32)
    compare = fastfid.compare

    def of_rows(a, b, **options):  # images enough for 2048 dims take too long
        sides = dict(zip(("generated", "real"), rows, strict=True))
        return compare(sides[a], sides[b], features=True, **options)

    monkeypatch.setattr(fastfid, "compare", of_rows)
    scope = {"fastfid": fastfid}
    for block in blocks("python", CERTAINTY):
        exec(compile(block, str(CERTAINTY), "exec"), scope)
    assert len(scope["worst"]) == 16
    monkeypatch.undo()


def test_the_page_about_the_gate(offline, capsys, monkeypatch):
    rows = np.random.RandomState(0).standard_normal((3, 60, 5)).astype(np.float32)
    sets = dict(zip(("generated", "real", "previous"), rows, strict=True)) | {"real.npz": rows[1]}
    sets |= {"mlperf_log_accuracy.json": rows[0], "val2014.npz": rows[1]}
    compare = fastfid.compare

    def of_rows(a, b, *, baseline=None, mode="pytorch", **options):  # images enough for 2048 dims take too long
        options["baseline"] = sets[baseline] if baseline else None
        made, followed = fastfid.Provenance("own", "0" * 64, mode, 5), PROTOCOLS.get(options.pop("protocol", ""))
        classed = options.pop("per_class", False)
        result = compare(sets[a], sets[b], features=True, **options)
        classes = {"cat": result.scores, "dog": result.scores} if classed else {}
        return replace(result, provenance=made, protocol=followed, classes=classes)

    monkeypatch.setattr(fastfid, "compare", of_rows)
    text = "".join([*blocks("sh", GATE), *blocks("yaml", GATE)])
    commands, answers = re.findall(r"^(?:- run: |    - )?(fastfid .*)$", text, re.MULTILINE), ""
    assert len(commands) == 19
    for command in commands:
        line, _, target = command.partition(" > ")
        assert main(shlex.split(line)[1:]) in (0, 3, 4), command
        out = capsys.readouterr().out
        if target:
            Path(target).write_text(out)
        answers += out
    assert "mode: pytorch in the first, clean in the second" in answers
    assert "\nFID_SCORE: " in answers
    assert Path("history.svg").exists()
    assert Path("fid.xml").exists()
    scope = {}
    for block in blocks("python", GATE):
        exec(compile(block, str(GATE), "exec"), scope)
    assert {"fid", "kid_standard_error"} <= scope["metrics"].keys()
    assert len(fastfid.History.load("history.jsonl").entries) == 2


def test_the_exit_codes_of_the_page_about_the_gate():
    stated = re.findall(r"^\| (\d+) \| (.*) \|$", GATE.read_text(), re.MULTILINE)
    assert {code: text.split()[2] for code, text in stated[3:]} == {"3": "failed", "4": "is"}
    assert STATUS == {"passed": 0, "failed": 3, "inconclusive": 4}


def test_the_python_block_for_people_from_torchmetrics_runs(offline):
    block, _ = blocks("python", COMING_FROM)
    scope = {}
    exec(compile(block, str(COMING_FROM), "exec"), scope)
    for seed in range(4):
        scope["update"](pictures(3, seed=seed), is_real=bool(seed % 2))
    assert scope["compute"]() > 0


def test_the_python_block_for_mlperf_runs(offline):
    _, block = blocks("python", COMING_FROM)
    scope = {}
    exec(compile(block, str(COMING_FROM), "exec"), scope)
    flat = [np.full((1024, 1024, 3), grey, np.uint8) for grey in (50, 150, 200)]
    log = [{"qsl_idx": index, "data": flat[place].tobytes().hex()} for place, index in enumerate((3, 7, 3))]
    Path("log.json").write_text(json.dumps(log))
    expected = fastfid.score(flat[:2], fastfid.statistics("real"))  # the image that is logged again does not count
    fastfid.statistics("real").save("val2014.npz")
    assert float(scope["accuracy"]("log.json", "val2014.npz")["FID_SCORE"]) == pytest.approx(expected, rel=1e-9)


def test_what_a_statistics_file_serves(offline, capsys):
    document = README.parent / "docs" / "statistics-file.md"
    for line in "".join(blocks("sh", document)).splitlines():
        assert main(shlex.split(line)[1:]) == 0, line
    printed = capsys.readouterr().out
    assert all(f"{name}:  " in printed for name in ("FID", "KID", "PRDC", "SFID"))
    Path("real.npz").unlink()
    for block in blocks("python", document):
        exec(compile(block, str(document), "exec"), {})


def test_the_python_blocks_of_the_metrics_run(offline):
    scope = {}
    for block in blocks("python", METRICS):
        exec(compile(block, str(METRICS), "exec"), scope)
    assert set(scope["result"].scores) == {"fid", "length-gap"}
    with pytest.raises(fastfid.InputError, match="digits must be a whole number of at least 0"):
        scope["LengthGap"](digits=-1)


def test_every_metric_and_convention_is_in_the_metrics():
    text = METRICS.read_text()
    named = re.findall(r"^\| `([a-z]+)` \| `(\w+)` \|.* (lower|higher) \|", text, re.MULTILINE)
    assert {name: kind for name, kind, _ in named} == {name: kind.__name__ for name, kind in registry.METRICS.items()}
    for module in (kid, prdc, inception_score):
        for tool in module.TOOLS:
            assert f"| `{tool}`" in text, tool


def test_the_commands_for_protocols_run(offline, capsys):
    script = runpy.run_path(str(README.parent / "models" / "export_torch.py"))
    fdr = 0
    for command in "".join(blocks("sh", PROTOCOLS_PAGE)).splitlines():
        program, *arguments = shlex.split(command)
        if program == "python":  # needs torch and weights: a small network takes its place
            typed = script["parser"]().parse_args(arguments[1:])
            network_of(offline, typed.protocol).rename(typed.out)
            continue
        assert main(arguments) == 0, command
        fdr += arguments[0] == "fdr"
        printed = capsys.readouterr().out.splitlines()
        if arguments[0] == "prepare":
            continue
        assert "fastfid" in printed[-1]
        assert "n 10 and 10" in printed[-1]
    assert fdr == 1


def test_the_page_of_protocols_names_them_all():
    text = PROTOCOLS_PAGE.read_text()
    assert all(f"| `{name}` |" in text for name in PROTOCOLS)


def parts_of(document, *headings):
    """The blocks of code below some headings of a page, in order."""
    parts = re.split(r"^## (.*)\n", document.read_text(), flags=re.MULTILINE)
    text = "".join(body for heading, body in zip(parts[1::2], parts[2::2], strict=True) if heading in headings)
    return re.findall(r"```(python|sh)\n(.*?)```", text, re.DOTALL)


def test_addresses_patterns_and_archives_of_the_page_on_data(offline, s3, monkeypatch):  # noqa: F811
    for name in ("classes/a/0.png", "classes/b/1.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy("real/000.png", name)
    shutil.copytree("real", "bucket/real")
    shutil.copytree("generated", "bucket/generated")
    for name in ("bucket/generated.zip", "bucket/shard-000.tar", "bucket/shard-001.tar", "shards/a.tar.gz"):
        base, kind = re.match(r"(.*)\.(zip|tar|tar\.gz)$", name).groups()
        shutil.make_archive(base, {"tar.gz": "gztar"}.get(kind, kind), "generated")
    s3.fill("bucket", "bucket", public=True)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.options["client_kwargs"]["endpoint_url"])
    blocks_run = 0
    for language, block in parts_of(DATA, "Addresses", "Patterns", "Archives", "Compressed tars"):
        if language == "sh":
            for line in block.splitlines():
                assert main(shlex.split(line)[1:]) == 0, line
        else:
            exec(compile("import fastfid\n" + block, str(DATA), "exec"), {})
        blocks_run += 1
    assert blocks_run == 6


def test_tables_data_sets_lists_and_tensors_of_the_page_on_data(offline, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", offline / "cache")
    images = [{"bytes": path.read_bytes(), "path": path.name} for path in sorted(Path("generated").iterdir())[:4]]
    table = datasets.Dataset.from_dict({"image": images}).cast_column("image", datasets.Image())
    table.to_parquet("data/train-000.parquet")
    Path("list.txt").write_text("# generated\ngenerated/000.png\ngenerated/001.png\n")
    Path("list.csv").write_text("file,other\ngenerated/000.png,real/001.png\ngenerated/001.png,real/000.png\n")
    for language, block in parts_of(
        DATA, "Tables", "Data sets of Hugging Face", "Lists of paths", "Tensors, floats and loaders"
    ):
        if language == "sh":
            for line in block.splitlines():
                assert main(shlex.split(line)[1:]) == 0, line
        else:
            exec(compile("import fastfid\n" + block, str(DATA), "exec"), {})


# Stand-ins for programs of clusters, and for fastfid itself: the official weights are the built-in ones, and GPUs CPUs.
PROGRAMS = {
    "sbatch": """#!/bin/sh
[ "$1" = --wait ] && [ "$2" = --array=0-3 ] && [ "$4" = --wrap ] || exit 2
for i in 0 1 2 3; do SLURM_ARRAY_TASK_ID=$i sh -c "$5" || exit; done
""",
    "torchrun": """#!/bin/sh
[ "$1" = --no-python ] && [ "$2" = --nproc-per-node ] || exit 2
world=2; shift 3; rank=0  # fewer than the page says, to save time
while [ $rank -lt $world ]; do RANK=$rank LOCAL_RANK=$rank WORLD_SIZE=$world "$@" || exit; rank=$((rank + 1)); done
""",
    "fastfid": f"""#!{sys.executable}
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from fastfid import networks
from fastfid.cli.main import main
from stand_in import official
networks.load = lambda model, **options: official(**options)
sys.exit(main(["cpu" if word.startswith("cuda:") else word for word in sys.argv[1:]]))
""",
}


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")
def test_the_commands_for_many_machines_run(offline, monkeypatch):
    for name, text in PROGRAMS.items():
        path = offline / "programs" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
    expected = None
    for block in blocks("sh", README.parent / "docs" / "scale.md"):
        if "ray start" in block:  # tests/test_ray.py runs it
            continue
        done = subprocess.run(["sh", "-ec", block], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        if Path("real.npz").exists():
            saved = fastfid.Statistics.load("real.npz").sigma.tobytes()
            assert saved == (expected := expected or saved)
            Path("real.npz").unlink()
            shutil.rmtree("parts")
    assert expected == fastfid.statistics("real").sigma.tobytes()


def test_every_flag_that_is_named_exists(capsys):
    def flags_of(*command):
        with pytest.raises(SystemExit):
            main([*command, "--help"])
        return set(re.findall(r"--[a-z-]+", capsys.readouterr().out))

    known = {name: flags_of(name) for name in ("diff", "history", "plan", "prepare", "rank")}
    known["protocols"] = flags_of("protocols", "list")
    general = flags_of()
    ours = re.findall(r"`(?:python -m )?fastfid (.*?)`", "".join(document.read_text() for document in DOCUMENTS))
    used = 0
    for command in ours:
        for flag in re.findall(r"(--[a-z-]+)", command):
            used += 1
            assert flag in known.get(command.split()[0], general), command
    assert used > 6


def test_every_promise_of_security_has_its_tests():
    promises = re.search(r"^\| promise .*?\n\n", (README.parent / "SECURITY.md").read_text(), re.MULTILINE | re.DOTALL)[
        0
    ]
    rows = promises.strip().splitlines()[2:]
    assert len(rows) > 10
    for row in rows:
        named = re.findall(r"`(test_\w+\.py)::(\w+)`", row)
        assert named, row
        for file, function in named:
            assert f"def {function}(" in (README.parent / "tests" / file).read_text(), (file, function)


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


def test_nothing_is_built_inside_the_clone():
    """It may be read-only, and two builds at once would use one folder."""
    settings = tomllib.loads((README.parent / "pyproject.toml").read_text())["tool"]["scikit-build"]
    assert "build-dir" not in settings
