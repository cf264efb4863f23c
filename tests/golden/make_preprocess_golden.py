"""Make preprocess.npz: seeded images after torchvision's and open_clip's transforms, sampled at seeded positions.

    python tests/golden/make_preprocess_golden.py

Needs torchvision 0.28 and open_clip 3.3 with Pillow 13; the tests need only the file.
"""

from pathlib import Path

import numpy as np

SAMPLES = 120
IMAGENET = "mean=0.485,0.456,0.406 std=0.229,0.224,0.225"
OPENAI = "mean=0.48145466,0.4578275,0.40821073 std=0.26862954,0.26130258,0.27577711"

# The specification that must equal each of the transforms below.
MODES = {
    "clip": "clip",
    "clip_squash": f"size=224 resize=bicubic {OPENAI}",
    "dinov2": "dinov2",
    "imagenet": f"size=224 resize=bilinear shortest=256 {IMAGENET}",
    "wide": "size=96,160 resize=lanczos shortest=177 mean=0.5 std=0.5",
    "nearest": "size=37 resize=nearest shortest=40",
    "box": "size=37 resize=box shortest=40",
    "hamming": "size=31,37 resize=hamming",
}

SHAPES = [
    *[(32, 32), (224, 224), (256, 256), (500, 333), (333, 500), (640, 480), (1000, 300), (1, 300), (300, 1), (7, 5)],
    # Corners of the crop that fall between two pixels, below an even and below an odd one.
    *[(225, 224), (224, 225), (224, 227), (229, 224), (256, 257), (259, 256)],
    # A long side that is whole as shortest * long / short and one less as shortest * (long / short).
    *[(28, 61), (122, 56), (61, 59)],
]


def image(height: int, width: int) -> np.ndarray:
    """Noise in sixteen values from 0 to 255, (height, width, 3) uint8, the same on every machine."""
    drawn = np.random.RandomState(height * 10_000 + width).randint(0, 16, (height, width, 3))
    return (17 * drawn).astype(np.uint8)


def positions(height: int, width: int, size: int) -> np.ndarray:
    """Where an output of `size` numbers is sampled: flat indices, the first and the last among them."""
    drawn = np.random.RandomState(height + 1000 * width).randint(0, size, SAMPLES - 2)
    return np.concatenate([[0, size - 1], drawn])


def main() -> None:
    import torch

    # torchvision registers two compiled operators at import that a CPU install lacks; they are not called.
    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
    from open_clip.transform import image_transform
    from PIL import Image
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Normalize, Resize, ToTensor
    from torchvision.transforms._presets import ImageClassification

    openai = {"is_train": False, "mean": OPENAI_DATASET_MEAN, "std": OPENAI_DATASET_STD}
    transforms = {
        "clip": image_transform(224, **openai),
        "clip_squash": image_transform(224, resize_mode="squash", **openai),
        "dinov2": Compose(
            [
                Resize(256, InterpolationMode.BICUBIC),
                CenterCrop(224),
                ToTensor(),
                Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
            ]
        ),
        "imagenet": ImageClassification(crop_size=224),  # the default of torchvision.models' weights
        "wide": Compose(
            [
                Resize(177, InterpolationMode.LANCZOS),
                CenterCrop((96, 160)),
                ToTensor(),
                Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
            ]
        ),
        "nearest": Compose([Resize(40, InterpolationMode.NEAREST), CenterCrop(37), ToTensor()]),
        "box": Compose([Resize(40, InterpolationMode.BOX), CenterCrop(37), ToTensor()]),
        "hamming": Compose([Resize((31, 37), InterpolationMode.HAMMING), ToTensor()]),
    }
    assert transforms.keys() == MODES.keys()
    golden = {}
    for name, transform in transforms.items():  # a row for each shape
        outputs = [transform(Image.fromarray(image(*shape))).numpy().ravel() for shape in SHAPES]
        golden[name] = np.stack([o[positions(*shape, o.size)] for shape, o in zip(SHAPES, outputs, strict=True)])
    np.savez_compressed(Path(__file__).with_name("preprocess.npz"), **golden)


if __name__ == "__main__":
    main()
