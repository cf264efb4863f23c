"""`rank`: which of several generators has the lowest FID, and which of them cannot be told apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import numpy as np

from .checks import level_number, truth
from .errors import InputError
from .fit import Side
from .messages_of_pairs import MessagesOfPairs
from .metrics.certainty import LEVEL
from .metrics.feature_blocks import Given
from .metrics.fid_difference import Measured
from .metrics.frechet import distance
from .one_against_many import read_against
from .options import OF_SCORES, Options, names
from .ranking import Ranking
from .standings import BEST, LOWEST, SAME, UNSURE, WORSE, Gap, Standing, shared_level


def rank(
    real: Any,
    *generators: Any,
    level: float = LEVEL,
    paired: bool = False,
    features: bool = False,
    **options: Any,
) -> Ranking:
    """Which of several generators has the lowest FID, and which of them cannot be told apart.

    All are compared with the same real images, which are read once. FIDs are compared without their bias, so the sets
    may have different numbers of images. The difference of two FIDs is known better than either: what is particular to
    the real images drawn raises or lowers both, and what is particular to a seed does so if `paired`.

    Parameters
    ----------
    real : path, array, Statistics, Fit or iterable
        The real images, as for `score`. Statistics without rows count as exactly known.
    *generators : path, array, Fit or iterable
        The images of at least two generators.
    level : float
        Confidence level of all limits, from 0.5 to 0.9999.
    paired : bool
        Image i of each generator was made from the same seed, or the same noise or caption. If the images are files,
        their names have to be the same.
    features : bool
        All sides are matrices of features, shape (n, dims).
    **options
        Options of `compare` about the images and the run: ``model``, ``mode``, ``dims``, ``batch_size``, ``device``,
        ``precision``, ``num_workers``, ``limit``, ``seed``, ``on_error``, ``recursive``, ``endings``, ``image_key``,
        ``value_range``, ``quantise``, ``storage_options``, ``force``, ``progress``, ``engine``, ``engine_options``,
        ``resume``.

    Returns
    -------
    Ranking
        A generator whose certainty cannot be computed, because a side has fewer than 3 d rows or it is given as
        statistics, is listed last, with its FID and the reason, and has no verdict. ``print(ranking)`` shows a table,
        and ``ranking.difference(1, 2)`` compares two of which none is the best.

    Raises
    ------
    InputError
        If there are fewer than two generators, an option does not fit, or `paired` generators do not have the same
        images: the message names the first that differs.

    See Also
    --------
    certainty : How sure a single FID is.

    Notes
    -----
    With k generators, each of the k - 1 differences to the best has limits of the level 1 - (1 - level) / (k - 1)
    (Bonferroni). So the chance that the truly best generator is called worse is at most 1 - level. Where several are
    best, that holds for each of them.

    The standard error of a difference is that of `certainty`, with the reference's share of both FIDs subtracted row by
    row [1]_. The verdicts are about the images given: to train a model again changes a FID more than to draw images
    again.

    References
    ----------
    .. [1] B. Efron and C. Stein (1981), "The jackknife estimate of variance".

    Examples
    --------
    >>> import numpy as np
    >>> import fastfid
    >>> rng = np.random.RandomState(0)
    >>> real, good, bad = rng.randn(3, 500, 8) + [[[0]], [[0]], [[0.5]]]
    >>> result = fastfid.rank(real, bad, good, features=True)
    >>> [(one.name, one.verdict) for one in result.standings]
    [('generator 2 (ndarray)', 'best'), ('generator 1 (ndarray)', 'worse')]
    """
    level, paired = level_number(level), truth("paired", paired)
    if len(generators) < 2:
        raise InputError(f"rank compares at least two generators with the real images, got {len(generators)}")
    asked, said = checked_options("rank", {**options, "features": features}), MessagesOfPairs()
    found, made, fixed = [], None, False
    for side, reference in read_against(real, generators, asked, said, paired=paired):
        against, made = Given.of(reference.fit, reference.name), made or side.provenance or reference.provenance
        fixed, result = against.fixed, reference.result()
        found.append(_Read.of(side, against, paired))
        if found[-1].bits == against.bits:
            same = f"{side.name} has the very images of {reference.name}, and certainty is about independent sets"
            said.of(0).warn(f"same-images: {same}: its numbers and its verdict mean nothing")
        del side, reference, against  # before the next generator is read
    standings, measured = _standings(found, level, paired)
    return Ranking(standings, result, level, paired, fixed, made, *said.texts(), _measured=measured)


@dataclass(frozen=True)
class _Read:
    """A generator that has been read: its name, its number of images, its FID, and what differences need.

    Two sets with the same `bits` are the same.
    """

    name: str
    n: int | None
    fid: float
    measured: Measured | str  # or the reason why not
    bits: tuple[int | None, bytes, float]

    @classmethod
    def of(cls, side: Side, real: Given, paired: bool) -> "_Read":
        own = Given.of(side.fit, side.name)
        bits, measured = own.bits, Measured.of(own, real, paired=paired)
        if isinstance(measured, str):
            return cls(side.name, side.n, distance(own.gaussian, real.gaussian).value, measured, bits)
        fid = float(np.ldexp(measured.parts.distance, 2 * measured.parts.exponent))
        return cls(side.name, side.n, fid, measured, bits)


def _standings(
    found: Sequence[_Read], level: float, paired: bool
) -> tuple[tuple[Standing, ...], tuple[Measured | str, ...]]:
    """Return the standings, best first, and what was measured of each."""
    alone = [(_alone(one, level), one) for one in found]
    alone.sort(key=lambda pair: (inf if pair[0].corrected is None else pair[0].corrected, pair[0].fid))
    result, rows = [own for own, _ in alone], [one for _, one in alone]
    twins = [next(j for j in range(i + 1) if rows[j].bits == rows[i].bits) for i in range(len(rows))]
    judged = [(i, one.measured) for i, one in enumerate(rows) if twins[i] == i and isinstance(one.measured, Measured)]
    each = shared_level(level, len(judged) - 1)
    for i, measured in judged[1:]:
        result[i] = _behind(result[i], Gap.of(result[i], result[0], (measured, judged[0][1]), each, paired))
    if len(judged) > 1:
        told = all(result[i].verdict == WORSE for i, twin in enumerate(twins) if i and twin == i)
        result[0] = replace(result[0], difference=0.0, verdict=BEST if told else LOWEST)
    for i, twin in enumerate(twins):
        if twin < i:
            result[i] = _same(result[i], result[twin])
    return tuple(result), tuple(rows[twin].measured for twin in twins)


def _alone(one: _Read, level: float) -> Standing:
    """Return what is known about a generator without the others."""
    if isinstance(one.measured, str):
        return Standing(one.name, one.n, one.fid, reason=one.measured)
    parts = one.measured.parts
    values = [parts.corrected, parts.bias, parts.error, *parts.limits(level)]
    corrected, bias, error, low, high = map(float, np.ldexp(values, 2 * parts.exponent))
    return Standing(one.name, one.n, one.fid, corrected, bias, error, low, high)


def _behind(own: Standing, gap: Gap) -> Standing:
    """Return a standing with its difference to the best."""
    return replace(
        own,
        difference=gap.difference,
        difference_error=gap.standard_error,
        difference_low=gap.low,
        difference_high=gap.high,
        verdict=gap.verdict if gap.verdict == WORSE else UNSURE,
        images_to_tell=gap.images_to_tell,
    )


def _same(own: Standing, twin: Standing) -> Standing:
    """Return the standing of a generator that has the same images as another."""
    return replace(
        own,
        difference=twin.difference,
        difference_error=twin.difference_error,
        difference_low=twin.difference_low,
        difference_high=twin.difference_high,
        verdict=SAME,
        same_as=twin.name,
    )


def checked_options(function: str, given: Mapping[str, Any]) -> Options:
    """Check the options, before any file is opened."""
    if wrong := [name for name in given if name in OF_SCORES]:
        raise InputError(f"{function} does not take {wrong[0]}: it computes FIDs, and how sure they are")
    if unknown := [name for name in given if name not in names("compare")]:
        raise TypeError(f"{function}() got an unexpected keyword argument {unknown[0]!r}")
    return Options.of(given)
