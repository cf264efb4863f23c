"""From a stream of images to a stream of features: decode and resize in threads while the network runs."""

import contextlib
import itertools
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import models
from .checks import whole_number
from .defaults import default, given
from .errors import ImageError, InputError, ModelError
from .preprocess import Preprocessing, resolve
from .progress import Progress
from .provenance import Provenance
from .report import Report
from .session import Lane, Session, check_settings
from .sources import Item, Source, open_source
from .tally import Seen, Tally
from .threads import num_threads

if TYPE_CHECKING:
    import onnxruntime as ort

MOST_WORKERS = 16  # unless more are asked for: decoding holds Python's lock part of the time


class Extractor:
    """A network that turns images into feature vectors; open it once, use it for every set.

    Parameters
    ----------
    model : str or path
        A registry name (`fastfid models list`), a path to weights in pytorch-fid's layout (``.pth``) or Keras'
        (``.h5``), or to any ``.onnx`` with one image input and one (N, d) output.
    mode : str or Preprocessing
        Preprocessing protocol: "pytorch", "tensorflow", "clean", "keras" or "torchmetrics"; for another network than
        Inception "clip", "dinov2", a `Preprocessing` or its text. An ``.onnx`` may state its own in its metadata
        (``fastfid.mode``), which then takes the place of the default.
    dims : int
        Tap of the Inception network: 64, 192, 768, 2048, or 1008 for the logits. Another ``.onnx`` has its own dims.
    device : str
        "auto", "cpu", "cuda" or "cuda:N".
    precision : {"fp32", "tf32", "fp16"}
        "fp32" is true fp32; "tf32" needs a GPU; "fp16" has float16 weights and tensors between float32 ends.
    batch_size : int, optional
        Images per run of the network; a fixed number per device where not given. Sets with fewer images are run in one
        batch of their size; the last batch of a larger set is padded.
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
        mode: str | Preprocessing = default("pytorch"),
        dims: int = default(2048),
        device: str = default("auto"),
        precision: str = default("fp32"),
        batch_size: int | None = None,
        progress: bool = False,
        report: Report | None = None,
    ) -> None:
        protocol = resolve(mode)
        check_settings(device, precision, batch_size)  # before a download
        report = report or Report()
        network = models.load(
            model, dims=dims, mode=protocol.name if given(mode) else default("pytorch"), progress=progress
        )
        if network.note is not None:
            report.note(network.note)
        if network.mode is None:
            report.note(f"{network.name} does not say which preprocessing it wants: mode {protocol.name} is applied")
        else:
            stated = resolve(network.mode)
            if stated.name != protocol.name:
                report.note(f"{network.name} brings its own preprocessing: {stated.name}")
            if None not in (stated.layout, protocol.layout) and stated.layout != protocol.layout:
                raise ModelError(f"{network.name} says its layout is {stated.layout}, not {protocol.layout}")
            protocol = stated._replace(layout=stated.layout or protocol.layout)
        self.mode, self._kernel = protocol.name, protocol.kernel
        self._session = Session(
            network.onnx,
            network.name,
            device=device,
            precision=precision,
            batch_size=batch_size,
            size=protocol.size,
            layout=protocol.layout,
            report=report,
        )
        self.dims = self._session.dims
        if network.dims is None and given(dims) and dims != self.dims:
            raise ModelError(f"{network.name} gives {self.dims} dims, {dims} were asked for")
        if network.dims not in (None, self.dims):
            raise ModelError(f"{network.name} says that it gives {network.dims} dims, and gives {self.dims}")
        self.comparable = network.comparable
        self.provenance = Provenance(
            model=network.name,
            sha256=network.sha256,
            mode=protocol.name,
            dims=self.dims,
            device=self._session.device,
            precision=self._session.precision,
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
        tally = Tally()
        batches = list(self.stream(open_source(images), tally=tally))
        if problem := self.shortage(tally):
            Report().warn(problem)
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
            Threads that decode and resize; by default as many as `num_threads`, at most 16. 0 counts as 1.
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
        workers = max(1, min(MOST_WORKERS, num_threads()) if num_workers is None else num_workers)
        tally = Tally() if tally is None else tally
        done = 0
        items = source.items(limit, seed)
        rows = self._session.rows(source.expected(limit))
        with _pipeline(self._session, workers, rows) as pipeline:
            for batch in self._batches(items, pipeline, skip=on_error == "skip"):
                features, seen = batch.result()
                tally.add(seen, self._session.chunk)
                done += len(seen)
                if progress is not None:
                    progress(done)
                yield features

    def shortage(self, tally: Tally) -> str | None:
        """Say so where memory did not suffice for the batch size."""
        if not 0 < tally.chunk < self.batch_size:
            return None
        return (
            f"out of memory on {self.device} with batches of {self.batch_size} images: they were run {tally.chunk} "
            f"at a time, as batch_size={tally.chunk} does"
        )

    def _batches(
        self, items: Iterator[Item], pipeline: "_Pipeline", *, skip: bool
    ) -> Iterator["Future[tuple[NDArray[np.float32], list[Seen]]]"]:
        """Batches in order; as many are on their way as there are lanes."""
        flying: deque[tuple[Lane, Future[tuple[NDArray[np.float32], list[Seen]]]]] = deque()
        free = list(pipeline.lanes)
        rows = len(free[0].images)
        while True:
            chunk = list(itertools.islice(items, rows))
            if chunk:
                lane = free.pop()
                slots = [pipeline.decoders.submit(self._fill, *pair) for pair in zip(chunk, lane.images, strict=False)]
                flying.append((lane, pipeline.runners.submit(self._run, lane, slots, pipeline.options, skip)))
            elif not flying:
                return
            if not chunk or not free:
                lane, batch = flying.popleft()
                yield batch
                free.append(lane)

    def _fill(self, item: Item, out: NDArray[np.float32]) -> Seen:
        image = item.load()
        try:
            self._kernel(image.pixels, out)
        except ImageError as error:
            raise ImageError(f"{item.name}: {error}") from error
        return Seen.of(image)

    def _run(
        self, lane: Lane, slots: list["Future[Seen]"], options: "ort.RunOptions", skip: bool
    ) -> tuple[NDArray[np.float32], list[Seen]]:
        seen = [_outcome(slot, skip) for slot in slots]
        kept = [i for i, image in enumerate(seen) if image.rejected is None]
        return self._session.run(lane, options)[kept] if kept else np.empty((0, self.dims), np.float32), seen


def _outcome(slot: "Future[Seen]", skip: bool) -> Seen:
    try:
        return slot.result()
    except ImageError as error:
        if not skip:
            raise
        return Seen(rejected=str(error))


def check_stream(num_workers: int | None, on_error: str) -> None:
    """Raise `InputError` for settings that `Extractor.stream` does not take."""
    if on_error not in ("raise", "skip"):
        raise InputError(f"on_error must be raise or skip, got {on_error!r}")
    if num_workers is not None:
        whole_number("num_workers", num_workers, 0)


class _Pipeline:
    """Threads and buffers of one stream; stopped at once when the stream ends, however it ends."""

    def __init__(self, session: Session, workers: int, lanes: list[Lane]) -> None:
        import onnxruntime as ort

        self.lanes = lanes
        self.options = ort.RunOptions()
        self.decoders = ThreadPoolExecutor(workers, thread_name_prefix="fastfid-decode")
        self.runners = ThreadPoolExecutor(session.runs_at_once, thread_name_prefix="fastfid-run")

    def stop(self) -> None:
        """Drop what waits, break off what runs: an error or Ctrl-C does not wait for the network."""
        self.options.terminate = True
        for pool in (self.decoders, self.runners):
            pool.shutdown(wait=False, cancel_futures=True)
        for pool in (self.decoders, self.runners):
            pool.shutdown(wait=True)


@contextlib.contextmanager
def _pipeline(session: Session, workers: int, rows: int) -> Iterator[_Pipeline]:
    lanes = session.borrow(session.runs_at_once + 1, rows)  # one more than run: it is being filled
    pipeline = _Pipeline(session, workers, lanes)
    try:
        yield pipeline
    finally:
        pipeline.stop()
        session.give_back(lanes)  # not where a second Ctrl-C ends the stop: threads may still write into them


def _versions() -> dict[str, str]:
    import onnxruntime
    import PIL

    from . import _core

    return {"fastfid": _core.__version__, "onnxruntime": onnxruntime.__version__, "pillow": PIL.__version__}
