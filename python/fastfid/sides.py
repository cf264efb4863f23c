"""The steps of a run for each side: open it, glance at it, fit it."""

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any, cast

from .arguments import spelled
from .engines.base import Engine, How
from .engines.fit_cache import entry_of, uncached
from .engines.piece_files import keep_of
from .engines.resume import resumed
from .errors import InputError, StatisticsMismatch
from .files.remote import without_secrets
from .files.store import Store
from .fit import Facts, Fit, Side, checked, fold
from .messages import Messages, tell_of_run, tell_of_sides
from .metrics.base import Need
from .metrics.moments import MOMENTS, Statistics
from .metrics.registry import asked_for
from .metrics.saved import fill, fit_of_features, fit_of_file, fit_of_statistics, give_facts
from .options import Options
from .progress import progress_bar
from .provenance import differences, without_record
from .sources import Piece, Source, check_limit, expected, glance, is_statistics_file, open_source, pieces
from .sources.arrays import images_beside_statistics
from .sources.classes import class_pieces
from .sources.element import is_upath


def open_side(
    given: Any, otherwise: str, needs: tuple[Need, ...], options: Options, messages: Messages, folder: str = ""
) -> Side:
    """Open the input for a side, and check everything that can be checked before the first image is read.

    `folder` is where its pieces are, below the folder that the option `resume` names.
    """
    file, own = _address(given, options)
    name = _name(file, otherwise)
    if (saved := _saved(file, name, needs, own, messages)) is not None:
        return _known(file, name, saved, needs, own, messages)
    if options.features:
        side = _known(file, name, fit_of_features(file, name, own.storage_options), needs, own, messages)
        return replace(side, features=True)
    source = open_source(
        given,
        recursive=options.recursive,
        endings=options.endings,
        image_key=options.image_key,
        value_range=options.value_range,
        quantise=options.quantise,
        storage_options=options.storage_options,
    )
    check_limit(source, options.limit, options.seed)
    if source.size is not None and source.size < 2:
        raise InputError(f"{source.name} has {source.size} image; a covariance needs at least 2")
    for text in source.notes:
        messages.note(text)
    store = None
    if options.resume is not None:
        store = Store(options.resume, options.storage_options).below(folder)
        if not source.exact:
            raise InputError(f"{source.name} does not surely say how many images it has: its runs cannot be resumed")
    n = expected(source, options.limit)
    chosen = None if n is None or source.size in (None, n) else (source.size or 0, options.seed)
    selection = options.limit, options.seed
    return Side(name, n, chosen=chosen, needs=needs, selection=selection, source=source, store=store)


def _address(given: Any, options: Options) -> tuple[Any, Options]:
    """Return the address of a `UPath`, and the options that it has with it; other inputs as they are."""
    if isinstance(given, os.PathLike) or not is_upath(given):
        return given, options
    return str(given), replace(options, storage_options=dict(given.storage_options))


def _name(given: Any, otherwise: str) -> str:
    if isinstance(given, str | os.PathLike):
        return without_secrets(os.fspath(given))
    own = given.name if isinstance(given, Source | Fit) else None
    return own or f"{otherwise} ({type(given).__name__})"


def _saved(given: Any, name: str, needs: tuple[Need, ...], options: Options, messages: Messages) -> Fit | None:
    """Return the fit of a side that was given as a fit or as statistics; None for images and features."""
    if isinstance(given, Fit):
        return replace(given, states=dict(given.states))
    if isinstance(given, Statistics):
        return fit_of_statistics(given)
    if isinstance(given, str | os.PathLike) and is_statistics_file(given, options.storage_options):
        return fit_of_file(given, messages, needs=needs, force=options.force, storage_options=options.storage_options)
    return None


def _known(given: Any, name: str, fit: Fit, needs: tuple[Need, ...], options: Options, messages: Messages) -> Side:
    """Return a side whose fit is known, with the images of the same file if the fit lacks something."""
    fill(fit, needs)
    missing = tuple(need for need in needs if not need.optional and need not in fit.states)
    source = images_beside_statistics(given, options.storage_options) if missing else None
    if missing and source is None:
        metrics = [metric.name for metric in asked_for(options.metrics, options) if missing[0] in metric.needs]
        saved = f"saved with --with {metrics[0]}" if metrics else "with that"
        raise InputError(f"{name} has no {missing[0]}: give the images, or statistics {saved}")
    if options.limit is not None:
        why = "it has no images to choose from" if source is None else "only its images are chosen from"
        messages.warn(f"{spelled('limit', options.limit)} does not apply to the statistics in {name}: {why}")
    provenance = fit.provenance or getattr(fit.get(MOMENTS), "provenance", None)
    return Side(
        name,
        fit.n,
        tuple(fit.seen.rejected),
        needs=missing,
        selection=(options.limit, options.seed),
        source=source,
        fit=fit,
        seen=fit.seen,
        provenance=provenance,
    )


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


def check_sides(
    sides: Sequence[Side], facts: Facts, force: bool, messages: Messages, *, tell_unknown: bool = True
) -> tuple[list[Side], bool]:
    """Add the provenance to each side, and check that two can be compared.

    Without `tell_unknown` there is no warning about sides of which nothing says how they were made.

    Returns
    -------
    sides : list of Side
        The same sides; those with images now have the provenance of the network, unless a file states its own.
    forced : bool
        True if they were made in different ways and only `force` allows the comparison.

    Raises
    ------
    StatisticsMismatch
        If the two cannot be compared.
    """
    made = [replace(side, provenance=side.provenance or facts.provenance) if side.source else side for side in sides]
    pairs = [
        ((side.provenance, facts.provenance), (f"the statistics in {side.name}", "its images in this run"))
        for side in sides
        if side.source and side.fit  # a file with both; its statistics may be of another model or mode
    ]
    if len(made) == 2:
        a, b = made
        first, second = (_dims(side, facts) for side in made)
        for need in first.keys() & second.keys():
            if first[need] != second[need]:  # different lengths cannot even be forced
                one, other = first[need], second[need]
                raise StatisticsMismatch(f"these cannot be compared: dims {one} in {a.name}, {other} in {b.name}")
        pairs.append(((a.provenance, b.provenance), (a.name, b.name)))
    forced = False
    for (one_made, other_made), names in pairs:
        if one_made is None or other_made is None:
            unknown = [name for name, made_by in zip(names, (one_made, other_made), strict=True) if made_by is None]
            if tell_unknown:
                tell_of_unknown(made, unknown, messages)
            continue
        texts, by_force = differences(one_made, other_made, names, force=force)
        forced |= by_force
        for text in texts:
            messages.warn(text)
    return made, forced


def tell_of_unknown(sides: Sequence[Side], names: Sequence[str], messages: Messages) -> None:
    """Warn of sides of which nothing says how they were made, unless all sides are plain features, which never say."""
    if names and not all(side.features for side in sides):
        plain = {side.name for side in sides if side.features} >= set(names)
        messages.warn(without_record(names, "features" if plain else "statistics"))


def _dims(side: Side, facts: Facts) -> dict[Need, int]:
    """Return the length of the rows behind each state that a side has or will have."""
    known = {need: state.dims for need, state in side.fit.states.items() if hasattr(state, "dims")} if side.fit else {}
    return known | {need: facts.roles[need.role] for need in side.needs if need.role in facts.roles}


def roles_of(fit: Fit) -> dict[str, int]:
    """Return the dims of each role of which a fit has something."""
    return {need.role: state.dims for need, state in fit.states.items() if hasattr(state, "dims")}


def glanced(side: Side) -> Side:
    """Decode a few images of a side and record what they show; they are kept and not decoded again."""
    if side.source is None:
        return side
    if side.entry and side.entry.fit:
        return replace(side, seen=side.entry.fit.seen)
    seen, source = glance(side.source, *side.selection)
    return replace(side, seen=seen, source=source)


def fits_of(
    side: Side,
    engine: Engine,
    facts: Facts,
    options: Options,
    messages: Messages,
    among: Callable[[int], bool] = lambda number: True,
) -> Generator[tuple[Piece, Fit], None, None]:
    """Yield the fit of each piece of a side with images, in order; if they are kept, `among` chooses the pieces."""
    asked = partial(_pieces, side)
    with progress_bar(options.progress, side.n, side.name) as show:
        how = How(options.num_workers, options.on_error, show)
        if side.keep is None:
            fits = engine.fit(side.needs, asked(), how)
        else:
            chosen = [piece for piece in asked() if among(piece.number)]
            asked = partial(iter, chosen)
            fits = resumed(engine, side.needs, chosen, replace(how, keep=side.keep), messages)
        yield from checked(fits, asked(), facts, type(engine).__name__)


def resumable(side: Side, facts: Facts, options: Options, messages: Messages) -> Side:
    """Check the folder of a side's pieces, if the run keeps them."""
    if side.store is None or (side.entry and side.entry.fit):
        return side
    keep = keep_of(side.store, list(_pieces(side)), side.needs, facts, _reading(options), messages)
    return replace(side, keep=keep)


def cached(side: Side, engine: Engine | None, facts: Facts, options: Options, messages: Messages) -> Side:
    """Look for the fit of a side in the cache, if the run uses it."""
    if side.source is None or not options.cache:
        return side
    if (why := uncached(side, engine)) is not None:
        messages.note(f"the cache does not keep {side.name}: {why}")
        return side
    return replace(side, entry=entry_of(list(_pieces(side)), side.needs, facts, options.of_images, messages))


def _reading(options: Options) -> dict[str, Any]:
    """Return the options that say how the images are read, for a run to be resumed with the same."""
    ends = None if options.value_range is None else list(options.value_range)
    return {"value_range": ends, "quantise": options.quantise}


def _pieces(side: Side) -> Iterator[Piece]:
    assert side.source is not None
    if side.shelf:
        return class_pieces(side.source, side.shelf.classes)
    return pieces(side.source, *side.selection)


def fitted(
    side: Side,
    engine: Engine | None,
    facts: Facts,
    options: Options,
    messages: Messages,
) -> Side:
    """Read the images of a side, in one pass, or say what is known of those behind its statistics."""
    source = side.source
    if source is None or engine is None:
        if side.seen is not None:
            tell_of_run(side.name, side.seen, side.provenance, messages)
        return side
    if side.entry and side.entry.fit:
        fit = side.entry.fit
    else:
        with closing(fits_of(side, engine, facts, options, messages)) as fits:
            fit = fold(side.shelf.keep(fits) if side.shelf else fits, Fit.empty(side.needs, facts.roles))
    fit.name, fit.provenance = source.name, fit.provenance or facts.provenance
    if (fit.n or 0) < 2:
        raise InputError(f"{source.name} gave {fit.n} readable images; a covariance needs at least 2")
    if side.entry:
        side.entry.write(fit, messages)
    give_facts(fit, fit.provenance)
    tell_of_run(source.name, fit.seen, fit.provenance, messages)
    if side.fit is not None:  # the file had statistics, too, and their n is that of the FID
        fit = replace(fit, states={**side.fit.states, **fit.states}, n=side.fit.n)
    return replace(
        side,
        n=fit.n,
        rejected=tuple(fit.seen.rejected),
        fit=fit,
        seen=fit.seen,
        provenance=fit.provenance if side.provenance == facts.provenance else side.provenance,
    )


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
    if side.fit is not None:
        raise InputError(
            f"{side.name} has statistics, and images that are not all of theirs: together they are not one set; give a "
            "file with the images alone"
        )
    side = cached(side, engine, facts, options, messages)
    side = glanced(resumable(side, facts, options, messages))
    tell_of_sides([side], facts, messages)
    side = fitted(side, engine, facts, options, messages)
    tell_of_sides([side], facts, messages)
    return side
