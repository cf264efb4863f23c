"""The tools that fastfid reproduces, each by its own code on the CPU: network inputs, features and FIDs.

    python bench/parity_tools.py images FOLDER --weights W.pth --out OUT.npz
    python bench/parity_tools.py fid A B --mode clean --weights W.pth

The first writes, for every file of FOLDER and every mode, the network's input and the 2048 features, one image at a
time, and prints as JSON which files a tool ignores. The second prints one FID as JSON.

Runs in a separate environment with the tools (torch, torchvision, scipy==1.17.1, pytorch-fid==0.3.0,
torch-fidelity==0.4.0, clean-fid==0.1.35, torchmetrics==1.8.2, scikit-image==0.26, keras==3), never in fastfid's.
`bench/parity.py` and `tests/golden/make_kinds_golden.py` call it.
"""

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TQDM_DISABLE", "1")

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rivals import declare_missing_operators

Array = NDArray[np.float32]


def fid_network(weights: str, **options: bool) -> torch.nn.Module:
    """Return pytorch-fid's network up to the 2048 features, with local weights."""
    from pytorch_fid import inception

    inception.load_state_dict_from_url = lambda *args, **kwargs: torch.load(weights, map_location="cpu")
    return inception.InceptionV3([3], **options).eval()


class _First(torch.nn.Module):
    """A network that returns a list of one, without the list."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.network(batch)[0]


@dataclass
class Tool:
    """One tool, live, and the network whose first convolution tells what reaches it."""

    network: torch.nn.Module
    features: Callable[[Path], Array]
    fid: Callable[[Path, Path, int], float]  # of two folders, with a batch size
    endings: frozenset[str] | None = None  # of the files that it looks for in a folder; None where it does not look


def pytorch_fid(weights: str) -> Tool:
    """pytorch-fid, whole."""
    from pytorch_fid import fid_score

    network = fid_network(weights)

    def features(path: Path) -> Array:
        return fid_score.get_activations([path], network, 1, 2048, "cpu", 0)[0]

    def fid(a: Path, b: Path, batch_size: int) -> float:
        return fid_score.calculate_fid_given_paths([str(a), str(b)], batch_size, "cpu", 2048, 0)

    return Tool(network, features, fid, frozenset(fid_score.IMAGE_EXTENSIONS))


def torch_fidelity(weights: str) -> Tool:
    """torch-fidelity, whole; a FID is told to look for all endings that fastfid knows."""
    from torch_fidelity import calculate_metrics
    from torch_fidelity.datasets import ImagesPathDataset
    from torch_fidelity.defaults import DEFAULTS
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    from torch_fidelity.utils import get_featuresdict_from_dataset

    network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], weights)

    def features(path: Path) -> Array:
        dataset = ImagesPathDataset([str(path)])
        return get_featuresdict_from_dataset(dataset, network, 1, False, True, False)["2048"][0].numpy()

    def fid(a: Path, b: Path, batch_size: int) -> float:
        found = calculate_metrics(
            input1=str(a),
            input2=str(b),
            fid=True,
            cuda=False,
            batch_size=batch_size,
            cache=False,
            verbose=False,
            save_cpu_ram=True,
            samples_find_ext="bmp,jpg,jpeg,pgm,png,ppm,tif,tiff,webp",
            feature_extractor="inception-v3-compat",
            feature_extractor_weights_path=weights,
        )
        return found["frechet_inception_distance"]

    return Tool(network, features, fid, frozenset(DEFAULTS["samples_find_ext"].split(",")))


def clean_fid(weights: str) -> Tool:
    """clean-fid, but for its network: that is TorchScript to download, here it is pytorch-fid's."""
    from cleanfid import fid as cleanfid
    from cleanfid.utils import EXTENSIONS

    scaled = clean_extractor(weights)
    cpu = torch.device("cpu")

    def features(path: Path) -> Array:
        return cleanfid.get_files_features([str(path)], scaled, 0, 1, cpu, "clean", verbose=False)[0]

    def fid(a: Path, b: Path, batch_size: int) -> float:
        settings = {"num_workers": 0, "batch_size": batch_size, "device": cpu, "verbose": False}
        return cleanfid.compute_fid(str(a), str(b), mode="clean", custom_feat_extractor=scaled, **settings)

    return Tool(scaled, features, fid, frozenset(EXTENSIONS))


def clean_extractor(weights: str) -> torch.nn.Module:
    """Return what clean-fid has for an extractor in mode clean: its own scaling before pytorch-fid's network."""
    from cleanfid.inception_torchscript import InceptionV3W

    scaled = InceptionV3W.__new__(InceptionV3W)  # not __init__, which loads the TorchScript
    torch.nn.Module.__init__(scaled)
    scaled.resize_inside = False
    scaled.layers = _First(fid_network(weights, resize_input=False, normalize_input=False))
    return scaled


def keras_tutorial(weights: str) -> Tool:
    """The Keras tutorial's resize, scaling and distance; the network is pytorch-fid's, whose weights are given."""
    from keras.applications.inception_v3 import preprocess_input
    from scipy.linalg import sqrtm
    from skimage.transform import resize

    network = fid_network(weights, resize_input=False, normalize_input=False)

    def features(path: Path) -> Array:
        image = np.asarray(Image.open(path).convert("RGB")).astype("float32")
        scaled = preprocess_input(resize(image, (299, 299, 3), 0))
        with torch.no_grad():
            return network(torch.from_numpy(scaled.transpose(2, 0, 1)[None]))[0].flatten().numpy()

    def fid(a: Path, b: Path, batch_size: int) -> float:
        x, y = (np.stack([features(path) for path in sorted(folder.iterdir())]) for folder in (a, b))
        sigma1, sigma2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
        root = np.real(sqrtm(sigma1.dot(sigma2)))
        return np.sum((x.mean(axis=0) - y.mean(axis=0)) ** 2.0) + np.trace(sigma1 + sigma2 - 2.0 * root)

    return Tool(network, features, fid)


def torchmetrics(weights: str) -> Tool:
    """Wrap torchmetrics, which takes tensors: here Pillow's RGB."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature_extractor_weights_path=weights)

    def tensor(path: Path) -> torch.Tensor:
        return torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)[None]

    def features(path: Path) -> Array:
        return metric.inception(tensor(path))[0].numpy()

    def fid(a: Path, b: Path, batch_size: int) -> float:
        metric.reset()
        for real, folder in ((True, a), (False, b)):
            images = [tensor(path) for path in sorted(folder.iterdir())]
            for start in range(0, len(images), batch_size):
                metric.update(torch.cat(images[start : start + batch_size]), real=real)
        return float(metric.compute())

    return Tool(metric.inception, features, fid)


TOOLS = {
    "pytorch": pytorch_fid,
    "tensorflow": torch_fidelity,
    "clean": clean_fid,
    "keras": keras_tutorial,
    "torchmetrics": torchmetrics,
}
PACKAGES = ("pytorch-fid", "torch-fidelity", "clean-fid", "scikit-image", "keras", "torchmetrics")


def input_and_features(tool: Tool, path: Path) -> tuple[Array, Array]:
    """What reaches the first convolution (3, 299, 299), and the features (2048,), as the tool's own code has them."""
    seen = []
    first = next(module for module in tool.network.modules() if isinstance(module, torch.nn.Conv2d))
    hook = first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0].numpy().copy()))
    try:
        features = tool.features(path)
    finally:
        hook.remove()
    (network_input,) = seen
    return network_input, features


def measure_images(folder: Path, weights: str, out: str) -> dict[str, Any]:
    """Write inputs and features of every file by every tool; return which files each tool does not look for."""
    paths = sorted(folder.iterdir())
    found: dict[str, Array] = {}
    overlooked: dict[str, list[str]] = {}
    for mode, make in TOOLS.items():
        tool = make(weights)
        overlooked[mode] = [p.name for p in paths if tool.endings is not None and p.suffix[1:] not in tool.endings]
        results = [input_and_features(tool, path) for path in paths]
        found[f"{mode} inputs"], found[f"{mode} features"] = (np.stack(part) for part in zip(*results, strict=True))
    np.savez(out, kinds=[path.name for path in paths], **found)
    return {"overlooked": overlooked, "versions": versions()}


def measure_fid(mode: str, a: Path, b: Path, weights: str) -> dict[str, Any]:
    """Return the tool's FID of two folders: with batches of 50, or image by image where it cannot stack mixed sizes."""
    tool = TOOLS[mode](weights)
    try:
        return {"fid": float(tool.fid(a, b, 50)), "crashed": None}
    except RuntimeError as error:
        return {"fid": float(tool.fid(a, b, 1)), "crashed": type(error).__name__}


def versions() -> dict[str, str]:
    """Versions of the tools and of what decides their numbers."""
    return {name: version(name) for name in (*PACKAGES, "torch", "scipy", "pillow")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    images = commands.add_parser("images")
    images.add_argument("folder", type=Path)
    images.add_argument("--out", required=True)
    fid = commands.add_parser("fid")
    fid.add_argument("a", type=Path)
    fid.add_argument("b", type=Path)
    fid.add_argument("--mode", choices=TOOLS, required=True)
    for command in (images, fid):
        command.add_argument("--weights", required=True)
    options = parser.parse_args()
    declare_missing_operators()
    if options.command == "images":
        result = measure_images(options.folder, options.weights, options.out)
    else:
        result = measure_fid(options.mode, options.a, options.b, options.weights)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
