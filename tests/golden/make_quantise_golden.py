"""Writes quantise.json: hashes of the bytes that the tools' own expressions make of floats, by torch and NumPy.

    python tests/golden/make_quantise_golden.py

It needs torch. The floats are all finite values of half precision, and 65,536 of float32 and float64 around the range.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch

# (values of black and white, our name of the way): the expressions, for tensors x
EXPRESSIONS = {
    "edm: EDM, EDM2, StyleGAN3": ((-1, 1), "edm", lambda x: (x * 127.5 + 128).clip(0, 255).to(torch.uint8)),
    "edm: DiT, SiT, iMF": ((-1, 1), "edm", lambda x: torch.clamp(127.5 * x + 128.0, 0, 255).to(torch.uint8)),
    "edm: save_image": ((0, 1), "edm", lambda x: x.mul(255).add_(0.5).clamp_(0, 255).to(torch.uint8)),
    "truncate: ADM": ((-1, 1), "truncate", lambda x: ((x + 1) * 127.5).clamp(0, 255).to(torch.uint8)),
    "truncate: torchmetrics": ((0, 1), "truncate", lambda x: (x.clamp(0, 1) * 255).byte()),
    "round: diffusers": (
        (-1, 1),
        "round",
        lambda x: torch.from_numpy(((x / 2 + 0.5).clamp(0, 1).numpy() * 255).round().astype("uint8")),
    ),
    "round: MAR": (
        (-1, 1),
        "round",
        lambda x: torch.from_numpy(np.round(np.clip(((x + 1) / 2).numpy() * 255, 0, 255)).astype(np.uint8)),
    ),
}


def floats() -> dict[str, torch.Tensor]:
    """Return the values by the name of their type, in the precision that a tool computes in."""
    bits = torch.arange(1 << 16, dtype=torch.int32).to(torch.int16)
    uniform = np.random.RandomState(0).uniform(-1.25, 1.25, 1 << 16)
    found = {
        "float16": bits.view(torch.float16).float(),
        "bfloat16": bits.view(torch.bfloat16).float(),
        "float32": torch.from_numpy(uniform.astype(np.float32)),
        "float64": torch.from_numpy(uniform),
    }
    return {name: values[values.isfinite()] for name, values in found.items()}


def main() -> None:
    """Write the file."""
    golden = {
        name: {
            "value_range": value_range,
            "quantise": way,
            **{kind: hashlib.sha256(expression(x.clone()).numpy()).hexdigest() for kind, x in floats().items()},
        }
        for name, (value_range, way, expression) in EXPRESSIONS.items()
    }
    target = Path(__file__).with_name("quantise.json")
    target.write_text(json.dumps({"torch": torch.__version__, "tools": golden}, indent=1) + "\n")


if __name__ == "__main__":
    main()
