"""Make crops.json: hashes of drawn images, cropped and resized by the code that prepared each data set.

    python tests/golden/make_crops_golden.py --edm DIR --guided-diffusion DIR --gigagan DIR

Needs clones of NVlabs/edm (008a4e5), openai/guided-diffusion (22e0df8) and mingukkang/GigaGAN (b2d3716), with
torchvision 0.28 for the last, and Pillow 13. Only the functions that crop are run, taken from the files by name. The
tests need only the file.
"""

import argparse
import ast
import functools
import hashlib
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import PIL.Image
from PIL import Image

HERE = Path(__file__).parent
SIZES = (64, 256)
MORE = [(500, 375), (375, 500), (513, 512), (512, 513), (515, 512), (1023, 701), (130, 129)]


def images() -> dict[str, np.ndarray]:
    """Drawn pictures of many sizes, by their width and height."""
    sys.path.insert(0, str(HERE.parent))
    import kinds

    return {f"{width}x{height}": kinds.picture(height, width) for width, height in (*kinds.SIZES, *MORE)}


def digest(pixels: Any) -> str:
    array = np.ascontiguousarray(pixels, np.uint8)
    return hashlib.sha256(str(array.shape).encode() + array.tobytes()).hexdigest()


def functions(path: Path, *names: str, **scope: object) -> SimpleNamespace:
    """Run the definitions of some functions or classes of a file, with `scope` for what they use."""
    tree = ast.parse(path.read_text())
    tree.body = [node for node in tree.body if getattr(node, "name", None) in names]
    for node in ast.walk(tree):  # annotations may need what is not imported
        if isinstance(node, ast.FunctionDef):
            node.returns = None
            for argument in (*node.args.args, *node.args.kwonlyargs):
                argument.annotation = None
    space: dict[str, Any] = {"np": np, "PIL": PIL, "Image": Image, "io": io, "functools": functools, **scope}
    exec(compile(tree, str(path), "exec"), space)
    return SimpleNamespace(**space)


def edm(clone: Path) -> dict[str, Any]:
    make = functions(clone / "dataset_tool.py", "make_transform").make_transform
    return {
        "stretch": lambda image, size: make(None, size, size)(image),
        "square": lambda image, size: make("center-crop", size, size)(image),
    }


def adm(clone: Path) -> dict[str, Any]:
    crop = functions(clone / "guided_diffusion" / "image_datasets.py", "center_crop_arr").center_crop_arr

    def lsun(image: np.ndarray, size: int) -> np.ndarray:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")

        class Database:  # in place of LMDB, with one image
            def begin(self, **_: object) -> "Database":
                return self

            def __enter__(self) -> "Database":
                return self

            def __exit__(self, *_: object) -> None:
                pass

            def cursor(self) -> list[tuple[bytes, bytes]]:
                return [(b"", file.getvalue())]

        lmdb = SimpleNamespace(open=lambda *_, **__: Database())
        read = functions(clone / "datasets" / "lsun_bedroom.py", "read_images", lmdb=lmdb).read_images
        return next(iter(read("", size)))

    return {"adm": lambda image, size: crop(Image.fromarray(image), size), "adm-lsun": lsun}


def gigagan(clone: Path) -> dict[str, Any]:
    from torchvision import transforms

    scope = functions(clone / "evaluation" / "data_util.py", "CenterCropLongEdge", transforms=transforms)
    square = scope.CenterCropLongEdge()
    return {"square-to-even": lambda image, size: square(Image.fromarray(image)).resize((size, size), Image.LANCZOS)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("edm", "guided-diffusion", "gigagan"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    typed = parser.parse_args()
    tools = {**edm(typed.edm), **adm(typed.guided_diffusion), **gigagan(typed.gigagan)}
    found = {
        kind: {f"{name} {size}": digest(crop(image, size)) for name, image in images().items() for size in SIZES}
        for kind, crop in tools.items()
    }
    (HERE / "crops.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
