"""Make metrics.json: what the tools' own code says of small drawn sets of features.

    python tests/golden/make_metrics_golden.py OUT.json --torch-fidelity REPO --dgm-eval REPO --cmmd REPO

REPO are clones of github.com/toshas/torch-fidelity (5e211a9: its MIND is not in a release), layer6ai-labs/dgm-eval
(74c79f7) and sayakpaul/cmmd-pytorch (f7673a9, the authors' distance in torch). Needs torch 2.13, torch-fidelity 0.4.0,
torchmetrics 1.9.0, clean-fid 0.1.35, prdc 0.2, scikit-learn and SciPy; the tests need only the file.
"""

import argparse
import importlib.util
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

_operators = torch.library.Library("torchvision", "DEF")  # declared, never called; see make_models_golden.py
for _name in ("nms", "qnms"):
    _operators.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

SEEDS = 20  # of a tool whose random numbers come from torch

X = np.random.RandomState(0).randn(300, 64)  # real
Y = np.random.RandomState(1).randn(300, 64) + 0.1  # generated
# Few values, so that many distances are equal, and images have copies.
REAL, GENERATED = (np.random.RandomState(seed).randint(0, 3, (n, 4)).astype(float) for seed, n in ((2, 90), (3, 70)))


def module(path: Path) -> Any:
    """Load one file of a clone, without its package."""
    spec = importlib.util.spec_from_file_location(path.stem + "_of_tool", path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def kid() -> dict[str, Any]:
    from cleanfid.fid import kernel_distance
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torchmetrics.image.kid import KernelInceptionDistance

    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    found = kid_features_to_metric(x, y, kid_subsets=10, kid_subset_size=100, rng_seed=2020, verbose=False)
    np.random.seed(7)  # noqa: NPY002 - the tool draws from it
    clean = kernel_distance(X, Y, 12, 50)
    metric = KernelInceptionDistance(torch.nn.Identity(), subsets=10, subset_size=100).set_dtype(torch.float64)
    metric.update(x, real=True)
    metric.update(y, real=False)
    return {
        "torch-fidelity": list(found.values()),
        "clean-fid": clean,
        "torchmetrics": [after(seed, metric) for seed in range(SEEDS)],
    }


def after(seed: int, metric: Any) -> list[float]:
    torch.manual_seed(seed)
    metric._computed = None
    return [float(value) for value in metric.compute()]


def inception_score(dgm: Any) -> dict[str, Any]:
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torchmetrics.image.inception import InceptionScore

    metric = InceptionScore(torch.nn.Identity(), splits=7)
    metric.update(torch.from_numpy(X))
    p = np.exp(X) / np.exp(X).sum(axis=1, keepdims=True)
    return {
        "torch-fidelity": list(isc_features_to_metric(torch.from_numpy(X), splits=3).values()),
        "dgm-eval": [float(value) for value in dgm.calculate_score(p, splits=7, N=300)],
        "torchmetrics": [after(seed, metric) for seed in range(SEEDS)],
    }


def prdc(dgm: Any) -> dict[str, Any]:
    from prdc import compute_prdc
    from torch_fidelity.metric_prc import prc_features_to_metric

    found = {}
    for name, real, generated in (("drawn", X, Y), ("tied", REAL, GENERATED)):
        both = torch.from_numpy(generated), torch.from_numpy(real)
        found[name] = {
            "prdc": plain(compute_prdc(real, generated, 5)),
            "dgm-eval": of_subsets(dgm, real, generated, 10_000),
            "torch-fidelity": plain(prc_features_to_metric(*both, verbose=False)),
        }
    found["subsets"] = {"dgm-eval": of_subsets(dgm, X, Y, 100)}
    return found


def of_subsets(dgm: Any, real: Any, generated: Any, most: int) -> dict[str, float]:
    """Draw as its compute_scores does: the real side first."""
    size, rng = min(most, len(real), len(generated)), np.random.RandomState(13579)
    real, generated = (rows[rng.choice(len(rows), size, replace=False)] for rows in (real, generated))
    return plain(dgm.compute_prdc(real, generated, 5))


def plain(found: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in found.items()}


def mind(tool: Any) -> dict[str, Any]:
    from torch_fidelity.defaults import DEFAULTS

    both = torch.from_numpy(X), torch.from_numpy(Y)
    DEFAULTS.setdefault("mind_num_projections", 1000)  # the release, which the clone's file imports, does not have it
    options = {"mind_num_projections": 1000, "cuda": False, "verbose": False}
    found = [tool.mind_features_to_metric(*both, rng_seed=seed, **options) for seed in range(SEEDS)]
    return {"torch-fidelity": [value for one in found for value in one.values()]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    for tool in ("torch-fidelity", "dgm-eval", "cmmd"):
        parser.add_argument(f"--{tool}", type=Path, required=True)
    options = parser.parse_args()
    dgm = options.dgm_eval / "dgm_eval" / "metrics"
    scores, vendi, authpct = (module(dgm / f"{name}.py") for name in ("inception_score", "vendi", "authpct"))
    unit_x, unit_y = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (X, Y))
    packages = ("torch", "torch-fidelity", "torchmetrics", "clean-fid", "prdc", "scikit-learn", "scipy")
    found = {
        "versions": {name: version(name) for name in packages},
        "kid": kid(),
        "is": inception_score(scores),
        "prdc": prdc(module(dgm / "prdc.py")),
        "vendi": {str(q): float(vendi.compute_vendi_score(X, q=q)) for q in (0.5, 1, 2, "inf")},
        "authpct": {"drawn": authpct.compute_authpct(X, Y), "tied": authpct.compute_authpct(REAL, GENERATED)},
        "cmmd": float(module(options.cmmd / "distance.py").mmd(unit_x, unit_y)),
        "mind": mind(module(options.torch_fidelity / "torch_fidelity" / "metric_mind.py")),
    }
    options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
