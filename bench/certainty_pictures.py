"""The pictures of docs/certainty.md.

    pip install matplotlib
    python bench/certainty_pictures.py flowers_pool3.npz docs/pictures

Real features of photographs of flowers, 64 of their 2048 dims, stand for the real images; the generated ones are the
same with each feature stretched a little. Both are drawn from as often as a picture needs, so the true FID is known.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from coverage import Population, drawn, influences_of, of_photographs

import fastfid

mpl.use("svg")
mpl.rcParams.update(
    {
        "svg.fonttype": "none",
        "svg.hashsalt": "fastfid",
        "font.family": "sans-serif",
        "font.size": 11,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "figure.figsize": (7, 3.6),
        "figure.constrained_layout.use": True,
    }
)
from matplotlib import pyplot as plt  # noqa: E402 - the backend is chosen first

BLUE, ORANGE, GREY = "#0b5fa5", "#b3500c", "#595959"


class Story:
    """The populations of all pictures."""

    def __init__(self, path: str) -> None:
        stored = np.load(path)
        few = np.random.RandomState(1).permutation(2048)[:64]
        pairs = of_photographs(stored["features"][:, few].astype(float), stored["labels"])
        self.real, self.generated = next((a, b) for name, a, b in pairs if name == "flowers, covariance changed")
        self.truth = fastfid.frechet_distance(
            self.real.mean, self.real.covariance, self.generated.mean, self.generated.covariance
        )

    def certainties(self, other: Population, n: int, count: int) -> list[fastfid.Certainty]:
        """Return what is known about sets of n images a side that are drawn again and again."""
        return [fastfid.certainty(*drawn(self.real, other, n, trial)) for trial in range(count)]


def histogram(axes: Any, filled: list[float], name: str, outlined: list[float], other: str) -> None:
    axes.hist(filled, bins=24, color=BLUE, alpha=0.5, label=name)
    axes.hist(outlined, bins=24, color=ORANGE, lw=1.5, histtype="step", label=other)
    axes.set(xlabel="FID of 1000 images a side", ylabel="sets, of 400")
    axes.set_ylim(0, 1.35 * axes.get_ylim()[1])
    axes.legend(frameon=False)


def line(axes: Any, at: float, text: str, side: str = "left") -> None:
    """Draw an upright line, with a text on its right (which is then aligned "left") or on its left."""
    axes.axvline(at, color=GREY, lw=0.8)
    place, by = ("data", "axes fraction"), 4 if side == "left" else -4
    axes.annotate(text, (at, 1), (by, -2), xycoords=place, textcoords="offset points", color=GREY, va="top", ha=side)


def span(axes: Any, low: float, high: float, height: float, text: str) -> None:
    """Draw a double arrow between two values, with a text above it, and shade what is between them."""
    axes.axvspan(low, high, color=ORANGE, alpha=0.12, lw=0)
    axes.annotate("", (low, height), (high, height), arrowprops={"arrowstyle": "<->", "color": ORANGE})
    axes.annotate(text, (high, height), (6, 0), textcoords="offset points", color=ORANGE, va="center")


def bias(story: Story) -> None:
    """FID against the number of images, with and without its bias."""
    sizes = [250, 500, 1000, 2000, 4000, 8000, 16_000]
    _, axes = plt.subplots()
    for other, true, colour, marker, name in (
        (story.generated, story.truth, BLUE, "o", "generated against real"),
        (story.real, 0.0, ORANGE, "s", "real against real"),
    ):
        found = [story.certainties(other, n, 20) for n in sizes]
        fids = [np.mean([sure.value for sure in each]) for each in found]
        corrected = [np.mean([sure.corrected for sure in each]) for each in found]
        axes.plot(sizes, fids, color=colour, marker=marker, label=f"{name}: as reported")
        axes.plot(sizes, corrected, color=colour, marker=marker, ls=":", mfc="white", label=f"{name}: without the bias")
        axes.axhline(true, color=GREY, lw=0.8)
        axes.annotate(f"truth: {true:.3f}", (sizes[0], true), (-14, 6), textcoords="offset points", color=GREY)
    axes.set(xscale="log", xlabel="images a side", ylabel="FID")
    axes.set_xticks(sizes, [f"{n:,}" for n in sizes])
    axes.minorticks_off()
    axes.legend(frameon=False)


def noise(story: Story) -> None:
    """FIDs of sets that were drawn again and again."""
    found = story.certainties(story.generated, 1000, 400)
    _, axes = plt.subplots()
    values, corrected = [sure.value for sure in found], [sure.corrected for sure in found]
    histogram(axes, values, "as reported", corrected, "without the bias")
    line(axes, story.truth, f"truth: {story.truth:.3f}")
    error = np.sqrt(np.mean([sure.standard_error**2 for sure in found]))
    height = 0.78 * axes.get_ylim()[1]
    span(axes, story.truth - error, story.truth + error, height, f"± one standard error ({error:.3f})")


def limits(story: Story) -> None:
    """The limits of a hundred sets, and the truth."""
    _, axes = plt.subplots()
    for place, sure in enumerate(story.certainties(story.generated, 1000, 100)):
        missed = not sure.low <= story.truth <= sure.high
        colour = ORANGE if missed else BLUE
        axes.plot([place, place], [sure.low, sure.high], color=colour, lw=2.5 if missed else 1.2)
        axes.plot(place, sure.corrected, "x" if missed else ".", color=colour, ms=6 if missed else 4)
    axes.axhline(story.truth, color=GREY)
    axes.set(xlabel="100 times 1000 images a side; thick with a cross: misses the truth", ylabel="FID", xticks=[])


def floor(story: Story) -> None:
    """FIDs of two sets of one population, and of a generator that is almost as good."""
    mean, covariance = story.real.mean, story.real.covariance
    shift = 0.03 * np.sqrt(np.diagonal(covariance)) * np.random.RandomState(7).choice([-1, 1], len(mean))
    near = Population(mean + shift, covariance, lambda n, rng: story.real.draw(n, rng) + shift)
    found, same = (story.certainties(other, 1000, 400) for other in (near, story.real))
    _, axes = plt.subplots()
    values = [[sure.value for sure in each] for each in (found, same)]
    name = f"a very good generator: truth {shift @ shift:.4f}"
    histogram(axes, values[0], name, values[1], "real against real: truth 0")
    line(axes, float(np.mean([sure.noise_floor for sure in found])), "noise floor", side="right")


def influence(story: Story) -> None:
    """What the FID loses without each image, against its influence."""
    n, worst = 3200, 16
    predicted, exact = (1000 * each[:n] / n for each in influences_of(story.generated, story.real, n))
    order = np.argsort(predicted)
    shown, last = order[np.linspace(0, n - 1 - worst, 300).astype(int)], order[-worst:]
    _, axes = plt.subplots()
    ends = [predicted.min(), predicted.max()]
    axes.plot(ends, ends, color=GREY, lw=0.8)
    axes.plot(predicted[shown], exact[shown], ".", color=BLUE, ms=5, label="one image each")
    axes.plot(
        predicted[last], exact[last], "s", color=ORANGE, ms=5, label=f"the {worst} images that raise the FID most"
    )
    axes.set(xlabel="influence of the image / n, in thousandths", ylabel="FID falls by, in thousandths")
    axes.legend(frameon=False)


PICTURES: dict[str, Callable[[Story], None]] = {
    "bias": bias,
    "noise": noise,
    "limits": limits,
    "floor": floor,
    "influence": influence,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=list(PICTURES))
    options = parser.parse_args()
    options.folder.mkdir(exist_ok=True)
    story = Story(options.features)
    for name, draw in PICTURES.items():
        if options.only in (None, name):
            draw(story)
            plt.savefig(options.folder / f"certainty-{name}.svg", metadata={"Date": None})
            plt.close()


if __name__ == "__main__":
    main()
