"""The preprocessing for a network other than Inception, described by a few fields or by one line of text."""

import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import whole_number
from ..errors import InputError
from .formats import LONGEST_SIDE

# Takes an RGB image (h, w, 3) uint8 and writes the network's input (3, H, W) float32 in place.
Kernel = Callable[[NDArray[np.uint8], NDArray[np.float32]], None]

FILTERS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")  # Pillow's
FLOAT_FILTERS = ("torch-bicubic", "tensorflow-bilinear")
LAYOUTS = ("NCHW", "NHWC")
_OPENAI = "mean=0.48145466,0.4578275,0.40821073 std=0.26862954,0.26130258,0.27577711"
_IMAGENET = "mean=0.485,0.456,0.406 std=0.229,0.224,0.225"

#: Published preprocessings by name: of CLIP (openai/CLIP, `_transform`), of DINOv2
#: (facebookresearch/dinov2, `make_classification_eval_transform`), and of the protocols (docs/protocols.md).
PRESETS = {
    "clip": f"size=224 resize=bicubic shortest=224 {_OPENAI}",
    "dinov2": f"size=224 resize=bicubic shortest=256 {_IMAGENET}",
    "dinov2-dgm-eval": f"size=224 resize=bicubic {_IMAGENET}",
    "dinov2-edm2": f"size=224 resize=torch-bicubic {_IMAGENET}",
    "dinov2-torch-fidelity": (
        "size=224 resize=tensorflow-bilinear range=0,255 mean=123.675,116.28,103.53 std=58.395,57.12,57.375"
    ),
    "cmmd": f"size=336 resize=bicubic crop=square {_OPENAI}",
}

HOW = f"write it like {PRESETS['dinov2']!r}"


@dataclass(frozen=True)
class Preprocessing:
    """The preprocessing of your own network: resize, crop, scale.

    With Pillow's filters, the 8-bit RGB image is resized by Pillow (antialiased, and rounded to 8 bits again), as the
    transforms of torchvision, open_clip and timm do with a PIL image. With the other two it is resized in float32 and
    not rounded, as tools do with tensors. Then a pixel x becomes

        v = low + (high - low) x / 255,  and  (v - mean) / std.

    The first is rounded to float32 once, and the second is computed in float32, as in torchvision's ToTensor and
    Normalize.

    Parameters
    ----------
    size : int or (int, int)
        Height and width of the network's input, in pixels; stored as a pair.
    resize : {"nearest", "box", "bilinear", "hamming", "bicubic", "lanczos", "torch-bicubic", "tensorflow-bilinear"}
        Filter, with Pillow's name; or "torch-bicubic", which is torch's ``interpolate(mode="bicubic",
        antialias=True)``, or "tensorflow-bilinear", which is TensorFlow 1's (no antialiasing, no half-pixel centres).
    shortest : int, optional
        Resize the shorter side to this many pixels, keep the aspect ratio, and crop the centre to `size` (the
        transforms Resize and CenterCrop). It must not be less than `size`. If not given, the image is stretched to
        `size`.
    range : (float, float)
        The values that 0 and 255 are mapped to, before mean and std. Where "torch-bicubic" overshoots 0 or 255, the
        result lies outside, as in torch.
    mean, std : float or three floats
        Mean and standard deviation of red, green and blue; stored as three.
    layout : {"NCHW", "NHWC"}, optional
        Order of the axes of the network's input. By default it is taken from the model's input shape.
    crop : {"square"}, optional
        Crop the centre square of the image before it is resized. An odd margin is rounded down at the left and top.

    Raises
    ------
    InputError
        If a field has a bad value; the message names the field and the value.

    Notes
    -----
    The command line (``--mode``), a model's metadata (``fastfid.mode``) and the provenance use the same fields as text.
    ``str(p)`` writes this text in canonical form, and `parse` reads it.

    Examples
    --------
    >>> p = Preprocessing(size=224, resize="bicubic", shortest=256, range=(-1, 1))
    >>> str(p)
    'size=224 resize=bicubic shortest=256 range=-1,1 mean=0,0,0 std=1,1,1'
    >>> p == Preprocessing.parse("size=224 shortest=256 resize=bicubic range=-1,1")
    True
    """

    size: int | tuple[int, int]
    resize: str
    shortest: int | None = None
    range: tuple[float, float] = (0, 1)
    mean: float | Sequence[float] = 0
    std: float | Sequence[float] = 1
    layout: str | None = None
    crop: str | None = None

    def __post_init__(self) -> None:
        """Check every field, and convert it to its canonical form."""
        size, bounds = _pair(self.size), _floats("range", self.range, 2)
        mean, std = _floats("mean", self.mean, 3), _floats("std", self.std, 3)
        if self.resize not in (*FILTERS, *FLOAT_FILTERS):
            raise InputError(f"resize must be one of {', '.join((*FILTERS, *FLOAT_FILTERS))}; got {self.resize!r}")
        if self.shortest is not None and _side("shortest", self.shortest) < max(size):
            raise InputError(
                f"shortest must be at least {max(size)}, the size of the crop, got {self.shortest}; "
                "leave it out to stretch the image to size"
            )
        if bounds[0] >= bounds[1]:
            raise InputError(f"range must be two numbers, the lower one first, got {self.range!r}")
        if min(std) <= 0:
            raise InputError(f"std must be positive, got {self.std!r}; std=1 leaves the values unchanged")
        if self.crop not in (None, "square"):
            raise InputError(f"crop must be 'square', or left out; got {self.crop!r}")
        if self.layout not in (None, *LAYOUTS):
            raise InputError(f"layout must be one of {', '.join(LAYOUTS)}; got {self.layout!r}")
        shortest = None if self.shortest is None else int(self.shortest)
        for name, value in (("size", size), ("shortest", shortest), ("range", bounds), ("mean", mean), ("std", std)):
            object.__setattr__(self, name, value)
        if not np.isfinite(tables(self)).all():
            raise InputError(f"range, mean and std must give float32 numbers for every pixel; {self} does not")

    def __str__(self) -> str:
        """Return the canonical text: every field that is set, in a fixed order, with numbers as short as possible."""
        size = _pair(self.size)
        shown = {field.name: getattr(self, field.name) for field in fields(self)}
        shown["size"] = size[0] if size[0] == size[1] else size
        return " ".join(f"{name}={_written(value)}" for name, value in shown.items() if value is not None)

    @classmethod
    def parse(cls, text: str) -> "Preprocessing":
        """Read the name of a preset, or fields as text.

        Parameters
        ----------
        text : str
            A name in `PRESETS`, such as "clip" or "dinov2", or ``field=value`` pairs separated by spaces, with commas
            between several numbers. `size` (or ``size=HEIGHT,WIDTH``) and `resize` must be given.

        Returns
        -------
        Preprocessing

        Raises
        ------
        InputError
            If the text cannot be read, or a field has a bad value.

        Examples
        --------
        >>> Preprocessing.parse("size=224 resize=bilinear mean=0.5 std=0.5").std
        (0.5, 0.5, 0.5)
        >>> str(Preprocessing.parse("dinov2"))
        'size=224 resize=bicubic shortest=256 range=0,1 mean=0.485,0.456,0.406 std=0.229,0.224,0.225'
        """
        text = PRESETS.get(text.strip(), text)
        known = [field.name for field in fields(cls)]
        given: dict[str, Any] = {}
        for word in text.split():
            name, equals, value = word.partition("=")
            if not (equals and value):
                raise InputError(f"{word!r} in {text!r} is not field=value, without spaces inside; {HOW}")
            if name not in known:
                raise InputError(f"{text!r}: there is no field {name!r}; the fields are {', '.join(known)}")
            if name in given:
                raise InputError(f"{text!r} sets {name} twice; leave one out")
            given[name] = value if name in ("resize", "crop", "layout") else _read(name, value)
        missing = " and ".join(name for name in ("size", "resize") if name not in given)
        if missing:
            raise InputError(f"{text!r} does not set {missing}; {HOW}")
        return cls(**given)


def size_of(p: Preprocessing) -> tuple[int, int]:
    """Return height and width of the output."""
    return _pair(p.size)


def tables(p: Preprocessing) -> NDArray[np.float32]:
    """Return the lookup tables (3, 256): the output for each of the 256 values of each channel."""
    low, high = p.range
    with np.errstate(all="ignore"):  # the caller checks that all values are finite
        values = (low + (high - low) * np.arange(256) / 255).astype(np.float32)
        mean, std = np.asarray(p.mean, np.float32), np.asarray(p.std, np.float32)
        return np.asarray((values - mean[:, None]) / std[:, None])


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    """Return height and width of a size given as a number or as a pair."""
    sides = (size, size) if not isinstance(size, Sequence) or isinstance(size, str) else tuple(size)
    if len(sides) != 2:
        raise InputError(f"size must be one number, or height and width; got {size!r}")
    return _side("size", sides[0]), _side("size", sides[1])


def _side(name: str, value: Any) -> int:
    side = whole_number(name, value, 1)
    if side > LONGEST_SIDE:
        raise InputError(f"{name} must be at most {LONGEST_SIDE} pixels, got {value}")
    return side


def _floats(name: str, value: Any, count: int) -> tuple[float, ...]:
    """Return `count` finite numbers; if three are needed, a single one is used for red, green and blue."""
    single = count == 3 and isinstance(value, numbers.Real)
    try:
        items = (value,) * count if single else tuple(value)
        if len(items) != count or not all(isinstance(i, numbers.Real) and not isinstance(i, bool) for i in items):
            raise TypeError
        result = tuple(float(i) + 0.0 for i in items)  # -0.0 becomes 0.0
    except (TypeError, OverflowError):
        raise InputError(f"{name} must be {'one or three' if count == 3 else count} numbers, got {value!r}") from None
    if not np.isfinite(result).all():
        raise InputError(f"{name} must be finite, got {value!r}")
    return result


def _read(name: str, text: str) -> Any:
    """Read one number or several."""
    try:
        values = tuple((int if name in ("size", "shortest") else float)(part) for part in text.split(","))
    except ValueError:
        kind = "whole numbers" if name in ("size", "shortest") else "numbers"
        raise InputError(f"{name}={text}: {name} takes {kind}, separated by commas without spaces") from None
    return values[0] if len(values) == 1 else values


def _written(value: Any) -> str:
    """Write a value as text from which `_read` reads exactly the same value."""
    if isinstance(value, tuple):
        return ",".join(map(_written, value))
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
