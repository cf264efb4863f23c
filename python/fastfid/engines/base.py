"""The contract of an engine: it opens a network on some device and fits pieces of sources with it."""

import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, Self

from ..errors import InputError
from ..extraction.recipe import Recipe
from ..fit import Facts, Fit
from ..messages import Messages
from ..metrics.base import Need
from ..progress import Progress
from ..sources import Piece, Source
from .piece_files import PieceFiles


@dataclass(frozen=True)
class How:
    """How the images are read.

    Attributes
    ----------
    num_workers : int or None
        Threads that decode and resize, in each process.
    on_error : {"raise", "skip"}
        What to do with an image that cannot be decoded: end the run, or leave the image out and list it.
    progress : callable, optional
        Called with the number of images done. An exception that it raises ends the run.
    keep : PieceFiles, optional
        Where the fit of each piece is kept, if the run can be resumed.
    """

    num_workers: int | None = None
    on_error: str = "raise"
    progress: Progress | None = None
    keep: PieceFiles | None = None


def check_shareable(source: Source) -> None:
    """Raise `InputError` for a source that only one process can read."""
    if source.ordered:
        raise InputError(
            f"{source.name} can only be read from start to end, by one process: name one device, or give a folder, "
            "an archive, a list, an array or an .npy file"
        )


def pickled(name: str, part: object, dumps: Callable[[object], bytes] = pickle.dumps) -> bytes:
    """Return a pickle for another process; raise `InputError` if there is none, which names the part."""
    try:
        return dumps(part)
    except Exception as error:  # a caller's class may raise anything
        raise InputError(f"{name} cannot be sent to another process: {error}") from error


class Engine(ABC):
    """Opens a network, and fits pieces with it.

    Each run calls `check` for its sources, `open`, and then `fit` for one source after the other. A run that made the
    engine calls `close` at its end. The owner of an engine calls `close`, or uses it in a ``with`` statement, and can
    use it for several runs: `open` may keep a network that is open already.
    """

    #: True if `fit` itself writes each fit to ``how.keep``, where it is made.
    keeps: ClassVar[bool] = False

    @abstractmethod
    def open(self, recipe: Recipe, messages: Messages, *, download_bar: bool = False) -> Facts:
        """Open the network of a recipe; warnings and notes go to `messages`."""

    def check(self, source: Source) -> None:
        """Raise `InputError` if this engine cannot read a source; called for all sources before `open`."""
        return

    @abstractmethod
    def fit(self, needs: Sequence[Need], pieces: Iterable[Piece], how: How) -> Iterator[tuple[Piece, Fit]]:
        """Yield a fit for each piece, in the order of the pieces.

        Features are added to a fit in the order of the images, so that the fit of a piece always has the same bits. A
        source of unknown size has an endless number of pieces: stop when its images end.
        """

    def close(self) -> None:
        """Release the resources that `open` took; by default there are none."""
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
