"""What a difference between two runs does to a FID: the sizes that were measured, and where they are written down.

Every figure is one of the project's own tables; `tests/test_diff.py` holds each to the document that it names.
"""

from typing import NamedTuple

from .metrics.inception_noise import DIMS, RuleOfThumb


class Effect(NamedTuple):
    """What a difference does.

    `size` is "incomparable", "large" (per cent and more), "small" (last digits) or "none". `figures` are the measured
    numbers within the text, and `where` is the document that has them.
    """

    size: str
    text: str
    remedy: str = ""
    figures: tuple[str, ...] = ()
    where: str = ""


SIZES = ("incomparable", "large", "small", "none")
_UNMEASURED = "not measured here"
# CIFAR-10, animals against vehicles: all of them, and 64 of each.
_ALL = {"pytorch": "0.935421233", "tensorflow": "0.919162014", "clean": "0.743354187"}
_SOME = {
    "pytorch": "2.014184",
    "tensorflow": "2.112885",
    "clean": "2.425956",
    "keras": "0.841675",
    "torchmetrics": "2.000854",
}
_QUANTISED = {"round": "1.2675", "truncate": "1.2573", "edm": "1.2674"}  # 400 photographs against 400
_WEIGHTS = ("1.2675", "169.4654")  # of those, with trained and with random weights

METHOD = Effect(
    "small",
    "with fewer images than dims the matrix root of the tools is inexact: auto 1.482435624, schur 1.482430280 for 100 "
    "and 100 images; at full rank they agree",
    "run both with one --method",
    ("1.482435624", "1.482430280"),
    "tests/README.md",
)
FORMATS = Effect(
    "large",
    f"lossy compression alone changes a FID; {_UNMEASURED}",
    "make both sets from the same originals, as PNG if possible",
)


def of_mode(one: str, other: str) -> Effect:
    """Another preprocessing."""
    remedy = f"run both with --mode {one}, or both with --mode {other}"
    for table, what, where in (
        (_ALL, "CIFAR-10, animals against vehicles", "README.md"),
        (_SOME, "64 and 64 images of CIFAR-10", "tests/README.md"),
    ):
        if one in table and other in table:
            return _measured("large", "tools resize differently", (table[one], table[other]), what, where, remedy)
    return Effect("incomparable", f"another preprocessing; {_UNMEASURED}", remedy)


def of_weights(one: str, other: str) -> Effect:
    """Another network, or other weights."""
    text = "FIDs by other weights do not compare"
    what = "one pair of sets with trained and with random weights"
    return _measured(
        "incomparable", text, _WEIGHTS, what, "docs/data.md", f"run both with one --model, {one} or {other}"
    )


def of_dims(one: str, other: str) -> Effect:
    """Another layer."""
    return Effect("incomparable", "another layer has another scale", f"run both with --dims {one}, or --dims {other}")


def of_precision(one: str, other: str) -> Effect:
    """Another arithmetic of the network."""
    remedy = f"run both with --precision {one if one == 'fp32' else other}"
    if {one, other} == {"fp32", "fp16"}:
        figures = ("0.935421", "0.930699") if one == "fp32" else ("0.930699", "0.935421")
        text = "weights rounded to float16"
        return _measured("small", text, figures, "CIFAR-10, animals against vehicles", "tests/README.md", remedy)
    return Effect("small", f"rounding; {_UNMEASURED}", remedy)


def of_device(one: str, other: str) -> Effect:
    """Another device."""
    text = f"rounding, at most 1e-5 of the largest feature by the error budget; between devices it was {_UNMEASURED}"
    return Effect("small", text, f"run both with --device {one}, or --device {other}", ("1e-5",), "tests/README.md")


def of_batch_size(one: str, other: str) -> Effect:
    """Another batch size."""
    text = "rounding, at most 1e-6 of the largest feature"
    return Effect("small", text, f"run both with --batch-size {one}", ("1e-6",), "README.md")


def of_version(package: str, one: str) -> Effect:
    """Another version of a library."""
    does = {
        "pillow": "it decodes, so pixels of JPEG and WebP may change",
        "fastfid": "CHANGELOG.md says what changed",
    }
    text = f"{does.get(package.lower(), 'rounding in the last digits')}; between versions it was {_UNMEASURED}"
    return Effect("small", text, f"pip install {package}=={one}")


def of_quantise(one: str, other: str) -> Effect:
    """Another way from floats to bytes."""
    remedy = f"run both with --quantise {one if one in _QUANTISED else other}"
    if not {one, other} <= _QUANTISED.keys():
        return Effect("large", f"floats in one, bytes in the other; {_UNMEASURED}", remedy)
    figures = (_QUANTISED[one], _QUANTISED[other])
    size = "large" if "truncate" in (one, other) else "small"
    return _measured(size, "grey levels", figures, "photographs of CIFAR-10 with noise", "docs/data.md", remedy)


def of_n(one: tuple[int | None, ...], other: tuple[int | None, ...], dims: int) -> Effect:
    """Another number of images."""
    text = "a FID of fewer images reads higher"
    known = [count for counts in (one, other) for count in counts if count is not None]
    remedy = f"use as many images in both, such as --limit {min(known)}" if known else "use as many images in both"
    if dims != DIMS or len(known) < 4:
        return Effect("large", text, remedy)
    rule = RuleOfThumb(0.0)
    biases = [rule.bias(n or 1, m or 1) for n, m in (one[:2], other[:2])]
    text += (
        f": by the rule of thumb of `fastfid plan` by {biases[0]:.3g} in the first and {biases[1]:.3g} in the second"
    )
    close = abs(biases[0] - biases[1]) < 0.01 * max(biases)
    return Effect("small" if close else "large", text, remedy, (), "docs/certainty.md")


def noise(fid: float, n: int, m: int) -> float:
    """Return the standard deviation of a FID if its images were drawn again, by the rule of thumb of `fastfid plan`."""
    rule = RuleOfThumb(0.0)
    return float(RuleOfThumb(max(0.0, fid - rule.bias(n, m))).variance(n, m) ** 0.5)


def _measured(size: str, text: str, figures: tuple[str, str], what: str, where: str, remedy: str) -> Effect:
    first, second = map(float, figures)
    change = (second - first) / first
    shown = f"{change:+.1%}" if abs(change) >= 1e-3 else f"{change:+.0e}"
    full = f"{text}: {figures[0]} against {figures[1]} ({shown}) for {what}"
    return Effect(size, full, remedy, figures, where)
