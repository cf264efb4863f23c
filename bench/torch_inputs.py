"""Inputs made by torch itself: data sets, loaders, tensors of every kind; and its bytes of floats against ours.

    python bench/torch_inputs.py

It needs torch and fastfid in one environment, and asserts that

- the pixels, and the features of a small network, are those of the same images as a NumPy array;
- all finite float16 and bfloat16 values, and 16 million of float32, become the bytes of torch's own expressions.

It prints a table of both. The tests themselves do without torch; a class with its methods stands in there.
"""

import itertools
import warnings

import numpy as np
import torch
from torch.utils.data import ConcatDataset, DataLoader, Dataset, IterableDataset, Subset, TensorDataset

import fastfid
from fastfid.images.quantise import Quantise
from fastfid.sources import open_source, read_items

N = 40
IMAGES = np.random.RandomState(0).randint(0, 256, (N, 32, 32, 3)).astype(np.uint8)
CHW = torch.from_numpy(IMAGES).permute(0, 3, 1, 2)
FLOATS = CHW.float() / 127.5 - 1
ROUNDED = ("bfloat16", "float8_e4m3fn", "float16")
RANGE = {"value_range": (-1, 1), "quantise": "round"}


class Pairs(Dataset):
    """(image, label), by index."""

    def __init__(self, images: torch.Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.images[index], index % 10


class Stream(IterableDataset):
    """Images in their order."""

    def __iter__(self):
        yield from CHW


class Named(Pairs):
    """{"pixel_values": image, "mask": image, "label": label}."""

    def __getitem__(self, index: int) -> dict:
        return {"pixel_values": self.images[index], "mask": self.images[index][:1], "label": index}


CASES = {
    "tensor NCHW uint8": (lambda: CHW, {}),
    "tensor NCHW uint8, contiguous": (lambda: CHW.contiguous(), {}),
    "tensor NCHW, channels_last in memory": (lambda: CHW.contiguous(memory_format=torch.channels_last), {}),
    "tensor NHWC uint8": (lambda: torch.from_numpy(IMAGES), {}),
    "tensor float32": (lambda: FLOATS, RANGE),
    "tensor float64": (lambda: CHW.double() / 127.5 - 1, RANGE),
    "tensor float16": (lambda: FLOATS.half(), RANGE),
    "tensor bfloat16": (lambda: FLOATS.bfloat16(), RANGE),
    "tensor float8_e4m3fn": (lambda: FLOATS.to(torch.float8_e4m3fn), RANGE),
    "tensor that requires grad": (lambda: FLOATS.clone().requires_grad_(), RANGE),
    "parameter": (lambda: torch.nn.Parameter(FLOATS), RANGE),
    "list of tensors": (lambda: list(CHW), {}),
    "list of batches": (lambda: list(CHW.split(16)), {}),
    "generator of batches": (lambda: iter(FLOATS.split(16)), RANGE),
    "Dataset of pairs": (lambda: Pairs(CHW), {}),
    "Dataset of pairs of float16": (lambda: Pairs(FLOATS.half()), RANGE),
    "Dataset of dictionaries": (lambda: Named(CHW), {"image_key": "pixel_values"}),
    "TensorDataset": (lambda: TensorDataset(CHW, torch.arange(N)), {}),
    "ConcatDataset of Subsets": (
        lambda: ConcatDataset([Subset(Pairs(CHW), range(25)), Subset(Pairs(CHW), range(25, N))]),
        {},
    ),
    "IterableDataset": (Stream, {}),
    "DataLoader, batches of 16": (lambda: DataLoader(Pairs(CHW), batch_size=16), {}),
    "DataLoader, 2 workers": (lambda: DataLoader(Pairs(FLOATS), batch_size=16, num_workers=2), RANGE),
    "DataLoader, single": (lambda: DataLoader(Pairs(CHW), batch_size=None), {}),
    "DataLoader of dictionaries": (lambda: DataLoader(Named(CHW), batch_size=7), {"image_key": "pixel_values"}),
    "DataLoader of an IterableDataset": (lambda: DataLoader(Stream(), batch_size=16), {}),
    "DataLoader, own collate to lists": (
        lambda: itertools.chain.from_iterable(DataLoader(Pairs(CHW), batch_size=16, collate_fn=list)),
        {},
    ),
}

EXPRESSIONS = {
    "EDM, StyleGAN3: `x * 127.5 + 128`": (Quantise(-1, 1, "edm"), lambda x: (x * 127.5 + 128).clip(0, 255)),
    "DiT, SiT: `127.5 * x + 128.0`": (Quantise(-1, 1, "edm"), lambda x: torch.clamp(127.5 * x + 128.0, 0, 255)),
    "torchvision `save_image`": (Quantise(0, 1, "edm"), lambda x: x.mul(255).add_(0.5).clamp_(0, 255)),
    "ADM: `(x + 1) * 127.5`": (Quantise(-1, 1, "truncate"), lambda x: ((x + 1) * 127.5).clamp(0, 255)),
    "torchmetrics: `(x * 255).byte()`": (Quantise(0, 1, "truncate"), lambda x: x.clamp(0, 1) * 255),
    "diffusers: `(x / 2 + 0.5)`, `round`": (
        Quantise(-1, 1, "round"),
        lambda x: ((x / 2 + 0.5).clamp(0, 1) * 255).round(),
    ),
    "`save_image(normalize=True)`, which has no name here": (
        Quantise(-1, 1, "round"),
        lambda x: x.clamp(-1, 1).sub(-1).div(2).mul(255).add(0.5).clamp(0, 255),
    ),
}


def floats() -> dict[str, torch.Tensor]:
    bits = torch.arange(1 << 16, dtype=torch.int32).to(torch.int16)
    found = {"float16": bits.view(torch.float16).float(), "bfloat16": bits.view(torch.bfloat16).float()}
    generator = torch.Generator().manual_seed(0)
    uniform = torch.rand(1 << 24, generator=generator) * 2.5 - 1.25
    borders = (torch.arange(-600, 1200) / 510)[:, None] + torch.linspace(-3e-7, 3e-7, 201)
    found["float32"] = torch.cat([uniform, borders.flatten(), borders.flatten() * 2 - 1])
    found["float64"] = found["float32"].double() + torch.rand(len(found["float32"]), generator=generator) * 1e-9
    return {kind: x[x.isfinite()] for kind, x in found.items()}


def main() -> None:
    warnings.simplefilter("ignore", fastfid.FastFIDWarning)
    extractor = fastfid.Extractor("inception-v3-random", dims=64, batch_size=8)
    expected = extractor(IMAGES)
    print(f"torch {torch.__version__}, NumPy {np.__version__}, fastfid {fastfid.__version__}\n")
    print("| input | images | size known before | pixels | features |")
    print("|---|---|---|---|---|")
    for name, (make, terms) in CASES.items():
        source = open_source(make(), **terms)
        size = source.size
        pixels = np.array([item.decode().pixels for item in read_items(source)])
        wanted = IMAGES
        if kind := next((kind for kind in ROUNDED if kind in name), None):  # they do not hold all 256 values
            floats_ = FLOATS.to(getattr(torch, kind)).float().permute(0, 2, 3, 1).numpy()
            wanted, _ = Quantise(-1, 1, "round")(floats_, name)
        assert np.array_equal(pixels, wanted), name
        features = extractor(open_source(make(), **terms))
        same = np.array_equal(features, expected if wanted is IMAGES else extractor(wanted))
        assert same, name
        print(f"| {name} | {len(pixels)} | {size if size is not None else 'no'} | equal | equal |", flush=True)
    print("\n| expression | ours | " + " | ".join(f"{kind}, {len(x):,}" for kind, x in floats().items()) + " |")
    print("|---|---|---|---|---|---|")
    for name, (ours, theirs) in EXPRESSIONS.items():
        found = []
        for x in floats().values():
            with np.errstate(over="ignore"):
                mine, _ = ours(x.numpy(), name)
            different = int((torch.from_numpy(mine) != theirs(x.clone()).to(torch.uint8)).sum())
            assert different == 0 or "no name" in name, (name, different)
            found.append(f"{different or 'equal'}")
        print(f"| {name} | {ours.way} {ours.low:g},{ours.high:g} | {' | '.join(found)} |", flush=True)


if __name__ == "__main__":
    main()
