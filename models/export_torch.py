"""Write the network of a protocol as an ONNX file for fastfid. Runs where torch is; fastfid itself is not needed.

    python models/export_torch.py dinov2 --protocol fd-dinov2-edm2 dinov2.onnx
    python models/export_torch.py clip --protocol cmmd clip-l14-336.onnx

Needs torch, onnx and the package named by --from. If onnxruntime is installed, the file's features are compared with
torch's. Weights are downloaded by that package, unless --weights names a file or folder of yours.

The file has one input `images`, float32 (N, 3, H, W), already scaled, and one output `features`, float32 (N, d). Its
metadata state the preprocessing, the name and the SHA-256, as `fastfid models export` writes them.
"""

import argparse
import hashlib
import warnings
from pathlib import Path
from typing import NamedTuple

IMAGENET = "mean=0.485,0.456,0.406 std=0.229,0.224,0.225"
OPENAI = "mean=0.48145466,0.4578275,0.40821073 std=0.26862954,0.26130258,0.27577711"
MOST_APART = 1e-5  # of the largest feature, between ONNX Runtime and torch


class Kind(NamedTuple):
    """The network of a protocol.

    `names` has its name in each package.
    """

    command: str
    mode: str
    size: int
    dims: int
    names: dict[str, str]


VIT_L_14 = {"hub": "dinov2_vitl14", "transformers": "facebook/dinov2-large"}
PROTOCOLS = {
    "fd-dinov2-dgm-eval": Kind("dinov2", f"size=224 resize=bicubic {IMAGENET}", 224, 1024, VIT_L_14),
    "fd-dinov2-edm2": Kind("dinov2", f"size=224 resize=torch-bicubic {IMAGENET}", 224, 1024, VIT_L_14),
    "fd-dinov2-torch-fidelity": Kind(
        "dinov2",
        "size=224 resize=tensorflow-bilinear range=0,255 mean=123.675,116.28,103.53 std=58.395,57.12,57.375",
        224,
        1024,
        VIT_L_14,
    ),
    "cmmd": Kind(
        "clip",
        f"size=336 resize=bicubic {OPENAI} crop=square",
        336,
        768,
        {
            "transformers": "openai/clip-vit-large-patch14-336",
            "open_clip": "ViT-L-14-336-quickgelu",
            "clip": "ViT-L/14@336px",
        },
    ),
    "clip-fid": Kind(
        "clip",
        f"size=224 resize=bicubic shortest=224 {OPENAI}",
        224,
        512,
        {"transformers": "openai/clip-vit-base-patch32", "open_clip": "ViT-B-32-quickgelu", "clip": "ViT-B/32"},
    ),
}


def resized_positions(positions, side):
    """Position embeddings (1, 1 + M², d) for side x side patches, resized as facebookresearch/dinov2 does.

    Its scale factor has 0.1 added to the side, which moves the samples; other packages leave that out.
    """
    import torch

    grid = round((positions.shape[1] - 1) ** 0.5)
    if grid == side:
        return positions
    patches = positions[:, 1:].reshape(1, grid, grid, -1).permute(0, 3, 1, 2)
    patches = torch.nn.functional.interpolate(patches, scale_factor=[(side + 0.1) / grid] * 2, mode="bicubic")
    return torch.cat([positions[:, :1], patches.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)


def dinov2(source, name, weights, repo, size):
    """Return a module from images to the class token after the last norm."""
    import torch

    if source == "hub":
        where = {"repo_or_dir": repo or "facebookresearch/dinov2", "source": "local" if repo else "github"}
        model = torch.hub.load(model=name, pretrained=weights is None, trust_repo=True, **where)
        if weights is not None:
            model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        patch, owner, attribute = model.patch_size, model, "pos_embed"
        network = Picked(model, lambda token: token)
    else:
        from transformers import Dinov2Model

        model = Dinov2Model.from_pretrained(weights or name)
        patch, owner, attribute = model.config.patch_size, model.embeddings, "position_embeddings"
        network = Picked(model, lambda output: output.last_hidden_state[:, 0])
    with torch.no_grad():
        resized = resized_positions(getattr(owner, attribute).float(), size // patch)
    setattr(owner, attribute, torch.nn.Parameter(resized))
    return network


def clip(source, name, weights, repo, size):
    """Return a module from images to the projected embedding, which is not normalised."""
    if source == "transformers":
        from transformers import CLIPVisionModelWithProjection

        model = CLIPVisionModelWithProjection.from_pretrained(weights or name)
        return Picked(model, lambda output: output.image_embeds)
    if source == "open_clip":
        import open_clip

        return open_clip.create_model(name, pretrained=weights or "openai").visual
    from clip import load  # openai/CLIP

    return load(weights or name, device="cpu")[0].visual.float()


def Picked(model, pick):  # noqa: N802 - a class whose base is only known once torch is imported
    """A module that returns one tensor of the output of `model`."""
    import torch

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, images):
            return pick(self.model(images))

    return Network()


def export(network, size, path, metadata):
    """Write a module as one ONNX file with an open batch axis; return its SHA-256 without fastfid's metadata."""
    import onnx
    import torch

    torch.backends.mha.set_fastpath_enabled(False)  # it cannot be exported
    network.eval().requires_grad_(False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing; the file is compared with torch, with another batch size
        torch.onnx.export(
            network,
            (torch.zeros(2, 3, size, size),),
            path,
            input_names=["images"],
            output_names=["features"],
            opset_version=17,
            dynamic_axes={"images": {0: "N"}, "features": {0: "N"}},
            dynamo=False,
        )
    data = Path(path).read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    end = onnx.ModelProto()
    facts = {**metadata, "weights_sha256": sha256}
    onnx.helper.set_model_props(end, {f"fastfid.{key}": str(value) for key, value in facts.items()})
    Path(path).write_bytes(data + end.SerializeToString())  # a protocol buffer may go on after its end
    return sha256


def dims_of(network, size):
    import torch

    with torch.no_grad():
        return network.eval()(torch.zeros(1, 3, size, size)).shape[1]


def distance(network, size, path):
    """Return the largest difference between the file and torch over the largest feature; None without onnxruntime."""
    try:
        import onnxruntime
    except ImportError:
        return None
    import torch

    images = torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network(images).numpy()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(["features"], {"images": images.numpy()})
    return abs(found - expected).max() / abs(expected).max()


def parser():
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = made.add_subparsers(dest="command", required=True)
    for command in ("dinov2", "clip"):
        names = {name: kind for name, kind in PROTOCOLS.items() if kind.command == command}
        sources = list(next(iter(names.values())).names)
        each = commands.add_parser(command, help=f"for {', '.join(names)}")
        each.add_argument("out", help="the .onnx to write")
        each.add_argument("--protocol", required=True, choices=list(names))
        each.add_argument("--from", dest="source", choices=sources, default=sources[0], help="default: %(default)s")
        each.add_argument("--name", help="another network of that package")
        each.add_argument("--weights", help="a file or folder of weights, as that package reads it")
        each.add_argument("--repo", help="hub: a clone of facebookresearch/dinov2")
    return made


def main(arguments=None):
    given = parser().parse_args(arguments)
    kind = PROTOCOLS[given.protocol]
    name = given.name or kind.names[given.source]
    load = {"dinov2": dinov2, "clip": clip}[given.command]
    network = load(given.source, name, given.weights, getattr(given, "repo", None), kind.size)
    dims = dims_of(network, kind.size)
    name = name if given.weights is None else Path(given.weights).name
    sha256 = export(network, kind.size, given.out, {"mode": kind.mode, "model": name})
    apart = distance(network, kind.size, given.out)
    if apart is None:
        print("not compared with torch: onnxruntime is not installed")
    else:
        print(f"largest difference from torch: {apart:.1e} of the largest feature")
        if not apart <= MOST_APART:
            raise SystemExit(f"that is more than {MOST_APART:.0e}: do not use this file")
    if dims != kind.dims:
        print(f"note: it gives {dims} dims, and protocol {given.protocol} has {kind.dims}: fastfid will refuse it")
    print(f"{given.out}: {name}, {dims} dims, SHA-256 {sha256}")
    print(f"next: fastfid GENERATED REAL --protocol {given.protocol} --model {given.out}")


if __name__ == "__main__":
    main()
