"""Make models_features.npz: features of `inception-v3-random` by pytorch-fid's network, at every tap.

    python tests/golden/make_models_golden.py tests/golden/models_features.npz

Needs fastfid, torch 2.13, torchvision 0.28 and pytorch-fid 0.3.0; the tests need only the file. The logits are
torch's product of the 2048 features with fc; `average` are the 2048 features with an average pool in the last block
(pytorch-fid's own class for Mixed_7b, put in the place of Mixed_7c), as Keras has it.
"""

import sys
from pathlib import Path

import numpy as np
import torch

# torchvision registers two compiled operators at import that a CPU install lacks; the network calls neither.
_operators = torch.library.Library("torchvision", "DEF")
for _name in ("nms", "qnms"):
    _operators.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import pytorch_fid.inception as reference  # noqa: E402

TAPS = (64, 192, 768, 2048)


def golden_images() -> np.ndarray:
    """Two images, (2, 3, 299, 299) float32 in [-1, 1]: noise, and noise in blocks of 23 pixels."""
    rng = np.random.RandomState(7)
    fine = rng.uniform(-1, 1, (3, 299, 299))
    coarse = rng.uniform(-1, 1, (3, 13, 13)).repeat(23, axis=1).repeat(23, axis=2)
    return np.stack([fine, coarse]).astype(np.float32)


def features(weights: dict[str, np.ndarray], images: np.ndarray) -> dict[str, np.ndarray]:
    """Features at every tap, float32."""
    state = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in weights.items()}
    # Strict loading wants the counters, which weights of ours do not have.
    for name in [name for name in state if name.endswith("running_var")]:
        state[name.replace("running_var", "num_batches_tracked")] = torch.tensor(0)
    reference.load_state_dict_from_url = lambda *_, **__: state
    taps = [reference.InceptionV3.BLOCK_INDEX_BY_DIM[dims] for dims in TAPS]
    network = reference.InceptionV3(taps, resize_input=False, normalize_input=False).eval()
    batch = torch.from_numpy(images)
    with torch.no_grad():
        found = {str(d): out.mean((2, 3)) for d, out in zip(TAPS, network(batch), strict=True)}
        found["1008"] = torch.nn.functional.linear(found["2048"], state["fc.weight"], state["fc.bias"])
        last = network.blocks[3][2]
        last.__class__ = reference.FIDInceptionE_1
        found["average"] = network(batch)[-1].mean((2, 3))
    return {name: value.numpy() for name, value in found.items()}


if __name__ == "__main__":
    from fastfid.networks.random import random_weights

    np.savez(Path(sys.argv[1]), **features(random_weights(), golden_images()))
