"""`plan`: how many images a FID needs."""

import os
from collections.abc import Callable, Iterator
from math import inf
from statistics import NormalDist, fmean
from typing import Any

import numpy as np

from .arguments import default, given, spelled
from .checks import level_number, real_number, shown, whole_number
from .errors import InputError, UsageError
from .messages_of_pairs import MessagesOfPairs
from .metrics.certainty import LEVEL
from .metrics.feature_blocks import Given
from .metrics.fid_certainty import ROWS_PER_DIM, Pair
from .metrics.fid_growth import Growth, Noise
from .metrics.frechet import Gaussian, distance, gaussian_from_rows
from .metrics.inception_noise import DIMS, USUAL, RuleOfThumb
from .one_against_many import read_against
from .planned import Plan, Reading
from .rank import checked_options

SIZES = (1000, 2000, 5000, 10_000, 50_000)
_SUBSETS = 4  # of a pilot
_LARGEST = 1e6  # FID
Sizes = Callable[[float], tuple[float, float]]


def plan(
    a: Any = None,
    b: Any = None,
    *,
    fid: float | None = None,
    sd: float | None = None,
    half_width: float | None = None,
    level: float = default(LEVEL),
    reference: int | None = None,
    features: bool = False,
    **options: Any,
) -> Plan:
    """How many images a FID needs, and what the FID of fewer or more images will read.

    Give two sets of images as a pilot. Or give `fid` alone, for a rule of thumb about the 2048 features of Inception.

    Parameters
    ----------
    a, b : path, array, Statistics, Fit or iterable, optional
        Generated and real images, as for `score`: at least 3 d on each side. Statistics without rows count as exactly
        known, and only the other side grows.
    fid : float, optional
        Instead of a pilot: about what FID is expected with 50,000 images on each side.
    sd : float, optional
        The standard deviation that the FID is to have at most.
    half_width : float, optional
        Instead of `sd`: the FID is to be known to plus or minus this.
    level : float
        Confidence level of `half_width`, from 0.5 to 0.9999.
    reference : int, optional
        The real side has this many images, and only the generated images grow. By default both sides have equally many.
    features : bool
        Both sides are matrices of features, shape (n, dims).
    **options
        Options about the images and the run, as for `rank`.

    Returns
    -------
    Plan

    Raises
    ------
    InputError
        If the pilot is too small or the same set twice, or arguments are missing or contradict each other.

    See Also
    --------
    rank : ``images_to_tell`` says how many images tell two generators apart, which is fewer: they share the real side.

    Notes
    -----
    The variance is one part over the number of images, from the images' influence, and one over its square [1]_. So is
    the bias. Below 3 d images this expansion fails, and the FID is measured on subsets of the pilot.

    References
    ----------
    .. [1] B. Efron and C. Stein (1981), "The jackknife estimate of variance".

    Examples
    --------
    >>> import numpy as np
    >>> import fastfid
    >>> rng = np.random.RandomState(0)
    >>> pilot = rng.randn(400, 8) + 0.5, rng.randn(400, 8)
    >>> planned = fastfid.plan(*pilot, features=True, half_width=0.1)
    >>> 5_000 < planned.n < 30_000
    True
    >>> few, *_, many = planned.readings
    >>> few.n, few.fid > many.fid, few.standard_deviation > 5 * many.standard_deviation
    (1000, True, True)
    >>> fastfid.plan(fid=3, sd=0.1).rule_of_thumb
    True
    """
    wanted = _wanted(sd, half_width, level)
    level = level_number(level)
    if reference is not None:
        reference = whole_number(spelled("reference"), reference, 2)
    if (a is None) != (b is None) or (a is None) == (fid is None):
        raise UsageError(f"give two sets of images as a pilot, or {spelled('fid')} alone for a rule of thumb")
    if fid is not None:
        if options or features:
            name = spelled(next(iter(options), "features"))
            raise UsageError(f"{name} is about the images of a pilot, and {spelled('fid')} takes none: leave it out")
        rule = RuleOfThumb.of(_positive("fid", fid))
        if not rule.distance:
            raise InputError(
                "by the rule of thumb two sets of 50,000 images from one source have a FID of "
                f"{rule.bias(USUAL, USUAL):.2g}, so {shown(fid)} is too small; a pilot of your own images is surer"
            )
        return _planned(rule, _sizes((False, False), reference), wanted, half_width, level, DIMS)
    return _from_pilot(a, b, wanted, half_width, level, reference, {**options, "features": features})


def _wanted(sd: float | None, half_width: float | None, level: float) -> float | None:
    """Return the standard deviation that is asked for, directly or by the width of limits; None if none is."""
    level_number(level)
    if sd is not None and half_width is not None:
        raise UsageError(f"give {spelled('sd')} or {spelled('half_width')}, not both")
    if half_width is not None:
        return _positive("half_width", half_width) / NormalDist().inv_cdf((1 + level) / 2)
    if given(level):
        one, other = spelled("level", level), spelled("half_width")
        raise UsageError(f"{one} is the confidence level of {other}: give {other} as well, or leave it out")
    return None if sd is None else _positive("sd", sd)


def _from_pilot(
    a: Any,
    b: Any,
    wanted: float | None,
    half_width: float | None,
    level: float,
    reference: int | None,
    options: dict[str, Any],
) -> Plan:
    if isinstance(a, str | os.PathLike) and isinstance(b, str | os.PathLike) and os.fspath(a) == os.fspath(b):
        raise _twice(os.fspath(a), os.fspath(b))  # before it is read
    said = MessagesOfPairs()
    ((generated, real),) = read_against(b, [a], checked_options("plan", options), said)
    pair = Pair(Given.of(generated.fit, generated.name), Given.of(real.fit, real.name))
    fixed = pair.sides[0].fixed, pair.sides[1].fixed
    if reference is not None and any(fixed):
        name = (generated if fixed[0] else real).name
        asked = spelled("reference", reference)
        raise InputError(f"{name} has no images and counts as exactly known: leave {asked} out")
    if not all(fixed) and pair.sides[0].bits == pair.sides[1].bits:
        raise _twice(generated.name, real.name)
    parts = pair.parts()
    if isinstance(parts, str):
        rule = f"{spelled('fid')} alone gives a rule of thumb"
        raise InputError(f"no plan from this pilot: {parts}; {rule}")
    growth = Growth.of(pair, parts)
    error = float(np.ldexp(parts.error, 2 * parts.exponent))
    sizes = _sizes(fixed, reference)
    found = _planned(growth, sizes, wanted, half_width, level, pair.sides[0].dims, pair)
    return found.of_pilot(generated.result(), real.result(), error, *said.texts())


def _twice(generated: str, real: str) -> InputError:
    return InputError(
        f"no plan from this pilot: {generated} has the very images of {real}, and a pilot needs two independent sets; "
        "for the FID of two sets from one source, give two halves of it"
    )


def _sizes(fixed: tuple[bool, bool], reference: int | None) -> Sizes:
    """Return the numbers of images of both sides as a function of the number that grows."""

    def sizes(n: float) -> tuple[float, float]:
        return inf if fixed[0] else n, inf if fixed[1] else n if reference is None else reference

    return sizes


def _planned(
    noise: Noise,
    sizes: Sizes,
    wanted: float | None,
    half_width: float | None,
    level: float,
    dims: int,
    pilot: Pair | None = None,
) -> Plan:
    n, reason = None, ""
    if wanted is not None:
        found = noise.needed(wanted, sizes)
        n = int(found) if found < inf else None
        if n is None:
            left = noise.variance(*sizes(inf)) ** 0.5
            reason = "it would take more than a million million images"
            if left > 0:
                reason = f"the real images alone leave a standard deviation of {left:.3g}"
    readings = tuple(_reading(noise, *sizes(size), dims, pilot) for size in SIZES)
    return Plan(
        fid=noise.distance,
        n=n,
        standard_deviation=wanted,
        half_width=half_width,
        level=level,
        reference=None if sizes(inf)[1] == inf else int(sizes(inf)[1]),
        dims=dims,
        readings=readings,
        rule_of_thumb=pilot is None,
        reason=reason,
    )


def _reading(noise: Noise, n: float, m: float, dims: int, pilot: Pair | None) -> Reading:
    bias = noise.bias(n, m)
    fid = max(noise.distance, 0.0) + max(bias, 0.0)
    if pilot is not None and min(n, m) < ROWS_PER_DIM * dims:
        fid = fmean(_of_subsets(pilot, n, m, noise))
    count_n, count_m = (None if count == inf else int(count) for count in (n, m))
    return Reading(count_n, count_m, fid, noise.variance(n, m) ** 0.5, fid - max(noise.distance, 0.0))


def _of_subsets(pilot: Pair, n: float, m: float, noise: Noise) -> Iterator[float]:
    """Yield the FIDs of disjoint random subsets of n and m rows; a side with fewer rows than that is taken whole."""
    sizes = [min(size, side.count) for size, side in zip((n, m), pilot.sides, strict=True)]
    drawn = [side.count // size for size, side in zip(sizes, pilot.sides, strict=True) if size < side.count]
    for i in range(int(min(_SUBSETS, *drawn))):
        gaussians = [_subset(side, size, i) for size, side in zip(sizes, pilot.sides, strict=True)]
        yield distance(*gaussians).value + noise.bias(n, m) - noise.bias(*sizes)


def _subset(side: Given, size: float, i: int) -> Gaussian:
    """Return the Gaussian of the i-th of disjoint random subsets, or that of the side if it is no larger."""
    if size >= side.count:
        return side.gaussian
    order, n = np.random.RandomState(0).permutation(int(side.count)), int(size)
    return gaussian_from_rows(side.taken(np.sort(order[i * n : (i + 1) * n])))


def _positive(name: str, value: Any) -> float:
    number = real_number(value)
    if not 0 < number <= _LARGEST:
        bounds = "a number above 0" if not number > 0 else f"at most {_LARGEST:g}"
        raise UsageError(f"{spelled(name)} must be {bounds}, got {shown(value)}")
    return number
