"""Make fid.json: the FIDs that pytorch-fid and torch-fidelity print for small drawn sets, with `inception-v3-random`.

    python tests/golden/make_fid_golden.py tests/golden/fid.json

Needs fastfid, torch 2.13, torchvision 0.28, scipy 1.17.1, pytorch-fid 0.3.0 and torch-fidelity 0.4.0; the tests need
only the file. Each set has images of one size, because neither tool takes mixed sizes.
"""

import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

_operators = torch.library.Library("torchvision", "DEF")  # declared, never called; see make_models_golden.py
for _name in ("nms", "qnms"):
    _operators.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

sys.path.insert(0, str(Path(__file__).parents[1]))

from pictures import golden_sets  # noqa: E402

PAIRS = [("tiny", "large"), ("large", "exact")]


def pytorch_fid(a: str, b: str, weights: str) -> float:
    from pytorch_fid import fid_score, inception

    inception.load_state_dict_from_url = lambda *_, **__: torch.load(weights)
    return float(fid_score.calculate_fid_given_paths([a, b], 8, "cpu", 2048, 0))


def torch_fidelity(a: str, b: str, weights: str) -> float:
    import torch_fidelity

    options = {"feature_extractor": "inception-v3-compat", "feature_extractor_weights_path": weights, "batch_size": 8}
    metrics = torch_fidelity.calculate_metrics(input1=a, input2=b, fid=True, cuda=False, cache=False, **options)
    return float(metrics["frechet_inception_distance"])


def save_weights(path: Path) -> str:
    from fastfid.networks.random import random_weights

    state = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in random_weights().items()}
    for name in [name for name in state if name.endswith("running_var")]:
        state[name.replace("running_var", "num_batches_tracked")] = torch.tensor(0)
    torch.save(state, path)
    return str(path)


def main(out: Path) -> None:
    tools = {"pytorch": pytorch_fid, "tensorflow": torch_fidelity}
    found = {"versions": {name: version(name) for name in ("pytorch-fid", "torch-fidelity", "torch", "scipy")}}
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        weights = save_weights(root / "weights.pth")
        folders = golden_sets(root)
        for mode, tool in tools.items():
            found[mode] = {f"{a} {b}": tool(str(folders[a]), str(folders[b]), weights) for a, b in PAIRS}
    out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
