"""One rival FID tool on two folders, on the CPU, with given weights: prints one JSON line.

    python bench/rivals.py pytorch-fid A B --weights W.pth
    python bench/rivals.py torch-fidelity A B --weights W.pth

Runs in an environment of the rivals' own (torch, torchvision, scipy==1.17.1, pytorch-fid==0.3.0,
torch-fidelity==0.4.0), never in fastfid's. `bench/end_to_end.py` calls it.
"""

import argparse
import json
import os
import time
from importlib.metadata import version
from pathlib import Path

import torch


def declare_missing_operators() -> None:
    """Stand in for two compiled operators of torchvision that a CPU build of torch may lack; FID calls neither."""
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    globals()["_operators"] = library  # kept alive


def run_pytorch_fid(a: str, b: str, weights: str) -> float:
    from pytorch_fid import fid_score, inception

    inception.load_state_dict_from_url = lambda *args, **kwargs: torch.load(weights, map_location="cpu")
    return float(fid_score.calculate_fid_given_paths([a, b], 50, "cpu", 2048, len(os.sched_getaffinity(0))))


def run_torch_fidelity(a: str, b: str, weights: str) -> float:
    import torch_fidelity

    metrics = torch_fidelity.calculate_metrics(
        input1=a,
        input2=b,
        fid=True,
        cuda=False,
        batch_size=50,
        cache=False,
        verbose=False,
        feature_extractor="inception-v3-compat",
        feature_extractor_weights_path=weights,
    )
    return float(metrics["frechet_inception_distance"])


RIVALS = {"pytorch-fid": run_pytorch_fid, "torch-fidelity": run_torch_fidelity}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rival", choices=RIVALS)
    parser.add_argument("a", type=lambda p: str(Path(p)))
    parser.add_argument("b", type=lambda p: str(Path(p)))
    parser.add_argument("--weights", required=True)
    options = parser.parse_args()
    declare_missing_operators()
    start = time.perf_counter()
    fid = RIVALS[options.rival](options.a, options.b, options.weights)
    seconds = time.perf_counter() - start
    print(json.dumps({"tool": options.rival, "version": version(options.rival), "fid": fid, "seconds": seconds}))


if __name__ == "__main__":
    main()
