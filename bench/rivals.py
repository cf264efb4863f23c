"""One rival FID tool on two folders, on the CPU, with given weights: prints one JSON line.

    python bench/rivals.py pytorch-fid A B --weights W.pth
    python bench/rivals.py torch-fidelity A B --weights W.pth
    python bench/rivals.py pytorch-fid A B --weights W.pth --features OUT.npz
    python bench/rivals.py pytorch-fid A --weights W.pth --rate OUT.npz [--device cuda] [--workers 8] [--batch-size 50]

The third writes pytorch-fid's features of both folders at every tap, one image at a time, instead of a FID. The last
measures its time from one folder to mu and sigma, without imports and loading, and writes both.

Runs in a separate environment with the rivals (torch, torchvision, scipy==1.17.1, pytorch-fid==0.3.0,
torch-fidelity==0.4.0), never in fastfid's. `bench/end_to_end.py` calls it.
"""

import argparse
import json
import os
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
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


def save_features(a: str, b: str, weights: str, out: str) -> None:
    from pytorch_fid import fid_score, inception

    inception.load_state_dict_from_url = lambda *args, **kwargs: torch.load(weights, map_location="cpu")
    found = {}
    for dims, block in inception.InceptionV3.BLOCK_INDEX_BY_DIM.items():
        network = inception.InceptionV3([block])
        for side, folder in (("a", a), ("b", b)):
            files = sorted(f for end in fid_score.IMAGE_EXTENSIONS for f in Path(folder).glob(f"*.{end}"))
            # One image a batch: it cannot stack images of mixed sizes.
            found[f"{side}{dims}"] = np.concatenate(
                [fid_score.get_activations([file], network, 1, dims, "cpu", 0) for file in files]
            )
    np.savez(out, **found)


def read_weights(path: str) -> dict[str, torch.Tensor]:
    """A state dict from a `.pth`, or from an `.npz` with an array by every name."""
    if path.endswith(".npz"):
        with np.load(path) as file:
            return {name: torch.from_numpy(file[name]) for name in file.files}
    return torch.load(path, map_location="cpu")


def save_rate(options: argparse.Namespace) -> dict[str, float]:
    from pytorch_fid import fid_score, inception

    inception.load_state_dict_from_url = lambda *args, **kwargs: read_weights(options.weights)
    network = inception.InceptionV3([inception.InceptionV3.BLOCK_INDEX_BY_DIM[2048]]).to(options.device)
    with torch.no_grad():  # cuDNN and the allocator warm up; in training mode this would change the batch norm
        network.eval()(torch.zeros(options.batch_size, 3, 299, 299, device=options.device))
    start = time.perf_counter()
    mu, sigma = fid_score.compute_statistics_of_path(
        options.a, network, options.batch_size, 2048, options.device, options.workers
    )
    seconds = time.perf_counter() - start
    np.savez(options.rate, mu=mu, sigma=sigma)
    return {"seconds": seconds, "tf32": bool(torch.backends.cudnn.allow_tf32)}


RIVALS = {"pytorch-fid": run_pytorch_fid, "torch-fidelity": run_torch_fidelity}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rival", choices=RIVALS)
    parser.add_argument("a", type=lambda p: str(Path(p)))
    parser.add_argument("b", nargs="?", type=lambda p: str(Path(p)))
    parser.add_argument("--weights", required=True)
    parser.add_argument("--features", metavar="OUT.npz")
    parser.add_argument("--rate", metavar="OUT.npz")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--batch-size", type=int, default=50)
    options = parser.parse_args()
    declare_missing_operators()
    if options.features:
        save_features(options.a, options.b, options.weights, options.features)
        return
    if options.rate:
        about = {"version": version("pytorch-fid"), "torch": torch.__version__}
        print(json.dumps({**about, **save_rate(options)}))
        return
    start = time.perf_counter()
    fid = RIVALS[options.rival](options.a, options.b, options.weights)
    seconds = time.perf_counter() - start
    print(json.dumps({"tool": options.rival, "version": version(options.rival), "fid": fid, "seconds": seconds}))


if __name__ == "__main__":
    main()
