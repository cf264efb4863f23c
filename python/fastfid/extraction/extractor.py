"""From a stream of images to a stream of features: decode and resize in threads while the network runs."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import networks
from ..arguments import default, given
from ..errors import ImageError, ModelError
from ..images.observed import Seen, Tally
from ..images.preprocess import Preprocessing, resolve
from ..messages import Report
from ..progress import Progress, ProgressOption, progress_bar
from ..provenance import Provenance
from ..sources import Item, Source, open_source
from ..threads import num_threads
from . import runtime
from .pipeline import Pipeline, Result, pipeline
from .session import Session
from .settings import check_settings, check_stream

MOST_WORKERS = 16  # unless more are asked for: decoding holds Python's lock part of the time


class Extractor:
    """A network that turns images into feature vectors; open it once, use it for every set.

    Any number of threads may use one at a time: they share its buffers and take turns at the network. It can be pickled
    and copied: what travels are its settings and the model's hash, and the network is opened where they arrive, from
    the same name or path. In a process forked after it was opened it raises `DeviceError`: open another there.

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
        network = networks.load(
            model, dims=dims, mode=protocol.name if given(mode) else default("pytorch"), progress=progress
        )
        if network.note is not None:
            report.note(network.note)
        self._settings = {
            "model": _absolute(model),
            "mode": mode,
            "dims": dims,
            "device": device,
            "precision": precision,
            "batch_size": batch_size,
        }
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

    def __reduce__(self) -> tuple[Any, ...]:
        p = self.provenance
        return _reopen, (self._settings, p.sha256, p.mode, p.dims)

    def __call__(
        self, images: Any, *, on_error: str = "raise", progress: ProgressOption = False
    ) -> NDArray[np.float32]:
        """Features (n, dims) of anything that `score` accepts as images, all in memory at once.

        Parameters
        ----------
        images : path, array or iterable
        on_error : {"raise", "skip"}
            Whether an image that cannot be decoded ends the call, or is left out: a warning names it, and there are
            fewer rows than images.
        progress : None, bool or callable
            As for `score`, but without a bar unless it is asked for. What a callable raises ends the call.
        """
        tally, source = Tally(), open_source(images)
        with progress_bar(progress, source.expected(None), source.name) as show:
            batches = list(self.stream(source, on_error=on_error, progress=show, tally=tally))
        for problem in (self.shortage(tally), tally.left_out(source.name)):
            if problem is not None:
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
            Called with the number of images done. What it raises ends the stream, and comes through.
        tally : Tally, optional
            Filled with what was seen on the way.

        Raises
        ------
        ImageError
            An image cannot be decoded, and `on_error` is "raise".
        ModelError
            The network does not give one finite row for each image.
        DeviceError
            Out of memory with a single image, or the process was forked after the extractor was opened.
        """
        check_stream(num_workers, on_error)
        workers = max(1, min(MOST_WORKERS, num_threads()) if num_workers is None else num_workers)
        tally = Tally() if tally is None else tally
        done = 0
        items = source.items(limit, seed)
        rows = self._session.rows(source.expected(limit))
        with pipeline(self._session, self._fill, rows=rows, workers=workers, skip=on_error == "skip") as line:
            for features, seen in self._results(items, line):
                tally.add(seen, line.course.chunk)
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

    def _results(self, items: Iterator[Item], line: Pipeline) -> Iterator[Result]:
        """Results in order; as many batches are on their way as the pipeline is deep."""
        while True:
            batch = list(itertools.islice(items, line.rows))
            if batch:
                line.put(batch)
            elif not line.flying:
                return
            if not batch or line.flying == line.depth:
                yield line.get()

    def _fill(self, item: Item, out: NDArray[np.float32]) -> Seen:
        image = item.load()
        try:
            self._kernel(image.pixels, out)
        except ImageError as error:
            raise ImageError(f"{item.name}: {error}") from error
        return Seen.of(image)


def _absolute(model: str | os.PathLike[str]) -> str:
    """What finds the same model from another folder."""
    if isinstance(model, str) and model in networks.names():
        return model
    return str(Path(model).expanduser().absolute())


def _reopen(settings: dict[str, Any], sha256: str, mode: str, dims: int) -> Extractor:
    """Open an extractor from what was pickled, if the model is still the same."""
    extractor = Extractor(**settings)
    found, wanted = extractor.provenance, (sha256, mode, dims)
    if (found.sha256, found.mode, found.dims) != wanted:
        raise ModelError(
            f"{settings['model']} is not the model that was pickled: it has the SHA-256 {found.sha256}, mode "
            f"{found.mode} and {found.dims} dims, not {sha256}, {mode} and {dims}"
        )
    return extractor


def _versions() -> dict[str, str]:
    import PIL

    from .. import _core

    return {"fastfid": _core.__version__, "onnxruntime": runtime.load().__version__, "pillow": PIL.__version__}
