"""A cache of built graphs in the cache folder, so that the next session can read them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from .. import _core
from ..errors import ModelError
from ..files.writing import atomic_write
from .cache import cache_folder

_FORMAT = 2  # increase it with every change of the graphs that `inception.build` makes
_DIGEST = 32  # bytes of the SHA-256 before the graph, so that a damaged file is noticed


def cached(build: Callable[[], bytes], *identity: str) -> bytes:
    """Return a serialised graph from the cache folder, or build it and store it there.

    Parameters
    ----------
    build : callable
        Builds the graph.
    identity : str
        Everything that the graph depends on, besides the version of this package.

    Returns
    -------
    bytes
    """
    path = _path(identity)
    if path is None:
        return build()
    with suppress(OSError):
        content = path.read_bytes()
        digest, graph = content[:_DIGEST], content[_DIGEST:]
        if hashlib.sha256(graph).digest() == digest:
            return graph
    graph = build()
    with suppress(OSError):  # without a writable cache only time is lost
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            file.write(hashlib.sha256(graph).digest() + graph)
    return graph


def kept_sha256(*identity: str) -> str | None:
    """Return the SHA-256 of the cached graph with this identity; None if there is none."""
    path = _path(identity)
    try:
        if path is not None and path.is_file():
            with path.open("rb") as file:
                return file.read(_DIGEST).hex()
    except OSError:
        pass
    return None


def _path(identity: tuple[str, ...]) -> Path | None:
    name = hashlib.sha256("\n".join([str(_FORMAT), _core.__version__, *identity]).encode()).hexdigest()
    try:
        return cache_folder() / "graphs" / f"{name[:32]}.graph"
    except ModelError:  # there is no home folder, so nothing is cached
        return None
