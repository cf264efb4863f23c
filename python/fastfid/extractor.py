"""`Extractor`: a network that the user opens, which turns images into features."""

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arguments import default
from .engines.local import Local
from .errors import ModelError
from .extraction.recipe import Recipe
from .images.observed import Tally
from .images.preprocess import Preprocessing
from .messages import Messages, shortage
from .metrics.moments import MOMENTS, Statistics
from .networks.roles import FEATURES, check_roles
from .options import Options
from .progress import Progress, ProgressOption, progress_bar
from .provenance import Provenance
from .sides import moments_of, open_side, read, require_roles
from .sources import Source, open_source, pieces


class Extractor:
    """A network that turns images into feature vectors. Open it once and use it for every set.

    Several threads may use one extractor at a time; they share its buffers and take turns at the network. It can be
    pickled and copied. A pickle holds the settings and the model's hash, and unpickling opens the network again from
    the same name or path. In a process that was forked after the extractor was opened, using it raises `DeviceError`:
    open another one there.

    Parameters
    ----------
    model : str or path
        A registry name (`fastfid models list`), a path to weights in pytorch-fid's layout (``.pth``) or Keras'
        (``.h5``), or to any ``.onnx`` with one image input and one (N, d) output.
    mode : str or Preprocessing
        Preprocessing: "pytorch", "tensorflow", "clean", "keras" or "torchmetrics". For a network other than Inception:
        "clip", "dinov2", a `Preprocessing` or its text form. An ``.onnx`` can state its mode in its metadata
        (``fastfid.mode``), which then replaces the default.
    dims : int
        Length of the features of the Inception network: 64, 192, 768 or 2048, or 1008 for the logits. Another ``.onnx``
        has its own dims.
    device : str
        "auto", "cpu", "cuda" or "cuda:N", or another of docs/devices.md, such as "openvino".
    precision : {"fp32", "tf32", "fp16"}
        "fp32" is true fp32. "tf32" needs an NVIDIA GPU. "fp16" uses float16 weights and tensors inside the network; its
        input and output are float32.
    batch_size : int, optional
        Images per run of the network. The default depends only on the device. A set with fewer images is run in one
        batch of its size. The last batch of a larger set is padded.
    roles : sequence of str
        Outputs of the network that metrics need. Calling the extractor returns the rows of "features".
    progress : bool
        Whether to show a bar on stderr during a download.
    messages : Messages, optional
        Collects the warnings.

    Attributes
    ----------
    provenance : Provenance
        How the features are made: model and its hash, mode, dims, device, precision, batch size, versions.

    Raises
    ------
    ModelError
        If the model cannot be found, read or used; the message says what to do.
    DeviceError
        If the GPU you name is unusable.

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
        roles: Sequence[str] = (FEATURES,),
        progress: bool = False,
        messages: Messages | None = None,
    ) -> None:
        recipe = Recipe(model, mode, dims, device, precision, batch_size, check_roles(roles))
        self.opened = recipe.open(messages or Messages(), progress=progress)

    @property
    def recipe(self) -> Recipe:
        """The settings that open the same network again, also in another process."""
        return self.opened.recipe

    @property
    def provenance(self) -> Provenance:
        """How the features are made."""
        return self.opened.provenance

    @property
    def comparable(self) -> bool:
        """True if scores can be compared with published FIDs."""
        return self.opened.comparable

    @property
    def dims(self) -> int:
        """Length of a feature vector."""
        return self.provenance.dims

    @property
    def mode(self) -> str:
        """Preprocessing protocol."""
        return self.provenance.mode

    @property
    def device(self) -> str:
        """Device that runs the network, such as "cpu" or "cuda:0"."""
        return self.provenance.device

    @property
    def precision(self) -> str:
        """Arithmetic of the network."""
        return self.provenance.precision

    @property
    def batch_size(self) -> int:
        """Images per run of the network."""
        return self.provenance.batch_size

    def __repr__(self) -> str:
        p = self.provenance
        return f"Extractor({p.model!r}, mode={p.mode!r}, dims={p.dims}, device={p.device!r}, precision={p.precision!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.recipe,)

    def __call__(
        self, images: Any, *, on_error: str = "raise", progress: ProgressOption = False
    ) -> NDArray[np.float32]:
        """Features (n, dims) of anything that `score` accepts as images, all in memory at once.

        Parameters
        ----------
        images : path, array or iterable
        on_error : {"raise", "skip"}
            What to do with an image that cannot be decoded. "raise" ends the call. "skip" leaves the image out, so that
            there are fewer rows than images, and a warning names it.
        progress : None, bool or callable
            As for `score`, but the default shows no bar. An exception that a callable raises ends the call.

        Returns
        -------
        ndarray, shape (n, dims), float32
        """
        tally, source = Tally(), open_source(images)
        with progress_bar(progress, source.size, source.name) as show:
            batches = list(self.stream(source, on_error=on_error, progress=show, tally=tally))
        for problem in (self.shortage(tally), tally.left_out(source.name)):
            if problem is not None:
                Messages().warn(problem)
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
        """Yield the features of a source batch by batch, each of shape (k, dims), in the source's order.

        Memory does not grow with the number of images.

        Parameters
        ----------
        source : Source
        num_workers : int, optional
            Threads that decode and resize; by default as many as `num_threads`, at most 16. 0 counts as 1.
        limit, seed
            Use a random subset, as in `score`.
        on_error : {"raise", "skip"}
            What to do with an image that cannot be decoded.
        progress : callable, optional
            Called with the number of images done. An exception that it raises ends the stream and is passed on.
        tally : Tally, optional
            Filled with what was observed about the images.

        Raises
        ------
        ImageError
            If an image cannot be decoded and `on_error` is "raise".
        ModelError
            If the network does not return one finite row for each image.
        DeviceError
            If memory does not suffice for a single image, or the process was forked after the extractor was opened.
        """
        if FEATURES not in self.opened.roles:
            raise ModelError(f"{self!r} was opened without the role 'features': it has {', '.join(self.opened.roles)}")
        tally = Tally() if tally is None else tally
        cut = pieces(source, limit, seed)
        results = self.opened.results_of(cut, num_workers=num_workers, on_error=on_error, progress=progress)
        with closing(results):
            for _, result in results:
                tally.add(result.seen, result.chunk)
                yield result.features[FEATURES]

    def shortage(self, tally: Tally) -> str | None:
        """Return a warning if memory did not suffice for the batch size, else None."""
        return shortage(tally.chunk, self.batch_size, self.device)

    def fit(
        self,
        source: Any,
        *,
        num_workers: int | None = None,
        limit: int | None = None,
        seed: int = 0,
        on_error: str = "raise",
        recursive: bool = True,
        endings: str | Collection[str] | None = None,
        progress: ProgressOption = None,
    ) -> Statistics:
        """Mean and covariance of the features of a set of images, with their provenance.

        Parameters and errors are those of `statistics`, which opens a network by itself.

        Examples
        --------
        >>> import numpy as np
        >>> import fastfid
        >>> extractor = fastfid.Extractor("inception-v3-random", dims=64)
        >>> images = np.random.RandomState(0).randint(0, 256, (70, 32, 32, 3))
        >>> extractor.fit(images)
        Statistics(n=70, dims=64, inception-v3-random, pytorch)
        """
        options, messages, engine = Options.of(locals()), Messages(), Local(self.opened)
        side = open_side(source, "the source", (MOMENTS,), options, messages)
        facts = engine.open(self.recipe, messages)
        require_roles([side], facts)
        return moments_of(read(side, engine, facts, options, messages))


def _reopen(recipe: Recipe) -> Extractor:
    """Open an extractor from a pickle; raises `ModelError` if the model has changed since."""
    extractor = Extractor.__new__(Extractor)
    extractor.opened = recipe.open(Messages())
    return extractor
