"""What the ways of turning floats into bytes do to a FID.

    python bench/quantise.py GENERATED REAL [--weights W.pth] [--limit 400]

The images of GENERATED become floats in -1...1, as a network would give them: with normal noise of two grey levels, so
that they lie between whole numbers. They are quantised in each way, and compared with each other and with REAL.
"""

import argparse
import itertools
import warnings

import numpy as np
from machine import describe

import fastfid
from fastfid.images.quantise import Quantise
from fastfid.sources import open_source, read_items
from fastfid.sources.terms import QUANTISE

NOISE = 2.0  # grey levels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("generated")
    parser.add_argument("real")
    parser.add_argument("--weights", help="trained weights, in pytorch-fid's layout")
    parser.add_argument("--limit", type=int, default=400)
    options = parser.parse_args()
    warnings.simplefilter("ignore", fastfid.FastFIDWarning)
    rng = np.random.RandomState(0)
    floats = []
    for item in read_items(open_source(options.generated), options.limit):
        pixels = item.decode().pixels
        noisy = np.clip(pixels + rng.normal(0, NOISE, pixels.shape), 0, 255)
        floats.append((noisy / 127.5 - 1).astype(np.float32))
    print(describe())
    print(f"{len(floats)} images of {options.generated}, noise of {NOISE:g} grey levels\n")
    exact = [(x.astype(np.float64) + 1) * 127.5 for x in floats]
    shifts = {
        way: np.mean([(Quantise(-1, 1, way)(x, "x")[0] - y).mean() for x, y in zip(floats, exact, strict=True)])
        for way in QUANTISE
    }
    models = ["inception-v3-random", *([options.weights] if options.weights else [])]
    print("| way | mean shift in grey levels |" + "".join(f" FID to REAL, {name(model)} |" for model in models))
    print("|---|---|" + "---|" * len(models))
    statistics: dict[tuple[str, str], fastfid.Statistics] = {}
    real = {}
    for model in models:
        extractor = fastfid.Extractor(model)
        real[model] = extractor.fit(options.real, limit=options.limit, progress=False)
        for way in QUANTISE:
            statistics[model, way] = fastfid.statistics(
                floats, model=extractor, value_range=(-1, 1), quantise=way, progress=False
            )
    for way in QUANTISE:
        scores = [fastfid.score(statistics[model, way], real[model]) for model in models]
        print(f"| `{way}` | {shifts[way]:+.4f} |" + "".join(f" {score:.4f} |" for score in scores))
    print("\n| pair |" + "".join(f" FID between the two, {name(model)} |" for model in models))
    print("|---|" + "---|" * len(models))
    for one, other in itertools.combinations(QUANTISE, 2):
        scores = [fastfid.score(statistics[model, one], statistics[model, other]) for model in models]
        print(f"| `{one}`, `{other}` |" + "".join(f" {score:.3g} |" for score in scores))


def name(model: str) -> str:
    return "random weights" if model == "inception-v3-random" else "trained weights"


if __name__ == "__main__":
    main()
