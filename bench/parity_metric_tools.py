"""The metrics of other tools, each by its own code on the CPU: of folders, and of given features.

    python bench/parity_metric_tools.py chain A B --weights W.pth       whole tools, from image files on
    python bench/parity_metric_tools.py features F.npz --clones FOLDER  their functions, on our features
    python bench/parity_metric_tools.py adm F.npz --clones FOLDER       guided-diffusion's and improved-gan's

Prints JSON: {metric: {tool: numbers}}. Runs in environments of the tools, never in fastfid's: the first two in that of
`bench/parity_tools.py` with prdc==0.2 and scikit-learn, the last in one with tensorflow and scipy==1.17.1. FOLDER holds
clones of the tools that are not packages, named as below. `bench/parity_metrics.py` calls it.
"""

import argparse
import ast
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("TQDM_DISABLE", "1")

import numpy as np

SUBSETS, SIZE, SPLITS, SEEDS = 100, 100, 10, 20
CLONES = {
    "torch-fidelity HEAD": "torch-fidelity/torch_fidelity/metric_mind.py",
    "dgm-eval": "dgm-eval/dgm_eval/metrics",
    "cmmd-pytorch": "cmmd-pytorch/distance.py",
    "MMD-GAN": "MMD-GAN/gan/compute_scores.py",
    "guided-diffusion": "guided-diffusion/evaluations/evaluator.py",
    "improved-gan": "improved-gan/inception_score/model.py",
}


def module(path: Path, *absent: str) -> Any:
    """Load one file of a clone without its package, with stand-ins for modules that it only imports."""
    spec = importlib.util.spec_from_file_location(path.stem + "_of_tool", path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules.update({name: mock.MagicMock() for name in absent})
    try:
        spec.loader.exec_module(found)
    finally:
        for name in absent:
            del sys.modules[name]
    return found


def chain(a: Path, b: Path, weights: str) -> dict[str, Any]:
    """Run torch-fidelity, torchmetrics and clean-fid on two folders, generated images first."""
    from rivals import declare_missing_operators

    declare_missing_operators()
    found: dict[str, Any] = {"kid": {}, "is": {}, "prdc": {}, "sfid": {}}
    for run in (_torch_fidelity, _torchmetrics, _clean_fid, _spatial):
        for metric, values in run(a, b, weights).items():
            found[metric].update(values)
    return found


def _torch_fidelity(a: Path, b: Path, weights: str) -> dict[str, Any]:
    from torch_fidelity import calculate_metrics

    found = calculate_metrics(
        input1=str(a),
        input2=str(b),
        isc=True,
        kid=True,
        prc=True,
        kid_subset_size=SIZE,
        feature_extractor="inception-v3-compat",
        feature_layer_prc="2048",  # its default is another network, VGG16
        feature_extractor_weights_path=weights,
        cuda=False,
        cache=False,
        verbose=False,
    )
    return {
        "kid": {"torch-fidelity": [found[f"kernel_inception_distance_{part}"] for part in ("mean", "std")]},
        "is": {"torch-fidelity": [found[f"inception_score_{part}"] for part in ("mean", "std")]},
        "prdc": {"torch-fidelity": [found[part] for part in ("precision", "recall", "f_score")]},
    }


def _torchmetrics(a: Path, b: Path, weights: str) -> dict[str, Any]:
    import torch
    from PIL import Image
    from torchmetrics.image.fid import NoTrainInceptionV3
    from torchmetrics.image.inception import InceptionScore
    from torchmetrics.image.kid import KernelInceptionDistance

    def images(folder: Path) -> torch.Tensor:
        return torch.stack([torch.from_numpy(np.array(Image.open(p).convert("RGB"))) for p in sorted(folder.iterdir())])

    kid = KernelInceptionDistance(
        NoTrainInceptionV3("inception-v3-compat", ["2048"], weights), subsets=SUBSETS, subset_size=SIZE
    )
    score = InceptionScore(NoTrainInceptionV3("inception-v3-compat", ["logits_unbiased"], weights), splits=SPLITS)
    for folder, real in ((a, False), (b, True)):
        for batch in images(folder).permute(0, 3, 1, 2).split(50):
            kid.update(batch, real=real)
            if not real:
                score.update(batch)
    return {"kid": {"torchmetrics": _over_seeds(kid)}, "is": {"torchmetrics": _over_seeds(score)}}


def _over_seeds(metric: Any) -> list[list[float]]:
    import torch

    values = []
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        metric._computed = None
        values.append([float(value) for value in metric.compute()])
    return values


def _clean_fid(a: Path, b: Path, weights: str) -> dict[str, Any]:
    import torch
    from cleanfid import fid
    from parity_tools import clean_extractor

    network, cpu = clean_extractor(weights), torch.device("cpu")
    x, y = (fid.get_folder_features(str(f), network, 0, batch_size=50, device=cpu, verbose=False) for f in (a, b))
    np.random.seed(0)  # noqa: NPY002 - the tool draws from it
    return {"kid": {"clean-fid": [fid.kernel_distance(x, y, SUBSETS, SIZE)]}}


def _spatial(a: Path, b: Path, weights: str) -> dict[str, Any]:
    """ADM's layer of torch-fidelity's network, which has ADM's resize, and ADM's formula."""
    import torch
    from scipy.linalg import sqrtm
    from torch_fidelity.datasets import ImagesPathDataset
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], weights).eval()
    seen: list[Any] = []
    network.Mixed_6d.branch1x1.register_forward_hook(lambda _, __, out: seen.append(out[:, :7].permute(0, 2, 3, 1)))
    statistics = []
    for folder in (a, b):
        dataset = ImagesPathDataset([str(path) for path in sorted(folder.iterdir())])
        with torch.no_grad():
            for first in range(0, len(dataset), 50):
                network(torch.stack([dataset[i] for i in range(first, min(first + 50, len(dataset)))]))
        rows = torch.cat(seen).flatten(1).numpy()
        seen.clear()
        statistics.append((np.mean(rows, axis=0), np.cov(rows, rowvar=False)))
    (m1, s1), (m2, s2) = statistics
    value = (m1 - m2) @ (m1 - m2) + np.trace(s1) + np.trace(s2) - 2 * np.trace(sqrtm(s1 @ s2)).real
    return {"sfid": {"ADM's formula on torch-fidelity's network": [float(value)]}}


def features(file: Path, clones: Path) -> dict[str, Any]:
    """Run the tools' functions on matrices of features, in their dtype and, where it matters, in float64."""
    from prdc import compute_prdc
    from rivals import declare_missing_operators

    declare_missing_operators()
    with np.load(file) as given:
        a, b, logits = given["a"], given["b"], given["logits"]

    dgm = {
        name: module(clones / CLONES["dgm-eval"] / f"{name}.py")
        for name in ("prdc", "authpct", "vendi", "mmd", "inception_score")
    }
    p = np.exp(logits.astype(np.float64))
    p /= p.sum(axis=1, keepdims=True)
    four, size, rng = ("precision", "recall", "density", "coverage"), min(len(a), len(b)), np.random.RandomState(13579)
    chosen = [rows[rng.choice(len(rows), size, replace=False)] for rows in (b, a)]  # as its compute_scores does
    of_prdc, of_dgm = compute_prdc(b, a, 5), dgm["prdc"].compute_prdc(*chosen, 5)
    return {
        "prdc": {
            "prdc": [float(of_prdc[name]) for name in four],
            "dgm-eval": [float(of_dgm[name]) for name in four],
            **_torch_fidelity_prdc(a, b),
        },
        "kid": _kids(a, b, dgm["mmd"], clones),
        "is": {"dgm-eval": [float(v) for v in dgm["inception_score"].calculate_score(p, SPLITS, len(p))]},
        "vendi": {
            "dgm-eval": [float(dgm["vendi"].compute_vendi_score(a))],
            "dgm-eval, float64": [float(dgm["vendi"].compute_vendi_score(a.astype(np.float64)))],
        },
        "authpct": {"dgm-eval": [dgm["authpct"].compute_authpct(b, a)]},
        "cmmd": _cmmd(a, b, clones),
        "mind": _mind(a, b, clones),
    }


def _torch_fidelity_prdc(a: Any, b: Any) -> dict[str, Any]:
    import torch
    from torch_fidelity.metric_prc import prc_features_to_metric

    return {
        f"torch-fidelity{name}": list(
            prc_features_to_metric(torch.from_numpy(a.astype(t)), torch.from_numpy(b.astype(t)), verbose=False).values()
        )
        for name, t in (("", np.float32), (", float64", np.float64))
    }


def _kids(a: Any, b: Any, dgm: Any, clones: Path) -> dict[str, Any]:
    import torch
    from cleanfid.fid import kernel_distance
    from torch_fidelity.metric_kid import kid_features_to_metric

    gan = module(clones / CLONES["MMD-GAN"], "tensorflow", "six", "six.moves")
    gan.range = range  # which it has from six
    found: dict[str, Any] = {}
    for name, dtype in (("", np.float32), (", float64", np.float64)):
        x, y = a.astype(dtype), b.astype(dtype)
        both = kid_features_to_metric(torch.from_numpy(x), torch.from_numpy(y), kid_subset_size=SIZE, verbose=False)
        found[f"torch-fidelity{name}"] = list(both.values())
        for tool, run in (
            ("clean-fid", lambda: [kernel_distance(x, y, SUBSETS, SIZE)]),  # noqa: B023 - called at once
            ("dgm-eval", lambda: _spread(dgm.compute_mmd(y, x, SUBSETS, SIZE))),  # noqa: B023
            ("mmd-gan", lambda: _spread(gan.polynomial_mmd_averages(x, y, 50, SIZE, output=sys.stderr)[0])),  # noqa: B023
        ):
            np.random.seed(13579 if tool == "dgm-eval" else 0)  # noqa: NPY002 - the tools draw from it
            found[tool + name] = run()
    return found


def _spread(values: Any) -> list[float]:
    return [float(np.mean(values)), float(np.std(values))]


def _cmmd(a: Any, b: Any, clones: Path) -> dict[str, Any]:
    mmd = module(clones / CLONES["cmmd-pytorch"]).mmd
    found = {}
    for name, dtype in (("", np.float32), (", float64", np.float64)):
        x, y = (rows.astype(dtype) / np.linalg.norm(rows.astype(dtype), axis=1, keepdims=True) for rows in (a, b))
        found[f"cmmd-pytorch{name}"] = [float(mmd(x, y))]
    return found


def _mind(a: Any, b: Any, clones: Path) -> dict[str, Any]:
    import torch
    from torch_fidelity.defaults import DEFAULTS

    DEFAULTS.setdefault("mind_num_projections", 1000)  # the release, which the clone's file imports, does not have it
    tool = module(clones / CLONES["torch-fidelity HEAD"])
    both = torch.from_numpy(a), torch.from_numpy(b)
    options = {"mind_num_projections": 1000, "cuda": False, "verbose": False}
    values = [[*tool.mind_features_to_metric(*both, rng_seed=seed, **options).values()] for seed in range(SEEDS)]
    return {"torch-fidelity HEAD": values}


def adm(file: Path, clones: Path) -> dict[str, Any]:
    """Run guided-diffusion's distances in TensorFlow and its other functions, and improved-gan's formula."""
    import tensorflow.compat.v1 as tf

    tf.disable_eager_execution()
    tool = module(clones / CLONES["guided-diffusion"], "requests")
    with np.load(file) as given:
        a, b, logits, spatial = given["a"], given["b"], given["logits"], [given["spatial_a"], given["spatial_b"]]
    evaluator = tool.Evaluator.__new__(tool.Evaluator)  # not __init__, which downloads the network
    evaluator.softmax_batch_size, evaluator.softmax_input, evaluator.softmax = 512, "input", "softmax"
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)  # float32, as its graph has it
    evaluator.sess = mock.MagicMock()
    evaluator.sess.run = lambda _, feed_dict: feed_dict["input"]
    with tf.Session() as session:
        evaluator.manifold_estimator = tool.ManifoldEstimator(session)
        # In float16 a distance above 65504 overflows, and the tool then takes float32: a power of two makes it do so.
        precision = {name: evaluator.compute_prec_recall(s * b, s * a) for name, s in (("", 1), (", float32", 1024))}
    x, y = (evaluator.compute_statistics(rows) for rows in spatial)
    kept = _of_improved_gan(clones / CLONES["improved-gan"])
    return {
        "prdc": {f"guided-diffusion{name}": list(values) for name, values in precision.items()},
        "is": {
            "guided-diffusion": [evaluator.compute_inception_score(p)],
            "improved-gan": [float(value) for value in kept(p, SPLITS)],
        },
        "sfid": {"guided-diffusion": [float(x.frechet_distance(y))]},
    }


def _of_improved_gan(path: Path) -> Any:
    """Return the end of its get_inception_score, from the softmax outputs on, as a function (preds, splits)."""
    text = path.read_text()
    whole = next(
        n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef) and n.name == "get_inception_score"
    )
    session = next(node for node in whole.body if isinstance(node, ast.With))
    start = next(i for i, node in enumerate(session.body) if ast.unparse(node).startswith("scores"))
    body = "\n".join(f"    {line}" for node in session.body[start:] for line in ast.unparse(node).splitlines())
    scope: dict[str, Any] = {"np": np}
    exec(f"def of_softmax(preds, splits):\n{body}", scope)
    return scope["of_softmax"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    whole = commands.add_parser("chain")
    whole.add_argument("a", type=Path)
    whole.add_argument("b", type=Path)
    whole.add_argument("--weights", required=True)
    for name in ("features", "adm"):
        command = commands.add_parser(name)
        command.add_argument("file", type=Path)
        command.add_argument("--clones", type=Path, required=True)
    options = vars(parser.parse_args())
    run = {"chain": chain, "features": features, "adm": adm}[options.pop("command")]
    print(json.dumps(run(**options)))


if __name__ == "__main__":
    main()
