"""Make protocols.npz: the network's input by the code that defines each protocol, for every kind of image.

    python tests/golden/make_protocols_golden.py --dgm-eval DIR --edm2 DIR --cmmd DIR

Needs clean-fid 0.1.35, torch-fidelity 0.4.0, transformers 5.24 and clones of layer6ai-labs/dgm-eval (74c79f7),
NVlabs/edm2 (4bf8162) and sayakpaul/cmmd-pytorch (f7673a9), with torch 2.13, torchvision 0.28 and Pillow 13. No weights
are needed: each tool's own code runs up to its network, which is replaced by one that returns its input. The tests
need only the file.
"""

import argparse
import sys
import tempfile
import zlib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np

SAMPLES = 128
HERE = Path(__file__).parent


def positions(kind: str, size: int) -> np.ndarray:
    """Where the network's input (3, size, size) of a kind is sampled: flat indices, corners among them."""
    corners = [c * size * size + y * size + x for c in range(3) for y in (0, size - 1) for x in (0, size - 1)]
    drawn = np.random.RandomState(zlib.crc32(kind.encode())).randint(0, 3 * size * size, SAMPLES - len(corners))
    return np.concatenate([corners, drawn])


def images() -> dict[str, np.ndarray]:
    """RGB pixels of every kind of kinds.py, by name; those of the formats as kinds.npz has them."""
    sys.path.insert(0, str(HERE.parent))
    import kinds

    drawn = {f"{width}x{height}.png": kinds.picture(height, width) for width, height in kinds.SIZES}
    with np.load(HERE / "kinds.npz") as file:
        return drawn | {name: file[f"{name} pixels"] for name in file["kinds"].tolist() if f"{name} pixels" in file}


def package(name: str, folder: Path | None = None, **contents: object) -> None:
    """Put a module in place of one that would import what is not needed here."""
    module = ModuleType(name)
    module.__path__ = [str(folder)] if folder else []
    module.__dict__.update(contents)
    sys.modules[name] = module


def dgm_eval(clone):
    from PIL import Image

    package("dgm_eval", clone / "dgm_eval")
    package("dgm_eval.models", clone / "dgm_eval" / "models")
    from dgm_eval.models.dinov2 import DINOv2Encoder

    encoder = DINOv2Encoder.__new__(DINOv2Encoder)
    encoder.__dict__["clean_resize"] = False  # the default
    return lambda path: encoder.transform(Image.open(path).convert("RGB"))


def edm2(clone):
    import torch
    from PIL import Image

    sys.path.insert(0, str(clone))
    package("generate_images")
    from calculate_metrics import DINOv2Detector

    detector = DINOv2Detector.__new__(DINOv2Detector)
    detector.resize_mode, detector.model = "torch", torch.nn.Identity()  # the default

    def fill(path):
        pixels = np.array(Image.open(path)).transpose(2, 0, 1)  # as training/dataset.py does without pyspng
        return detector(torch.as_tensor(pixels[None]))[0]

    return fill


def torch_fidelity():
    import torch
    from torch_fidelity.datasets import ImagesPathDataset
    from torch_fidelity.feature_extractor_dinov2 import FeatureExtractorDinoV2

    extractor = FeatureExtractorDinoV2.__new__(FeatureExtractorDinoV2)
    torch.nn.Module.__init__(extractor)
    extractor.features_list, extractor.feature_extractor_internal_dtype = ["dinov2"], torch.float32
    extractor.model = torch.nn.Identity()
    return lambda path: extractor(ImagesPathDataset([path])[0][None])[0][0]


def clean_fid():
    import torch

    package("clip")
    from cleanfid.clip_features import CLIP_fx, img_preprocess_clip
    from cleanfid.utils import ResizeDataset

    extractor = CLIP_fx.__new__(CLIP_fx)
    extractor.model = SimpleNamespace(encode_image=torch.nn.Identity())

    def fill(path):
        dataset = ResizeDataset([path], mode="clean")
        dataset.fn_resize = img_preprocess_clip
        return extractor(dataset[0])[0]

    return fill


def cmmd(clone):
    sys.path.insert(0, str(clone))
    import torch
    from embedding import ClipEmbeddingModel
    from io_util import CMMDDataset
    from transformers import CLIPImageProcessor

    seen = []

    def network(pixel_values):
        seen.append(pixel_values)
        return SimpleNamespace(image_embeds=torch.ones(len(pixel_values), 768))

    model = ClipEmbeddingModel.__new__(ClipEmbeddingModel)
    model.image_processor = CLIPImageProcessor(size={"shortest_edge": 336}, crop_size=336)
    model.input_image_size, model._model = 336, network
    dataset = CMMDDataset("", 336)

    def fill(path):
        dataset.img_path_list = [path]
        model.embed(dataset[0][None] / 255.0)
        return seen.pop()[0]

    return fill


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for clone in ("--dgm-eval", "--edm2", "--cmmd"):
        parser.add_argument(clone, required=True, type=Path)
    given = parser.parse_args()
    import torch
    from PIL import Image

    # torchvision registers two compiled operators at import that a CPU install lacks; they are not called.
    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    tools = {
        "dinov2-dgm-eval": dgm_eval(given.dgm_eval),
        "dinov2-edm2": edm2(given.edm2),
        "dinov2-torch-fidelity": torch_fidelity(),
        "clip": clean_fid(),
        "cmmd": cmmd(given.cmmd),
    }
    golden: dict[str, list[np.ndarray]] = {name: [] for name in tools}
    pictures = images()
    with tempfile.TemporaryDirectory() as scratch:
        for name, pixels in pictures.items():
            path = str(Path(scratch) / f"{name}.png")
            Image.fromarray(pixels).save(path)
            for tool, fill in tools.items():
                values = np.asarray(fill(path), np.float32)
                golden[tool].append(values.ravel()[positions(name, values.shape[-1])])
    kinds = np.array(list(pictures))
    np.savez_compressed(HERE / "protocols.npz", kinds=kinds, **{tool: np.stack(rows) for tool, rows in golden.items()})


if __name__ == "__main__":
    main()
