"""The engine for one device: threads of this process decode and resize while the network runs."""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing

from ..extraction.opened import Opened
from ..extraction.recipe import Recipe
from ..fit import Facts, Fit
from ..messages import Messages
from ..metrics.base import Need
from ..sources import Item, Piece, read_batches
from .base import Engine, How


class Local(Engine):
    """Fits pieces in this process.

    Parameters
    ----------
    opened : Opened, optional
        A network that is open already; it is used instead of opening the recipe.
    """

    def __init__(self, opened: Opened | None = None) -> None:
        self._opened = opened

    def open(self, recipe: Recipe, messages: Messages, *, download_bar: bool = False) -> Facts:
        """Open the network, unless one is open already."""
        if self._opened is None:
            self._opened = recipe.open(messages, progress=download_bar)
        return Facts(self._opened.roles, self._opened.provenance, self._opened.comparable)

    def fit(self, needs: Sequence[Need], pieces: Iterable[Piece], how: How) -> Iterator[tuple[Piece, Fit]]:
        """Yield the fit of each piece; the pipeline does not stop between two pieces."""
        opened = self._opened
        assert opened is not None
        pieces = iter(pieces)
        first = next(pieces, None)
        if first is None:
            return
        rows = opened.rows(first.of)
        of_batches: deque[Piece] = deque()  # the piece of each batch in the pipeline

        def batches() -> Iterator[list[Item]]:
            for piece, batch in read_batches(itertools.chain([first], pieces), rows):
                of_batches.append(piece)
                yield batch

        piece, fit, done = first, Fit.empty(needs, opened.roles), 0
        results = opened.results(batches(), rows=rows, num_workers=how.num_workers, on_error=how.on_error)
        with closing(results):
            for result in results:
                if (current := of_batches.popleft()) is not piece:
                    yield piece, fit
                    piece, fit = current, Fit.empty(needs, opened.roles)
                fit.update(result.features, result.seen, result.chunk)
                done += len(result.seen)
                if how.progress is not None:
                    how.progress(done)
        yield piece, fit
