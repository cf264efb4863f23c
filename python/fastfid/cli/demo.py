"""`fastfid demo`: shows that the FID rises with disturbance, as in the TTUR paper, on pictures that it draws."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..checks import whole_number, whole_text
from ..errors import InputError, UsageError
from ..extractor import Extractor
from ..files.writing import atomic_write, check_writable
from ..metrics.frechet import distance
from ..metrics.moments import Statistics
from ..terminal import show
from .parser import Parser, passing

if TYPE_CHECKING:
    from PIL import Image

_SIZE = 128
_LEVELS = (1, 2, 3)
_SEED = 2017  # the year of the paper


def command(arguments: Sequence[str]) -> None:
    """Run the command."""
    parser = Parser(prog="fastfid demo", description="Score disturbed copies of drawn pictures.")
    parser.add_argument("--images", type=passing(_number), default=40, help="how many pictures (default: 40)")
    parser.add_argument(
        "--out", default="fastfid-demo.svg", help="the .svg file for the curves (default: fastfid-demo.svg)"
    )
    typed = parser.parse_args(arguments)
    run(typed.images, Path(typed.out))


def _number(text: str) -> int:
    return whole_number("images", whole_text(text), 2)


def draw_pictures(n: int) -> list["Image.Image"]:
    """Draw `n` seeded pictures: discs and bars of random colours over a gradient."""
    from PIL import Image, ImageDraw

    rng = np.random.RandomState(_SEED)
    pictures = []
    for _ in range(n):
        ramp = np.linspace(0, 1, _SIZE)[:, None, None]
        top, bottom = rng.randint(0, 256, (2, 3))
        sky = np.broadcast_to((1 - ramp) * top + ramp * bottom, (_SIZE, _SIZE, 3))
        picture = Image.fromarray(sky.astype(np.uint8))
        pen = ImageDraw.Draw(picture)
        for kind in rng.randint(0, 2, 9):
            x, y = rng.randint(-16, _SIZE, 2).tolist()
            w, h = rng.randint(8, 64, 2).tolist()
            colour = tuple(rng.randint(0, 256, 3).tolist())
            (pen.ellipse if kind else pen.rectangle)((x, y, x + w, y + h), fill=colour)
        pictures.append(picture)
    return pictures


def add_noise(picture: "Image.Image", level: int, rng: np.random.RandomState) -> "Image.Image":
    """Mix the picture with Gaussian noise."""
    from PIL import Image

    noise = rng.normal(0, 16 * level, (_SIZE, _SIZE, 3))
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))


def blur(picture: "Image.Image", level: int, rng: np.random.RandomState) -> "Image.Image":
    """Blur the picture with a Gaussian."""
    from PIL import ImageFilter

    return picture.filter(ImageFilter.GaussianBlur(level))


def occlude(picture: "Image.Image", level: int, rng: np.random.RandomState) -> "Image.Image":
    """Cover the picture with black squares."""
    disturbed, side = picture.copy(), 12 * level
    for x, y in rng.randint(0, _SIZE - side, (5, 2)).tolist():
        disturbed.paste((0, 0, 0), (x, y, x + side, y + side))
    return disturbed


_DISTURBANCES: dict[str, Callable[["Image.Image", int, np.random.RandomState], "Image.Image"]] = {
    "noise": add_noise,
    "blur": blur,
    "occlusion": occlude,
}


def run(n: int, out: Path) -> dict[str, list[float]]:
    """Score the disturbed pictures, print the table, save the curves; return the scores by disturbance."""
    if n < 2:
        raise InputError(f"the demo needs at least 2 images, got {n}")
    if out.suffix != ".svg":
        raise UsageError(f"{out} must be the name of an .svg file")
    check_writable(out)
    start = time.perf_counter()
    extractor = Extractor("inception-v3-random")
    pictures = draw_pictures(n)

    def fit(images: list["Image.Image"]) -> Statistics:
        return Statistics(extractor.dims, extractor.provenance).update(extractor(images))

    originals = fit(pictures)
    show(f"FID of {n} disturbed pictures to the originals, inception-v3-random, {extractor.provenance.device}\n")
    show(f"{'disturbance':<12}{'level 0':>12}" + "".join(f"{f'level {level}':>12}" for level in _LEVELS))
    curves: dict[str, list[float]] = {}
    for name, disturb in _DISTURBANCES.items():
        curves[name] = [distance(originals.gaussian(), originals.gaussian()).value]
        for level in _LEVELS:
            rng = np.random.RandomState(_SEED + level)
            disturbed = fit([disturb(picture, level, rng) for picture in pictures])
            curves[name].append(distance(originals.gaussian(), disturbed.gaussian()).value)
        show(f"{name:<12}" + "".join(f"{value:>12.4f}" for value in curves[name]))
    with atomic_write(out) as file:
        file.write(draw_curves(curves).encode())
    images = n * (1 + len(_LEVELS) * len(_DISTURBANCES))
    show(f"\n{images} images in {time.perf_counter() - start:.1f} s; the curves are in {out}")
    show(
        "The network is untrained: these numbers are not comparable with published FIDs. For those, get the official\n"
        "weights with `fastfid models fetch`, then run `fastfid FOLDER_A FOLDER_B`."
    )
    return curves


def draw_curves(curves: dict[str, list[float]]) -> str:
    """Draw the curves as SVG, each relative to its own largest score."""
    width, height, margin = 480, 300, 48
    colours = ("#0072b2", "#d55e00", "#009e73")  # colour-blind people can tell them apart
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<path d="M{margin} 16V{height - margin}H{width - 16}" fill="none" stroke="black"/>',
        f'<text x="{width / 2}" y="{height - 12}" text-anchor="middle">level of disturbance</text>',
        f'<text transform="translate(16 {height / 2}) rotate(-90)" text-anchor="middle">FID / its largest</text>',
    ]
    for level in (0, *_LEVELS):
        x = margin + level / _LEVELS[-1] * (width - margin - 32)
        lines.append(f'<text x="{x:.1f}" y="{height - margin + 16}" text-anchor="middle">{level}</text>')
    for row, ((name, values), colour) in enumerate(zip(curves.items(), colours, strict=True)):
        points = _points(values, width - margin - 32, height - margin - 24, margin)
        lines.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        label = f"{name} (largest {max(values):.3g})"
        lines.append(f'<text x="{margin + 12}" y="{32 + 16 * row}" fill="{colour}">{label}</text>')
    return "\n".join([*lines, "</svg>", ""])


def _points(values: list[float], width: float, height: float, margin: float) -> str:
    largest = max(values) or 1.0
    steps = len(values) - 1
    return " ".join(
        f"{margin + i / steps * width:.1f},{24 + (1 - value / largest) * height:.1f}" for i, value in enumerate(values)
    )
