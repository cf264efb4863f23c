"""`diff`: why two numbers differ: each difference in how they were made, with its likely effect."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from . import effects
from .effects import SIZES, Effect
from .metrics.inception_noise import DIMS
from .provenance import Provenance
from .recorded import Recorded, recorded
from .same_images import not_compared, nothing_differs, other_images, same
from .terminal import printable

_FIELDS = {
    "mode": effects.of_mode,
    "dims": effects.of_dims,
    "precision": effects.of_precision,
    "device": effects.of_device,
    "batch_size": effects.of_batch_size,
}
_OF_RESULTS = {
    "method": effects.METHOD,
    "protocol": Effect(
        "incomparable", "a protocol fixes mode, metrics and conventions", "run both with one --protocol"
    ),
    "forced": Effect("incomparable", "one compares sides that were made in different ways", "run both without --force"),
    "warnings": Effect("none", "a sign of what differs between the images: read what both runs said"),
}
_OF_SIDES = {
    "name": Effect("large", "other images, unless both names are of one set", "score the same two sets"),
    "formats": effects.FORMATS,
    "choice": Effect("large", "other images were chosen from more", "choose as many, with the same --seed"),
    "rejected": Effect("small", "images that cannot be decoded were left out", "repair or remove them"),
}
_NO_RECORD = Effect("large", "nothing says which model, mode and dims made one of them: it may be any of these")
# The flags that set what can differ; the model's is filled in.
_FLAGS = {
    **{name: f"--{name}" for name in ("mode", "dims", "precision", "device", "method", "limit", "seed", "endings")},
    "image_key": "--image-key",
    "value_range": "--value-range",
    "quantise": "--quantise",
    "on_error": "--on-error",
    "batch size": "--batch-size",
    "protocol": "--protocol",
}
_CONVENTION = Effect("large", "tools compute it differently", "ask for one convention in both", (), "docs/metrics.md")
_UNKNOWN = Effect("large", "not known")
_SETTINGS = {
    "limit": Effect("large", "other images", "run both with the same --limit and --seed"),
    "seed": Effect("large", "other images are chosen by --limit", "run both with the same --seed"),
    "endings": Effect("large", "other files count as images", "run both with the same --endings"),
    "recursive": Effect("large", "subfolders count in one only", "run both with or without --no-recursive"),
    "image_key": Effect("large", "other images", "run both with the same --image-key"),
    "value_range": Effect("large", "another brightness and contrast", "run both with the same --value-range"),
    "on_error": Effect("small", "damaged images are left out in one only", "run both with the same --on-error"),
}


@dataclass(frozen=True)
class Cause:
    """One difference.

    Attributes
    ----------
    what : str
        What differs, such as "mode".
    first, second : str
        The two values.
    size : {"incomparable", "large", "small", "none"}
        The likely size of its effect: numbers that do not compare at all; per cent; last digits.
    effect : str
        What it does, with a measured size if there is one.
    where : str
        The document that has the measured size.
    remedy : str
        What to run to remove it.
    """

    what: str
    first: str
    second: str
    size: str
    effect: str
    where: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Explanation:
    """Why two numbers differ.

    Attributes
    ----------
    first, second : str
        The names of the two.
    numbers : dict of str to (float or None, float or None)
        The values of each metric in both.
    causes : tuple of Cause
        What differs, the largest likely effect first.
    options : tuple of str
        Which flags of the command make the second like the first.
    conclusion : str
    not_compared : tuple of str
        What could not be compared, because one of the two or both do not record it.
    """

    first: str
    second: str
    numbers: Mapping[str, tuple[float | None, float | None]]
    causes: tuple[Cause, ...]
    options: tuple[str, ...]
    conclusion: str
    not_compared: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the explanation as plain data for JSON."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """Yield it as text, each difference on lines of its own whatever names it has."""
        yield from map(printable, self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"first:  {self.first}"
        yield f"second: {self.second}"
        for name, values in self.numbers.items():
            yield f"{name}: {' and '.join('unknown' if value is None else repr(value) for value in values)}"
        for cause in self.causes:
            yield f"{cause.what}: {cause.first} in the first, {cause.second} in the second"
            yield f"  effect ({cause.size}): {cause.effect}{f' [{cause.where}]' if cause.where else ''}"
            if cause.remedy:
                yield f"  to remove it: {cause.remedy}"
        if self.options:
            yield f"To make the second like the first, run it {', '.join(self.options)}"
        if self.not_compared:
            yield f"Not compared: {'; '.join(self.not_compared)}."
        yield self.conclusion


def diff(first: Any, second: Any) -> Explanation:
    """Say why two numbers differ.

    Parameters
    ----------
    first, second : path or Comparison
        Each a result that ``fastfid A B --json`` printed, a statistics file, or a `Comparison`.

    Returns
    -------
    Explanation

    Raises
    ------
    InputError
        If one is neither, or cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> import fastfid
    >>> x, y = np.random.RandomState(0).randn(2, 100, 4)
    >>> results = [fastfid.compare(x, rows, features=True) for rows in (y, y[:50])]
    >>> [(cause.what, cause.first, cause.second) for cause in fastfid.diff(*results).causes]
    [('images', '100 and 100', '100 and 50')]
    """
    records = recorded(first, "the first result"), recorded(second, "the second result")
    one, other = records
    causes = sorted(_causes(one, other), key=lambda cause: SIZES.index(cause.size))
    names = dict.fromkeys((*one.numbers, *other.numbers)) if one.numbers and other.numbers else {}
    numbers = {name: (one.numbers.get(name), other.numbers.get(name)) for name in names}
    options = tuple(_options(causes, one.made.model if one.made else ""))
    conclusion, unknown = _conclusion(one, other, causes), tuple(not_compared(one, other))
    return Explanation(one.name, other.name, numbers, tuple(causes), options, conclusion, unknown)


def _causes(one: Recorded, other: Recorded) -> Iterator[Cause]:
    if one.made and other.made:
        yield from _of_provenance(one.made, other.made)
    elif one.made or other.made:
        yield _cause("record of the model", [made and "there" for made in (one.made, other.made)], _NO_RECORD)
    for what, values, effect in other_images(one, other):
        yield _cause(what, values, effect)
    if one.facts and other.facts:
        yield from _of_results(one.facts, other.facts)
        for i, (place, what) in enumerate((("a", "the first side"), ("b", "the second side"))):
            alike = i < min(len(one.n), len(other.n)) and same(one, other, i, i)
            yield from _of_sides(one.facts[place], other.facts[place], what, alike=alike is True)


def _of_provenance(one: Provenance, other: Provenance) -> Iterator[Cause]:
    if one.sha256 != other.sha256:
        labels = [f"{made.model} (SHA-256 {made.sha256[:12]})" for made in (one, other)]
        yield _cause("weights", labels, effects.of_weights(one.model, other.model))
    for name, effect in _FIELDS.items():
        first, second = str(getattr(one, name)), str(getattr(other, name))
        if first != second:
            yield _cause(name.replace("_", " "), (first, second), effect(first, second))
    for package in sorted({*one.versions, *other.versions}):
        first, second = one.versions.get(package, "none"), other.versions.get(package, "none")
        if first != second:
            yield _cause(f"version of {package}", (first, second), effects.of_version(package, first))


def _of_results(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[Cause]:
    for name, effect in _OF_RESULTS.items():
        values = one[name], other[name]
        if values[0] != values[1]:
            yield _cause(name, values, effect)
    for name in sorted(one["conventions"].keys() & other["conventions"].keys()):
        values = one["conventions"][name], other["conventions"][name]
        if values[0] != values[1]:
            yield _cause(f"convention of {name}", values, _CONVENTION)
    settings = one["settings"], other["settings"]
    for name in sorted({*settings[0], *settings[1]}):
        values = settings[0].get(name), settings[1].get(name)
        if values[0] == values[1] or (name == "seed" and not any(own.get("limit") for own in settings)):
            continue
        own = effects.of_quantise(*_texts(values)) if name == "quantise" else _SETTINGS.get(name, _UNKNOWN)
        yield _cause(name, values, own)


def _of_sides(one: Mapping[str, Any], other: Mapping[str, Any], what: str, *, alike: bool) -> Iterator[Cause]:
    for name, effect in _OF_SIDES.items():
        values = one[name], other[name]
        if name == "name" and alike:
            continue
        if values[0] != values[1] and (name != "formats" or all(values)):
            yield _cause(f"{name} of {what}", values, effect)


def _cause(what: str, values: Iterable[Any], effect: Effect) -> Cause:
    first, second = _texts(values)
    return Cause(what, first, second, effect.size, effect.text, effect.where, effect.remedy)


def _texts(values: Iterable[Any]) -> list[str]:
    listed = [", ".join(map(str, value)) if isinstance(value, list) else value for value in values]
    return ["none" if value in (None, "") else str(value) for value in listed]


def _options(causes: Sequence[Cause], model: str) -> Iterator[str]:
    for cause in causes:
        if cause.what == "weights":
            yield f"with --model {model}"
        elif cause.what in _FLAGS:
            flag = _FLAGS[cause.what]
            yield f"without {flag}" if cause.first == "none" else f"with {flag} {cause.first}"


def _conclusion(one: Recorded, other: Recorded, causes: Sequence[Cause]) -> str:
    apart = [cause.what for cause in causes if cause.size == "incomparable"]
    if apart:
        return f"The two do not compare, because of {', '.join(apart)}. Remove that first."
    if known := [cause.what for cause in causes if cause.size in ("large", "small")]:
        return f"{'Most likely because of' if one.numbers and other.numbers else 'They differ in'} {', '.join(known)}."
    if one.made is None and other.made is None:
        return "Nothing that is recorded differs, but nothing says which model, mode and dims made them."
    if one.digest and other.digest:
        same = one.digest == other.digest
        return f"Nothing that is recorded differs, {'and' if same else 'but'} mean and covariance {_SAME[same]}."
    if one.digest or other.digest:
        return nothing_differs(one, other)
    values = one.numbers.get("fid"), other.numbers.get("fid")
    if values[0] is None or values[1] is None:
        return "Nothing that is recorded differs."
    if values[0] == values[1]:
        return "Nothing that is recorded differs, and the FID is the same."
    change = f"{values[1] - values[0]:+.6g}"
    return f"Nothing that is recorded differs, but the FID does, by {change}: {_unexplained(one, other)}"


_SAME = {
    True: "are the same to the last bit",
    False: "do: they are of other images, or of other files of the same names",
}


def _unexplained(one: Recorded, other: Recorded) -> str:
    """Say what may be behind a difference that nothing recorded explains."""
    first, second = one.numbers["fid"] or 0.0, other.numbers["fid"] or 0.0
    if abs(second - first) < 1e-6 * max(abs(first), abs(second)):
        return "that is rounding, as between two kinds of machines."
    hashed = all(identity.images for identity in (*one.identities, *other.identities))
    if hashed and len(one.n) == len(other.n) and all(same(one, other, i, i) for i in range(len(one.n))):
        return "the images are the same, so that their features or the formula differ: run both again on one machine."
    text = "files of the same names have other contents, or one set was drawn again."
    if "fid" in one.errors and "fid" in other.errors:
        error, source = (one.errors["fid"] ** 2 + other.errors["fid"] ** 2) ** 0.5, "by both standard errors"
    elif one.made and one.made.dims == DIMS and None not in one.n and len(one.n) == 2:
        n, m = (count or 1 for count in one.n)
        error, source = 2**0.5 * effects.noise(first, n, m), "by the rule of thumb of `fastfid plan`"
    else:
        return f"{text} Certainty (--certainty) in both would say whether that is noise."
    within = "less" if abs(second - first) <= 2 * error else "more"
    return (
        f"{text} FIDs of images that are drawn again differ by up to {2 * error:.2g} in 95 of 100 cases ({source}); "
        f"this is {within}."
    )
