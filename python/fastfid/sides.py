"""The steps of a run for each side: open it, glance at it, fit it."""

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np

from .engines.base import Engine, How
from .errors import InputError, StatisticsMismatch
from .fit import Facts, Fit, Side, checked, fold
from .messages import Messages, tell_of_run, tell_of_sides
from .metrics import statistics_file
from .metrics.base import Need
from .metrics.fid import MOMENTS
from .metrics.kid import ROWS
from .metrics.moments import Statistics
from .metrics.rows import Rows
from .options import Options
from .progress import progress_bar
from .provenance import differences
from .sources import Source, check_limit, expected, glance, is_statistics_file, open_source, pieces


def open_side(given: Any, otherwise: str, needs: tuple[Need, ...], options: Options, messages: Messages) -> Side:
    """Open the input for a side, and check everything that can be checked before the first image is read."""
    name = _name(given, otherwise)
    if isinstance(given, Statistics):
        return replace(_saved(given, name, options, messages), needs=needs)
    if isinstance(given, str | os.PathLike) and is_statistics_file(given):
        stored = statistics_file.load(given, messages.warn, force=options.force)
        for text in stored.notes:
            messages.note(text)
        return replace(_saved(Statistics._of_file(stored), name, options, messages), needs=needs)
    source = open_source(given, recursive=options.recursive, endings=options.endings)
    check_limit(source, options.limit, options.seed)
    if source.size is not None and source.size < 2:
        raise InputError(f"{source.name} has {source.size} image; a covariance needs at least 2")
    for text in source.notes:
        messages.note(text)
    return Side(name, expected(source, options.limit), needs=needs, source=source)


def _name(given: Any, otherwise: str) -> str:
    if isinstance(given, str | os.PathLike):
        return os.fspath(given)
    own = getattr(given, "name", None) if isinstance(given, Source) else None
    return own or f"{otherwise} ({type(given).__name__})"


def _saved(statistics: Statistics, name: str, options: Options, messages: Messages) -> Side:
    if options.limit is not None:
        messages.warn(f"limit={options.limit} does not apply to {name}: it has no images to choose from")
    fit = Fit({MOMENTS: statistics}, statistics.n)
    if (rows := statistics.rows) is not None:
        fit.states[ROWS] = Rows(statistics.dims).update(rows.astype(np.float32))
    return Side(name, statistics.n, fit=fit, provenance=statistics.provenance)


def moments_of(side: Side) -> Statistics:
    """Return the mean and covariance of a side that has been read, or that was given as statistics."""
    assert side.fit is not None
    return cast(Statistics, side.fit[MOMENTS])


def require_roles(sides: Sequence[Side], facts: Facts) -> None:
    """Raise `InputError` if the network does not give what the sides need."""
    needed = dict.fromkeys(need.role for side in sides if side.source for need in side.needs)
    missing = [role for role in needed if role not in facts.roles]
    if missing:
        raise InputError(
            f"the model gives {', '.join(facts.roles) or 'nothing'}, and {missing[0]} is needed: "
            f"open the Extractor with roles={(*facts.roles, *missing)}"
        )


def check_sides(sides: Sequence[Side], facts: Facts, force: bool, messages: Messages) -> tuple[list[Side], bool]:
    """Add the provenance to each side, and check that the two can be compared.

    Returns
    -------
    sides : list of Side
        The same sides; those with images now have the provenance of the network.
    forced : bool
        True if they were made in different ways and only `force` allows the comparison.

    Raises
    ------
    InputError
        If a side is statistics and a metric needs its images.
    StatisticsMismatch
        If the two cannot be compared.
    """
    for side in sides:
        missing = [need for need in side.needs if side.fit and not need.optional and not side.fit.get(need)]
        if missing:
            raise InputError(f"{side.name} holds statistics, which have no {missing[0]}: give the images")
    a, b = (replace(side, provenance=facts.provenance) if side.source else side for side in sides)
    first, second = (moments_of(side).dims if side.fit else facts.roles.get("features") for side in (a, b))
    if None not in (first, second) and first != second:  # different lengths cannot even be forced
        raise StatisticsMismatch(f"these cannot be compared: dims {first} in {a.name}, {second} in {b.name}")
    texts, forced = differences(a.provenance, b.provenance, (a.name, b.name), force=force)
    for text in texts:
        messages.warn(text)
    return [a, b], forced


def glanced(side: Side, options: Options) -> Side:
    """Decode a few images of a side and record what they show; they are kept and not decoded again."""
    if side.source is None:
        return side
    seen, source = glance(side.source, options.limit, options.seed)
    return replace(side, seen=seen, source=source)


def fitted(
    side: Side,
    engine: Engine | None,
    facts: Facts,
    options: Options,
    messages: Messages,
) -> Side:
    """Read the images of a side, in one pass."""
    source = side.source
    if source is None or engine is None:
        return side
    with progress_bar(options.progress, side.n, source.name) as show:
        how = How(options.num_workers, options.on_error, show)
        cut = partial(pieces, source, options.limit, options.seed)
        fits = checked(engine.fit(side.needs, cut(), how), cut(), facts, type(engine).__name__)
        fit = fold(fits, Fit.empty(side.needs, facts.roles))
    if (moments := fit.get(MOMENTS)) is not None:
        cast(Statistics, moments).provenance = facts.provenance
    if (fit.n or 0) < 2:
        raise InputError(f"{source.name} gave {fit.n} readable images; a covariance needs at least 2")
    tell_of_run(source.name, fit.seen, facts.provenance, messages)
    return replace(side, n=fit.n, rejected=tuple(fit.seen.rejected), fit=fit, seen=fit.seen)


def read(
    side: Side,
    engine: Engine | None,
    facts: Facts,
    options: Options,
    messages: Messages,
) -> Side:
    """Glance at a single side, and fit it."""
    if side.source is None:
        return side
    side = glanced(side, options)
    tell_of_sides([side], facts, messages)
    side = fitted(side, engine, facts, options, messages)
    tell_of_sides([side], facts, messages)
    return side
