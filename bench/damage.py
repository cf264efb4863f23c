"""The cost of checking every file for damage, and what the check finds.

    python bench/damage.py --cifar FOLDER --photos FOLDER [--repeats 200]

First, no good file may be reported as damaged: all files of both folders, and the PNG and WebP files made from them.
Then reading and decoding with and without the check are timed in turns; the fastest turn of each file counts. Last,
files are damaged in five ways, each file once: refused with an `ImageError`, reported as damaged, or undetected
although the pixels differ.
"""

import argparse
import io
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from machine import describe
from PIL import Image

from fastfid.errors import ImageError
from fastfid.images import decode as images

TIMED = 100  # files of each kind
SECTOR = 512


def encoded(files: list[bytes], encoding: str, **options: object) -> list[bytes]:
    made = []
    for data in files:
        file = io.BytesIO()
        with Image.open(io.BytesIO(data)) as image:
            image.convert("RGB").save(file, encoding, **options)
        made.append(file.getvalue())
    return made


def cost(files: list[Path], repeats: int) -> tuple[float, float]:
    """Seconds to read and decode one file, and the share that looking for damage adds."""
    look = images.damage_of
    fastest = {look: [float("inf")] * len(files), _nothing: [float("inf")] * len(files)}
    try:
        for turn in range(repeats):
            for i, file in enumerate(files):
                for way in (look, _nothing) if (turn + i) % 2 else (_nothing, look):  # the second has warm caches
                    images.damage_of = way
                    start = time.perf_counter()
                    images.decode(file, "x")
                    fastest[way][i] = min(fastest[way][i], time.perf_counter() - start)
    finally:
        images.damage_of = look
    without = sum(fastest[_nothing])
    return without / len(files), sum(fastest[look]) / without - 1


def _nothing(*_: object, **__: object) -> str:
    return ""


def tail(data: bytearray, rng: np.random.RandomState) -> bytearray:
    count = rng.randint(1, len(data) // 3)
    data[-count:] = bytes(count)
    return data


def block(data: bytearray, rng: np.random.RandomState) -> bytearray:
    at = rng.randint(len(data) // 4, max(len(data) // 4 + 1, len(data) - SECTOR - 20))
    data[at : at + SECTOR] = bytes(min(SECTOR, len(data) - at))
    return data


def bit(data: bytearray, rng: np.random.RandomState) -> bytearray:
    data[rng.randint(len(data) // 4, len(data) - 4)] ^= 1 << rng.randint(8)
    return data


def cut(data: bytearray, rng: np.random.RandomState) -> bytearray:
    return data[: rng.randint(len(data) // 2, len(data))]


def end(data: bytearray, rng: np.random.RandomState) -> bytearray:
    return data[: -rng.randint(1, 12)]


DAMAGES: dict[str, Callable[[bytearray, np.random.RandomState], bytearray]] = {
    "the tail zeros": tail,
    "a block of 512 zeros": block,
    "one bit flipped": bit,
    "cut short": cut,
    "the last bytes missing": end,
}


def outcomes(files: list[bytes], damage: Callable[[bytearray, np.random.RandomState], bytearray]) -> Counter[str]:
    rng, found = np.random.RandomState(0), Counter[str]()
    for data in files:
        try:
            decoded = images.decode(bytes(damage(bytearray(data), rng)), "x")
        except ImageError:
            found["refused"] += 1
            continue
        same = np.array_equal(decoded.pixels, images.decode(data, "x").pixels)
        found["told" if decoded.damage else "same pixels" if same else "passed over"] += 1
    return found


def crops(photos: list[bytes], count: int) -> list[bytes]:
    """Squares cut out of photographs, as PNG."""
    rng, cut_out = np.random.RandomState(0), []
    for i in range(count):
        with Image.open(io.BytesIO(photos[i % len(photos)])) as image:
            side = rng.randint(64, min(image.size))
            x, y = rng.randint(image.width - side + 1), rng.randint(image.height - side + 1)
            file = io.BytesIO()
            image.convert("RGB").crop((x, y, x + side, y + side)).save(file, "PNG")
            cut_out.append(file.getvalue())
    return cut_out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar", type=Path, required=True, help="32-pixel JPEG files")
    parser.add_argument("--photos", type=Path, required=True, help="500-pixel JPEG files")
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--damaged", type=int, default=300, help="files of each kind to damage (default: 300)")
    options = parser.parse_args()
    print(describe("pillow"))
    cifar, photos = (
        [f.read_bytes() for f in sorted(folder.rglob("*.jpg"))] for folder in (options.cifar, options.photos)
    )
    sets = {
        "photographs, JPEG": photos,
        "photographs, PNG": encoded(photos, "PNG"),
        "photographs, WebP": encoded(photos, "WEBP"),
        "32x32, JPEG": cifar,
        "32x32, PNG": encoded(cifar, "PNG"),
        "32x32, WebP": encoded(cifar, "WEBP"),
    }
    for name, files in sets.items():
        told = [damage for data in files if (damage := images.decode(data, name).damage)]
        assert not told, f"good files are told as damaged: {told[:3]}"
    print(
        "| good files | number | told as damaged | ms to read and decode | what the look adds |\n|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, files) in enumerate(sets.items()):
            paths = [Path(folder) / f"{number}-{i}.image" for i in range(min(len(files), TIMED))]
            for path, data in zip(paths, files, strict=False):
                path.write_bytes(data)
            bare, share = cost(paths, options.repeats)
            assert share < 0.03, f"{name}: looking for damage adds {share:.1%}"
            print(f"| {name} | {len(files)} | 0 | {bare * 1e3:.3f} | {share:+.2%} |")
    squares = crops(photos, options.damaged)
    kinds = {
        "PNG": squares,
        "JPEG, tables of the standard": encoded(squares, "JPEG", quality=75),
        "JPEG, tables of its own": encoded(squares, "JPEG", quality=75, optimize=True),
        "JPEG, progressive": encoded(squares, "JPEG", quality=75, progressive=True),
        "WebP": encoded(squares, "WEBP"),
    }
    columns = ("refused", "told", "same pixels", "passed over")
    heads = ["damaged", "how", *columns]
    print(f"\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for kind, files in kinds.items():
        for name, damage in DAMAGES.items():
            found = outcomes(files, damage)
            assert kind != "PNG" or not found["passed over"], "a damaged PNG was passed over"
            print(f"| {kind} | {name} | {' | '.join(str(found[column]) for column in columns)} |")


if __name__ == "__main__":
    main()
