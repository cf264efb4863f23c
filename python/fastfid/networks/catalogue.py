"""Finds and fetches the files of the registered models."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from . import cache, registry
from .download import download


class Row(NamedTuple):
    """One line of `fastfid models list`; `where` is None if the model must be downloaded."""

    name: str
    digest: str
    where: str | None
    note: str


def find(name: str) -> Path | None:
    """Find the file of a registered model without reading it.

    Parameters
    ----------
    name : str

    Returns
    -------
    Path or None
        None if the model must be downloaded, or is built in and has no file.

    Raises
    ------
    ModelError
        If the registry has no such name.
    """
    return cache.locate(registry.entry(name))


def fetch(name: str, *, progress: bool = False) -> Path:
    """Find the file of a registered model and check its hash, or download it.

    Parameters
    ----------
    name : str
    progress : bool
        Whether to show a bar on stderr during a download.

    Returns
    -------
    Path

    Raises
    ------
    ModelError
        If the registry has no such name, the model has no file, or the file is damaged or cannot be downloaded.
    """
    entry = registry.entry(name)
    path = cache.locate(entry)
    if path is None:
        return download(entry, progress=progress)
    cache.read_verified(path, entry)
    return path


def table() -> list[Row]:
    """Return the lines of `fastfid models list`: name, hash, location and note of each registered model."""
    rows = []
    for entry in registry.REGISTRY.values():
        where = "built in" if entry.url is None else cache.locate(entry)
        rows.append(
            Row(entry.name, f"{entry.label} {entry.published}", None if where is None else str(where), entry.note)
        )
    return rows
