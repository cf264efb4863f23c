"""Make modes.npz: seeded images resized by clean-fid, scikit-image and torch, sampled at seeded positions.

    python tests/golden/make_modes_golden.py

Needs clean-fid 0.1.35 with Pillow 13, scikit-image 0.26 with SciPy 1.17, and torch 2.13 on a CPU with AVX2 (torch
without it differs in the last digits), on x86-64; the tests need only the file.
"""

from pathlib import Path

import numpy as np

SIZE = 299
SAMPLES = 400
SHAPES = [
    *[(32, 32), (1, 1), (1, 7), (7, 1), (299, 299), (298, 300), (299, 100), (40, 700), (700, 40)],
    *[(333, 500), (500, 333), (598, 598), (768, 1024), (1024, 768), (1500, 2000)],
]


def image(height: int, width: int) -> np.ndarray:
    """Noise in sixteen values from 0 to 255, (height, width, 3) uint8, the same on every machine."""
    drawn = np.random.RandomState(height * 10_000 + width).randint(0, 16, (height, width, 3))
    return (17 * drawn).astype(np.uint8)


def positions(height: int, width: int) -> np.ndarray:
    """Where the output (3, 299, 299) of that image is sampled: flat indices, corners among them."""
    corners = [c * SIZE * SIZE + y * SIZE + x for c in range(3) for y in (0, SIZE - 1) for x in (0, SIZE - 1)]
    drawn = np.random.RandomState(height + width).randint(0, 3 * SIZE * SIZE, SAMPLES - len(corners))
    return np.concatenate([corners, drawn])


def main() -> None:
    import torch

    # torchvision, which clean-fid imports, registers two compiled operators that a CPU install lacks; not called.
    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from cleanfid.resize import build_resizer
    from skimage.transform import resize

    golden = {}
    for height, width in SHAPES:
        pixels = image(height, width)
        # clean-fid: its resizer, then the network's own scaling.
        clean = (build_resizer("clean")(pixels) - np.float32(128)) / np.float32(128)
        # The Keras tutorial: astype, scale_images, then keras.applications.inception_v3.preprocess_input.
        keras = resize(pixels.astype("float32"), (SIZE, SIZE, 3), 0)
        keras = keras / np.float32(127.5) - np.float32(1)
        # torchmetrics: the first lines of NoTrainInceptionV3._torch_fidelity_forward, antialias=True.
        x = torch.from_numpy(pixels).permute(2, 0, 1)[None].to(torch.float)
        x = torch.nn.functional.interpolate(x, (SIZE, SIZE), mode="bilinear", align_corners=False, antialias=True)
        planes = {
            "clean": clean.transpose(2, 0, 1),
            "keras": keras.transpose(2, 0, 1),
            "torchmetrics": ((x - 128) / 128)[0].numpy(),
        }
        for mode, values in planes.items():
            golden[f"{mode}_{height}x{width}"] = values.ravel()[positions(height, width)]
    np.savez_compressed(Path(__file__).with_name("modes.npz"), **golden)


if __name__ == "__main__":
    main()
