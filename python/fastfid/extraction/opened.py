"""A network that is open on one device and turns batches of images into rows of each role."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError, InputError
from ..images.observed import Seen
from ..images.preprocess import Kernel
from ..progress import Progress
from ..provenance import Provenance
from ..sources import Item, Piece, read_batches
from ..threads import num_threads
from .pipeline import Result, pipeline
from .session import Session
from .settings import check_stream

if TYPE_CHECKING:
    from .recipe import Recipe

MOST_WORKERS = 16  # by default; decoding holds Python's lock part of the time, so more rarely help


class Opened:
    """A network that is open on one device; made by `Recipe.open`.

    Attributes
    ----------
    recipe : Recipe
        The settings that open the same network again, also in another process.
    session : Session
    provenance : Provenance
        How the features are made.
    comparable : bool
        True if scores can be compared with published FIDs.
    """

    def __init__(
        self, recipe: Recipe, session: Session, kernel: Kernel, provenance: Provenance, *, comparable: bool
    ) -> None:
        self.recipe, self.session, self.provenance, self.comparable = recipe, session, provenance, comparable
        self._kernel = kernel

    @property
    def roles(self) -> dict[str, int]:
        """Length of a row of each role."""
        return self.session.roles

    def rows(self, images: int | None) -> int:
        """Return the images per batch for a source of `images` images: the batch size, or all if they are fewer."""
        return self.session.rows(images)

    def results(
        self,
        batches: Iterable[Sequence[Item]],
        *,
        rows: int,
        num_workers: int | None = None,
        on_error: str = "raise",
    ) -> Generator[Result, None, None]:
        """Run the network on batches; memory does not grow with their number.

        Several batches are processed at once, also at the border of two pieces of a source. If you stop early, close
        the iterator (`contextlib.closing`), which ends its threads.

        Parameters
        ----------
        batches : iterable of sequences of Item
            1 to `rows` items each. A batch with fewer than `rows` items is padded.
        rows : int
            Images per run of the network, as returned by the method `rows`.
        num_workers : int, optional
            Threads that decode and resize; by default as many as `num_threads`, at most 16. 0 counts as 1.
        on_error : {"raise", "skip"}
            What to do with an image that cannot be decoded.

        Yields
        ------
        Result
            One for each batch, in order.

        Raises
        ------
        ImageError
            If an image cannot be decoded and `on_error` is "raise".
        ModelError
            If the network does not return one finite row for each image.
        DeviceError
            If memory does not suffice for a single image, or the process was forked after the network was opened.
        InputError
            If a batch is empty or too large.
        """
        check_stream(num_workers, on_error)
        workers = max(1, min(MOST_WORKERS, num_threads()) if num_workers is None else num_workers)
        coming = iter(batches)
        with pipeline(self.session, self._fill, rows=rows, workers=workers, skip=on_error == "skip") as line:
            while True:
                batch = next(coming, None)
                if batch is not None:
                    line.put(_checked(batch, rows))
                elif not line.flying:
                    return
                if batch is None or line.flying == line.depth:
                    yield line.get()

    def results_of(
        self,
        pieces: Iterable[Piece],
        *,
        num_workers: int | None = None,
        on_error: str = "raise",
        progress: Progress | None = None,
    ) -> Generator[tuple[Piece, Result], None, None]:
        """Run the network on pieces of one source, in order; close the iterator if you stop early.

        Parameters
        ----------
        pieces : iterable of Piece
        num_workers, on_error
            As for `results`, which also says what is raised.
        progress : callable, optional
            Called with the number of images done. An exception that it raises is passed on.

        Yields
        ------
        piece : Piece
        result : Result
            Of each batch of the piece. A batch has images of one piece only.
        """
        pieces = iter(pieces)
        first = next(pieces, None)
        if first is None:
            return
        rows = self.rows(first.of)
        of_batches: deque[Piece] = deque()  # the piece of each batch in the pipeline

        def batches() -> Iterator[list[Item]]:
            for piece, batch in read_batches(chain([first], pieces), rows):
                of_batches.append(piece)
                yield batch

        done = 0
        with closing(self.results(batches(), rows=rows, num_workers=num_workers, on_error=on_error)) as results:
            for result in results:
                done += len(result.seen)
                if progress is not None:
                    progress(done)
                yield of_batches.popleft(), result

    def _fill(self, item: Item, out: NDArray[np.float32]) -> Seen:
        image = item.decode()
        seen = Seen.of(image)
        try:
            self._kernel(image.pixels, out)
        except ImageError as error:
            return replace(seen, rejected=f"{item.name}: {error}")
        return seen


def _checked(batch: Sequence[Item], rows: int) -> Sequence[Item]:
    if not 0 < len(batch) <= rows:
        raise InputError(f"a batch has 1 to {rows} images (rows={rows}), not {len(batch)}")
    return batch
