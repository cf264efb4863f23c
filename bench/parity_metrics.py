"""Every metric but the FID against the code of the tools: of folders of images, and of the same matrices of features.

    python bench/parity_metrics.py A B --weights W.pth --tools-python PYTHON --clones FOLDER --adm-python PYTHON

A has the generated images and B the real ones; the first --images of each are taken, of one size. The environments and
the clones are described in `bench/parity_metric_tools.py`. Asserts the bounds that it prints: 1e-6 relative of features
and 1e-4 of images; or, if a tool computes in float32, twice as far as it is from itself in float64 (KID of images: 4
eps, absolute); or, if its random numbers come from torch, that our value is inside the range of 20 of its runs, and its
value inside the range of 20 of ours. Prints the table of tests/README.md.
"""

import argparse
import json
import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe
from parity_metric_tools import SEEDS, SIZE, SPLITS, SUBSETS

import fastfid
from fastfid import CMMD, KID, MIND, PRDC, SFID, AuthPct, Fit, InceptionScore, Metric, Need, Score, Vendi
from fastfid.metrics.rows import Rows

TOOLS = Path(__file__).with_name("parity_metric_tools.py")
BOUND = 1e-6
CHAIN_BOUND = 1e-4  # of folders: the features differ by up to 1e-6 of the largest
LOGITS = 25  # the stand-in's logits are nearly equal; scaled, they give an Inception Score that is not nearly 1
ROLES = ("features", "logits_unbiased", "spatial")
SUBSET = {"subsets": SUBSETS, "subset_size": SIZE}

# The metric that answers a tool, and which of its numbers the tool gives, the value first.
Answer = tuple[Metric, tuple[str, ...]]
FOUR = ("recall", "density", "coverage")
OURS: dict[str, dict[str, Answer]] = {
    "prdc": {
        "prdc": (PRDC(), FOUR),
        "dgm-eval": (PRDC("dgm-eval"), FOUR),
        "torch-fidelity": (PRDC("torch-fidelity"), ("recall", "f_score")),
        "guided-diffusion": (PRDC("adm"), ("recall",)),
    },
    "kid": {
        "torch-fidelity": (KID("torch-fidelity", **SUBSET), ("subset_std",)),
        "clean-fid": (KID("clean-fid", **SUBSET), ()),
        "dgm-eval": (KID("dgm-eval", **SUBSET), ("subset_std",)),
        "mmd-gan": (KID("mmd-gan", subset_size=SIZE), ("subset_std",)),
        "torchmetrics": (KID("torchmetrics", **SUBSET), ()),
    },
    "is": {
        "torch-fidelity": (InceptionScore(splits=SPLITS), ("std",)),
        "dgm-eval": (InceptionScore("dgm-eval", splits=SPLITS), ("std",)),
        "guided-diffusion": (InceptionScore("adm"), ()),
        "improved-gan": (InceptionScore("improved-gan", splits=SPLITS), ("std",)),
        "torchmetrics": (InceptionScore("torchmetrics", splits=SPLITS), ()),
    },
    "sfid": {
        "guided-diffusion": (SFID(method="schur"), ()),
        "ADM's formula on torch-fidelity's network": (SFID(method="schur"), ()),
    },
    "vendi": {"dgm-eval": (Vendi(), ())},
    "authpct": {"dgm-eval": (AuthPct(), ())},
    "cmmd": {"cmmd-pytorch": (CMMD(), ())},
    "mind": {"torch-fidelity HEAD": (MIND(), ())},
}


class Kept(Metric):
    """Keeps the rows of every role."""

    name, needs = "kept", tuple(Need(role, Rows) for role in ROLES)

    def value(self, a: Fit, b: Fit) -> Score:
        """Return the rows as parts."""
        return Score(0.0, {f"{need.role} {i}": s[need].matrix for need in self.needs for i, s in enumerate((a, b))})


def numbers(answer: Answer, score: Score) -> list[float]:
    return [score.value, *(score.parts[part] for part in answer[1])]


def run_tools(python: str, *arguments: object) -> dict[str, dict[str, Any]]:
    command = [python, str(TOOLS), *map(str, arguments)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.splitlines()[-1])


def rows_of(folders: list[Path], weights: str, mode: str = "tensorflow") -> dict[str, Any]:
    model = fastfid.Extractor(weights, mode=mode, roles=ROLES)
    return dict(fastfid.compare(*folders, model=model, metrics=[Kept()]).scores["kept"].parts)


def score_features(metric: Metric, rows: dict[str, Any]) -> Score:
    """Compute a metric from the rows that the tools get."""
    (need,) = metric.needs
    fits = []
    for i in range(metric.sides):
        matrix = rows[f"{need.role} {i}"]
        state = Rows.of(matrix) if need.accumulator is Rows else need.accumulator(matrix.shape[1])
        fits.append(Fit({need: state if need.accumulator is Rows else state.update(matrix)}, len(matrix)))
    return metric.value(*fits)


def line(metric: str, tool: str, source: str, theirs: float, ours: float, difference: str, bound: str) -> None:
    print(f"| `{metric}` | {tool} | {source} | {theirs:.9g} | {ours:.9g} | {difference} | {bound} |", flush=True)


def compare_fixed(
    metric: str, tool: str, source: str, theirs: list[float], ours: list[float], noise: float, own: str = ""
) -> None:
    """A tool that gives the same number each time; `noise`: how far it is from itself in higher precision."""
    difference = max(abs(o - t) / abs(t) for o, t in zip(ours, theirs, strict=True))
    bound = max(CHAIN_BOUND if source == "images" else BOUND, 2 * noise)
    assert difference <= bound, f"{metric}, {tool}, {source}: {ours} is not {theirs} to {bound}"
    said = f"its {own}: {noise:.1e}" if 2 * noise == bound else f"{bound:.0e}"
    line(metric, tool, source, theirs[0], ours[0], f"{difference:.1e}", said)


def compare_spread(metric: str, tool: str, source: str, theirs: list[float], ours: list[float]) -> None:
    """A tool with torch's random numbers: one value of each must be inside the range of the other's 20."""
    assert min(theirs) <= ours[0] <= max(theirs), f"{metric}, {tool}: {ours[0]} is outside of {theirs}"
    assert min(ours) <= theirs[0] <= max(ours), f"{metric}, {tool}: {theirs[0]} is outside of {ours}"
    apart = abs(np.mean(ours) - np.mean(theirs)) / np.hypot(np.std(ours, ddof=1), np.std(theirs, ddof=1)) * SEEDS**0.5
    assert apart < 4
    name = f"{tool}, {SEEDS} seeds: {min(theirs):.6g} to {max(theirs):.6g}"
    line(metric, name, source, float(np.mean(theirs)), float(np.mean(ours)), f"{apart:.1f} standard errors", "4")


def seeded(metric: Metric, seed: int) -> Metric:
    field = {"kid": "subset_seed", "is": "shuffle_seed", "mind": "seed"}[metric.name]
    return type(metric)(**{**vars(metric), field: seed})


def report(found: dict[str, dict[str, Any]], source: str, score: Any) -> None:
    for metric, tools in found.items():
        for tool, theirs in tools.items():
            if tool.endswith((", float64", ", float32")):
                continue
            answer = OURS[metric][tool]
            if isinstance(theirs[0], list):
                ours = [score(seeded(answer[0], seed), tool).value for seed in range(SEEDS)]
                compare_spread(metric, tool, source, [values[0] for values in theirs], ours)
                continue
            own = numbers(answer, score(answer[0], tool))
            # What a tool says in higher precision; guided-diffusion computes distances in float16.
            own_type, higher = ("float16", "float32") if tool == "guided-diffusion" else ("float32", "float64")
            exact = tools.get(f"{tool}, {higher}", theirs)
            noise = max(abs(t - e) / abs(e) for t, e in zip(theirs, exact, strict=True))
            if metric == "kid" and source == "images":  # no float64 there; the kernel is above 1, and so are its means
                noise = 2 * float(np.finfo(np.float32).eps) / min(map(abs, theirs))
            compare_fixed(metric, tool, source, theirs, own, noise, own_type)
            if exact is not theirs:
                compare_fixed(metric, f"{tool}, in {higher}", source, exact, own, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("a", "b"):
        parser.add_argument(name, metavar=name.upper())
    for name in ("weights", "tools-python", "clones", "adm-python"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--images", nargs=2, type=int, default=(200, 180))
    options = parser.parse_args()
    warnings.simplefilter("ignore", fastfid.FastFIDWarning)  # of few images, which is the point here
    print(describe("pillow"))
    print("| metric | tool | from | its number | ours | difference | bound |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folders = []
        for side, given, count in zip("ab", (options.a, options.b), options.images, strict=True):
            folders.append(Path(name) / side)
            folders[-1].mkdir()
            for file in sorted(Path(given).iterdir())[:count]:
                shutil.copyfile(file, folders[-1] / file.name)
        rows = rows_of(folders, options.weights)
        for i in range(2):
            rows[f"logits_unbiased {i}"] = LOGITS * rows[f"logits_unbiased {i}"]
        file = Path(name) / "features.npz"
        pairs = {"a": "features 0", "b": "features 1", "spatial_a": "spatial 0", "spatial_b": "spatial 1"}
        np.savez(file, logits=rows["logits_unbiased 0"], **{key: rows[value] for key, value in pairs.items()})
        for python, command in ((options.tools_python, "features"), (options.adm_python, "adm")):
            found = run_tools(python, command, file, "--clones", options.clones)
            report(found, "features", lambda metric, _: score_features(metric, rows))
        found = run_tools(options.tools_python, "chain", *folders, "--weights", options.weights)
        modes = {"clean-fid": "clean", "torchmetrics": "torchmetrics"}
        every = {mode: rows_of(folders, options.weights, mode) for mode in ("tensorflow", *modes.values())}
        report(found, "images", lambda metric, tool: score_features(metric, every[modes.get(tool, "tensorflow")]))


if __name__ == "__main__":
    main()
