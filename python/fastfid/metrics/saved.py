"""Fits that come from statistics or from features instead of images."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..checks import numbers, type_of
from ..errors import InputError
from ..files.npy import Header, exactly, read_header
from ..files.npz import Npz
from ..files.places import place_of
from ..files.reading import failures
from ..files.remote import without_secrets
from ..fit import Fit
from ..images.observed import Tally
from ..messages import Messages
from ..networks.roles import FEATURES
from ..provenance import Provenance
from . import image_facts, statistics_file
from .base import Metric, Need
from .feature_rows import snapshots
from .moments import MOMENTS, Statistics
from .role_arrays import arrays_of, states_of
from .rows import ROWS, Rows

_BLOCK = 16 << 20  # bytes read at a time


def fit_of_statistics(statistics: Statistics) -> Fit:
    """Return a fit with the mean and covariance, and with the rows while the statistics keep them."""
    fit = Fit({MOMENTS: statistics}, statistics.n, statistics._observed() or Tally())
    if (rows := statistics.rows) is not None:
        fit.states[ROWS] = Rows(statistics.dims).update(rows.astype(np.float32))
    return fit


def fit_of_file(
    path: str | os.PathLike[str],
    messages: Messages,
    *,
    needs: Collection[Need] | None = None,
    force: bool = False,
    storage_options: Mapping[str, Any] | None = None,
) -> Fit:
    """Return a fit of a statistics file, with what is needed of it, or with everything.

    Raises
    ------
    InputError
        If the file is missing or damaged, or holds values that are not statistics.
    """
    roles = None if needs is None else {need.role for need in needs}
    rows = needs is None or any(need.role == FEATURES and need != MOMENTS for need in needs)
    stored = statistics_file.load(path, messages.warn, force=force, rows=rows, storage_options=storage_options)
    for text in stored.notes:
        messages.note(text)
    fit = fit_of_statistics(Statistics._of_file(stored))
    fit.provenance, fit.name = stored.provenance, without_secrets(os.fsdecode(path))
    if stored.rows is not None and rows:
        fit.states[ROWS] = Rows(stored.rows.shape[1]).update(stored.rows.astype(np.float32, copy=False))
    place = place_of(os.fsdecode(path), storage_options)
    if place.tail.lower().endswith(".npz") and roles != {FEATURES}:
        try:
            with failures("it cannot be read"), Npz(place.open()[0]) as npz:
                fit.states |= dict(states_of(npz, fit.n, roles))
        except InputError as error:
            raise InputError(f"{place}: {error}") from error
    return fit


def load(path: str | os.PathLike[str]) -> Fit:
    """Read everything that a statistics file holds: one written by `save`, or by another tool.

    Parameters
    ----------
    path : path

    Returns
    -------
    Fit

    Raises
    ------
    InputError
        If the file is missing or damaged, or holds values that are not statistics.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> import fastfid
    >>> fit = fastfid.fit(np.random.RandomState(0).randn(50, 4), features=True, metrics=["kid"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fastfid.load(fastfid.save(fit, f"{folder}/real.npz"))
    Fit(n=50, Statistics of features, Rows of features)
    """
    return fit_of_file(path, Messages())


def save(fit: Fit, path: str | os.PathLike[str], *, overwrite: bool = True, format: str = "fastfid") -> Path:  # noqa: A002 - as the flag is called
    """Write a statistics file with everything that a fit holds; see docs/statistics-file.md.

    Parameters
    ----------
    fit : Fit
        As `fit` returns it.
    path : path
        The ending is appended if it is missing.
    overwrite : bool
        Whether to replace an existing file.
    format : {"fastfid", "torch-fidelity-fork", "imf", "edm2"}
        As for `Statistics.save`.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    InputError
        If the file cannot be written, exists and `overwrite` is False, or the fit holds something else than means,
        covariances and rows.
    """
    if not isinstance(fit, Fit):
        raise InputError(f"save takes a Fit, got {type_of(fit)}; a Statistics has its own save")
    more, fit = arrays_of(fit.states), replace(fit, states=dict(fit.states))
    fill(fit, (MOMENTS,))
    if (rows := fit.get(ROWS)) is not None:
        more["rows"] = cast(Rows, rows).matrix
    more |= image_facts.arrays_of(fit.seen, fit.n)
    return cast(Statistics, fit[MOMENTS])._save(path, overwrite=overwrite, form=format, more=more)


def fit_of_features(given: Any, name: str, storage_options: Mapping[str, Any] | None = None) -> Fit:
    """Return a fit of a matrix of features: an array, or an ``.npy`` or ``.npz`` that holds one.

    Raises
    ------
    InputError
        If it is not a matrix (n, dims) of finite numbers with at least two rows.
    """
    blocks = (
        _read(os.fsdecode(given), name, storage_options)
        if isinstance(given, str | os.PathLike)
        else _blocks(given, name)
    )
    fit = Fit({}, 0)
    for block in blocks:
        if not fit.states:
            fit.states = {MOMENTS: Statistics(block.shape[1]), ROWS: Rows(block.shape[1])}
        with failures(name):
            cast(Statistics, fit[MOMENTS]).update(block)
        with np.errstate(over="ignore"):  # the metrics that take rows refuse infinite ones
            cast(Rows, fit[ROWS]).update(block.astype(np.float32, copy=False))
        fit.n = (fit.n or 0) + len(block)
    if (fit.n or 0) < 2:
        raise InputError(f"{name} has {fit.n} rows; a covariance needs at least 2")
    return fit


def give_facts(fit: Fit, provenance: Provenance | None) -> None:
    """State how a fit, and the mean and covariance in it, were made, and of which images."""
    fit.provenance = provenance
    for need, state in fit.states.items():
        if isinstance(state, Statistics) and need.role == FEATURES:
            state.provenance, state._seen = provenance, fit.seen


def fill(fit: Fit, needs: Iterable[Need]) -> None:
    """Compute what a fit lacks from its rows, where it has them."""
    for need in needs:
        rows = fit.get(Need(need.role, Rows))
        if need in fit.states or rows is None:
            continue
        state = need.accumulator(cast(Rows, rows).dims)
        for block in cast(Rows, rows).blocks():
            state.update(np.asarray(block, dtype=np.float32))
        fit.states[need] = state


def needs_to_keep(metrics: Sequence[Metric]) -> tuple[Need, ...]:
    """Return what to keep of one side, so that all metrics can be computed later: moments, and rows for the rest."""
    kept = [MOMENTS]
    for metric in metrics:
        plain = [need if need.accumulator in (Statistics, Rows) else Need(need.role, Rows) for need in metric.needs]
        kept += plain
    return tuple(dict.fromkeys(kept))


def _blocks(given: Any, name: str) -> Iterator[NDArray[Any]]:
    array = numbers(given, name)
    _check(array.shape, name)
    yield from snapshots(array)


def _read(path: str, name: str, storage_options: Mapping[str, Any] | None) -> Iterator[NDArray[Any]]:
    kind = path.lower()[-4:]
    if kind not in (".npy", ".npz") or Path(path).is_dir():
        raise InputError(f"{name} is not a matrix of features: give an .npy or .npz of shape (n, dims)")
    with failures(f"cannot read {name}"):
        file, state = place_of(path, storage_options).open()
        if kind == ".npy":
            with file:
                yield from _read_rows(file, read_header(file, state[0]), name)
            return
        with Npz(file) as npz:
            keys = [key for key in npz.keys if len(npz.header(key).shape) == 2]
            if len(keys) != 1:
                held = ", ".join(npz.keys) or "nothing"
                raise InputError(f"{name} must hold one matrix of features; it holds {held}")
            header, values = npz.open(keys[0])
            yield from _read_rows(values, header, name)


def _read_rows(file: Any, header: Header, name: str) -> Iterator[NDArray[Any]]:
    _check(header.shape, name)
    if header.dtype.kind not in "fiu":
        raise InputError(f"{name} must be real numbers, got dtype {header.dtype}")
    n, dims = header.shape
    if header.fortran:
        raise InputError(f"{name} is stored column by column: save np.ascontiguousarray(array) instead")
    step = max(1, _BLOCK // (dims * header.dtype.itemsize))
    for first in range(0, n, step):
        count = min(step, n - first)
        raw = exactly(file, count * dims * header.dtype.itemsize)
        block = np.frombuffer(raw, header.dtype).reshape(count, dims)
        yield block if block.dtype == np.float32 else block.astype(np.float64)


def _check(shape: tuple[int, ...], name: str) -> None:
    if len(shape) != 2 or 0 in shape:
        raise InputError(f"{name} must be a matrix of features, shape (n, dims); it has shape {shape}")
