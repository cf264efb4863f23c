"""The registered models: where each lies on this machine, and how to get it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from . import cache, registry
from .download import download


class Row(NamedTuple):
    """One line of `fastfid models list`; `where` is None for what has to be downloaded."""

    name: str
    digest: str
    where: str | None
    note: str


def find(name: str) -> Path | None:
    """Find the file of a registered model, unread.

    Parameters
    ----------
    name : str

    Returns
    -------
    Path or None
        None where the model has to be downloaded, or is built in and has no file.

    Raises
    ------
    ModelError
        Where the registry has no such name.
    """
    return cache.locate(registry.entry(name))


def fetch(name: str, *, progress: bool = False) -> Path:
    """Find the file of a registered model and check its hash, or download it.

    Parameters
    ----------
    name : str
    progress : bool
        Whether a download shows a bar on stderr.

    Returns
    -------
    Path

    Raises
    ------
    ModelError
        Where the registry has no such name, the model has no file, or the file cannot be had or is damaged.
    """
    entry = registry.entry(name)
    path = cache.locate(entry)
    if path is None:
        return download(entry, progress=progress)
    cache.read_verified(path, entry)
    return path


def table() -> list[Row]:
    """What `fastfid models list` shows: name, hash, where the model is, and a note, for each registered model."""
    rows = []
    for entry in registry.REGISTRY.values():
        where = "built in" if entry.url is None else cache.locate(entry)
        rows.append(
            Row(entry.name, f"{entry.label} {entry.published}", None if where is None else str(where), entry.note)
        )
    return rows
