"""The engine for one device: threads of this process decode and resize while the network runs."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing

from ..extraction.opened import Opened
from ..extraction.recipe import Recipe
from ..fit import Facts, Fit
from ..messages import Messages
from ..metrics.base import Need
from ..sources import Piece
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
        results = opened.results_of(pieces, num_workers=how.num_workers, on_error=how.on_error, progress=how.progress)
        piece: Piece | None = None
        fit = Fit({})
        with closing(results):
            for of_piece, result in results:
                if of_piece is not piece:
                    if piece is not None:  # the end of a source that has fewer images than it says
                        yield piece, fit
                    piece, fit = of_piece, Fit.empty(needs, opened.roles)
                fit.update(result.features, result.seen, result.chunk)
                if fit.seen.accepted + len(fit.seen.rejected) == len(piece.indices):
                    yield piece, fit  # at once, and not when the next piece comes: it may never come
                    piece = None
            if piece is not None:
                yield piece, fit
