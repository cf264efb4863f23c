"""Make resize.npz: seeded images resized by torch and torch-fidelity, sampled at seeded positions.

    python tests/golden/make_golden.py

Needs torch 2.13 and torch-fidelity 0.4.0, on a CPU with FMA (torch without it differs in the last digits); the tests
need only the file. See README.md beside this script.
"""

from pathlib import Path

import numpy as np

SIZE = 299
SHAPES = [(32, 32), (1, 1), (1, 7), (299, 299), (298, 300), (500, 333), (768, 1024)]
SAMPLES = 2000


def image(height: int, width: int) -> np.ndarray:
    """Noise (height, width, 3) uint8, the same on every machine."""
    return np.random.RandomState(height * 10_000 + width).randint(0, 256, (height, width, 3), dtype=np.uint8)


def positions(height: int, width: int) -> np.ndarray:
    """Where the output (3, 299, 299) of that image is sampled: flat indices, corners among them."""
    corners = [c * SIZE * SIZE + y * SIZE + x for c in range(3) for y in (0, SIZE - 1) for x in (0, SIZE - 1)]
    drawn = np.random.RandomState(height + width).randint(0, 3 * SIZE * SIZE, SAMPLES - len(corners))
    return np.concatenate([corners, drawn])


def main() -> None:
    import torch

    # torchvision registers two compiled operators at import that a CPU install lacks; neither is called here.
    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

    golden = {}
    for height, width in SHAPES:
        pixels = torch.from_numpy(image(height, width)).permute(2, 0, 1)[None]
        # pytorch-fid: ToTensor, then the first lines of InceptionV3.forward.
        x = torch.nn.functional.interpolate(pixels.float() / 255, (SIZE, SIZE), mode="bilinear", align_corners=False)
        golden[f"pytorch_{height}x{width}"] = (2 * x - 1).numpy()
        # torch-fidelity: the first lines of FeatureExtractorInceptionV3.forward.
        x = interpolate_bilinear_2d_like_tensorflow1x(pixels.float(), (SIZE, SIZE), align_corners=False)
        golden[f"tensorflow_{height}x{width}"] = ((x - 128) / 128).numpy()
    for name, planes in golden.items():
        height, width = map(int, name.split("_")[1].split("x"))
        golden[name] = planes.ravel()[positions(height, width)]
    np.savez_compressed(Path(__file__).with_name("resize.npz"), **golden)


if __name__ == "__main__":
    main()
