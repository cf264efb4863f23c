"""From a stream of images to a stream of features: decode and resize in threads while the network runs."""

import contextlib
import itertools
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import models
from .checks import whole_number
from .errors import ImageError, InputError, ModelError
from .preprocess import kernel
from .progress import Progress
from .provenance import Provenance
from .report import Report
from .session import Session, check_settings
from .sources import Item, Source, open_source
from .threads import num_threads

_BATCHES_IN_FLIGHT = 2  # one in the network, one being filled


class Extractor:
    """A network that turns images into feature vectors; open it once, use it for every set.

    Parameters
    ----------
    model : str or path
        A registry name (`fastfid models list`), a path to weights in pytorch-fid's layout, or to any ``.onnx`` with one
        image input and one (N, d) output.
    mode : str
        Preprocessing protocol: "pytorch", "tensorflow", "clean", "keras" or "torchmetrics".
    dims : int
        Tap of the Inception network: 64, 192, 768, 2048, or 1008 for the logits. Another ``.onnx`` has its own dims.
    device : str
        "auto", "cpu", "cuda" or "cuda:N".
    precision : {"fp32", "tf32"}
        "fp32" is true fp32; "tf32" needs a GPU.
    batch_size : int, optional
        Images per run of the network; a fixed number per device where not given. The last batch is padded to it.
    progress : bool
        Whether a download shows a bar on stderr.
    report : Report, optional
        Gets the warnings.

    Attributes
    ----------
    provenance : Provenance
        What makes the features: model and its hash, mode, dims, device, precision, batch size, versions.

    Raises
    ------
    ModelError
        Where the model cannot be found, read or used; the message says what to do.
    DeviceError
        Where a GPU was asked for by name and cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> import fastfid
    >>> extractor = fastfid.Extractor("inception-v3-random", dims=64, batch_size=2)
    >>> extractor(np.zeros((3, 32, 32, 3), dtype=np.uint8) + 128).shape
    (3, 64)
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = "inception-v3",
        *,
        mode: str = "pytorch",
        dims: int = 2048,
        device: str = "auto",
        precision: str = "fp32",
        batch_size: int | None = None,
        progress: bool = False,
        report: Report | None = None,
    ) -> None:
        self.mode = mode
        self._kernel = kernel(mode)
        check_settings(device, precision, batch_size)  # before a download
        network = models.load(model, dims=dims, mode=mode, progress=progress)
        self._session = Session(
            network.onnx,
            network.name,
            device=device,
            precision=precision,
            batch_size=batch_size,
            report=report or Report(),
        )
        self.dims = self._session.dims
        if network.dims is None and dims not in (2048, self.dims):
            raise ModelError(f"{network.name} gives {self.dims} dims, {dims} were asked for")
        self.comparable = network.comparable
        self.provenance = Provenance(
            model=network.name,
            sha256=network.sha256,
            mode=mode,
            dims=self.dims,
            device=self._session.device,
            precision=precision,
            batch_size=self._session.batch_size,
            versions=_versions(),
        )

    @property
    def device(self) -> str:
        """Where the network runs: "cpu" or "cuda:N"."""
        return self._session.device

    @property
    def precision(self) -> str:
        """Arithmetic of the network."""
        return self._session.precision

    @property
    def batch_size(self) -> int:
        """Images per run of the network."""
        return self._session.batch_size

    def __repr__(self) -> str:
        p = self.provenance
        return f"Extractor({p.model!r}, mode={p.mode!r}, dims={p.dims}, device={p.device!r}, precision={p.precision!r})"

    def __call__(self, images: Any) -> NDArray[np.float32]:
        """Features (n, dims) of anything that `score` accepts as images, all in memory at once."""
        batches = list(self.stream(open_source(images)))
        return np.concatenate(batches) if batches else np.empty((0, self.dims), dtype=np.float32)

    def stream(
        self,
        source: Source,
        *,
        num_workers: int | None = None,
        limit: int | None = None,
        seed: int = 0,
        on_error: str = "raise",
        progress: Progress | None = None,
        tally: "Tally | None" = None,
    ) -> Iterator[NDArray[np.float32]]:
        """Yield the features of a source, (k, dims) a batch, in the source's order; memory does not grow with n.

        Parameters
        ----------
        source : Source
        num_workers : int, optional
            Threads that decode and resize; by default as many as `num_threads`, at most 8. 0 counts as 1.
        limit, seed
            Take a seeded random subset.
        on_error : {"raise", "skip"}
            What to do with an image that cannot be decoded.
        progress : callable, optional
            Called with the number of images done.
        tally : Tally, optional
            Filled with what was seen on the way.
        """
        check_stream(num_workers, on_error)
        workers = max(1, min(8, num_threads()) if num_workers is None else num_workers)
        tally = Tally() if tally is None else tally
        done = 0
        with _pool(workers) as pool:
            for batch in self._filled(source.items(limit, seed), pool):
                kept = batch.wait(skip=on_error == "skip", tally=tally)
                features = self._session.run(batch.buffer)[kept]
                done += len(batch.items)
                if progress is not None:
                    progress(done)
                yield features

    def _filled(self, items: Iterable[Item], pool: ThreadPoolExecutor) -> Iterator["_Batch"]:
        """Batches in order, each being filled while the one before it is used."""
        items = iter(items)
        flying: deque[_Batch] = deque()
        buffers = deque(self._session.new_batch() for _ in range(_BATCHES_IN_FLIGHT))
        while chunk := list(itertools.islice(items, self.batch_size)):
            buffer = buffers.popleft()
            flying.append(
                _Batch(chunk, buffer, [pool.submit(self._fill, i, o) for i, o in zip(chunk, buffer, strict=False)])
            )
            if len(flying) == _BATCHES_IN_FLIGHT:
                yield flying[0]
                buffers.append(flying.popleft().buffer)
        while flying:
            yield flying.popleft()

    def _fill(self, item: Item, out: NDArray[np.float32]) -> "_Seen":
        image = item.load()
        self._kernel(image.pixels, out)
        return _Seen(image.losses, int(image.pixels.max()))


def check_stream(num_workers: int | None, on_error: str) -> None:
    """Raise `InputError` for settings that `Extractor.stream` does not take."""
    if on_error not in ("raise", "skip"):
        raise InputError(f"on_error must be raise or skip, got {on_error!r}")
    if num_workers is not None:
        whole_number("num_workers", num_workers, 0)


@dataclass
class Tally:
    """What a stream saw besides features.

    Attributes
    ----------
    rejected : list of str
        Names of the images that could not be decoded, with the reason.
    losses : dict of str to int
        How many images lost what on the way to 8-bit RGB.
    largest : int
        Largest pixel value.
    """

    rejected: list[str] = field(default_factory=list)
    losses: dict[str, int] = field(default_factory=dict)
    largest: int = 0


@dataclass(frozen=True)
class _Seen:
    losses: tuple[str, ...]
    largest: int


@dataclass(frozen=True)
class _Batch:
    items: list[Item]
    buffer: NDArray[np.float32]
    futures: list["Future[_Seen]"]

    def wait(self, *, skip: bool, tally: Tally) -> list[int]:
        """Wait until the buffer is filled; return the slots that hold an image."""
        kept = []
        for slot, future in enumerate(self.futures):
            try:
                seen = future.result()
            except ImageError as error:
                if not skip:
                    raise
                tally.rejected.append(str(error))
                continue
            for loss in seen.losses:
                tally.losses[loss] = tally.losses.get(loss, 0) + 1
            tally.largest = max(tally.largest, seen.largest)
            kept.append(slot)
        return kept


@contextlib.contextmanager
def _pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    """A thread pool that drops its queue on the way out, so that an error or Ctrl-C does not wait for it."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="fastfid")
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _versions() -> dict[str, str]:
    import onnxruntime
    import PIL

    from . import _core

    return {"fastfid": _core.__version__, "onnxruntime": onnxruntime.__version__, "pillow": PIL.__version__}
