"""`prepare`: makes a data set as a protocol wants it."""

import hashlib
import os
from collections.abc import Collection, Mapping
from contextlib import closing
from functools import partial
from itertools import count as endless
from pathlib import Path
from typing import Any, NamedTuple

from .checks import agreeing, counted, text
from .errors import ImageError, InputError, UsageError
from .extraction.opened import MOST_WORKERS
from .extraction.workers import ahead
from .files.remote import without_secrets
from .images.crops import crop
from .images.decode import digest
from .images.observed import with_one_more
from .messages import Messages
from .options import Options
from .preparing import Folder, Zip, check_target, opened, png_of
from .progress import ProgressOption, progress_bar
from .protocols import Protocol, check_protocol, protocol_of
from .protocols.prepared import Prepared, hash_of_files
from .sources import Item, Source, check_limit, expected, open_source
from .sources.iterable import Elements
from .sources.pieces import choose, read_checked
from .sources.proofs import proof_of_all
from .terminal import printable
from .threads import num_threads

_IN_FOLDER = 1000  # images


def prepare(
    source: Any,
    out: str | os.PathLike[str],
    *,
    protocol: str,
    overwrite: bool = False,
    limit: int | None = None,
    seed: int = 0,
    num_workers: int | None = None,
    on_error: str = "raise",
    recursive: bool = True,
    endings: str | Collection[str] | None = None,
    image_key: str | None = None,
    value_range: tuple[float, float] | None = None,
    quantise: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
    progress: ProgressOption = None,
) -> Prepared:
    """Make a data set as a protocol wants it: images cropped and resized as its authors did, as PNG files.

    The files are called ``00000/img00000000.png`` and so on, in the order of the source, and ``prepared.json`` beside
    them says what was done. Nothing is at `out` before all of it is there. A run that ended early is continued by the
    next one with the same arguments, if the source is of files whose changes can be noticed; a zip, or a source in
    memory such as a generator, is begun anew.

    Takes the parameters of `score` that say how images are read, and these:

    Parameters
    ----------
    source : path, array or iterable
        What `score` accepts as images.
    out : path
        The folder to make, or a ``.zip``.
    protocol : str
        A protocol that states how its images were cropped; `fastfid protocols` lists them.
    overwrite : bool
        Whether to replace what an earlier run made.
    limit, seed : int
        Take a random subset of `limit` images. By default all are taken, or as many as the protocol takes, if its
        authors say with which seed.
    num_workers : int, optional
        Threads that decode, crop and compress.

    Returns
    -------
    Prepared
        What was done, as in ``prepared.json``.

    Raises
    ------
    InputError
        If the protocol states no crop, the source cannot be read, or `out` exists already.
    ImageError
        If an image cannot be decoded, or brought to the size.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> import fastfid
    >>> images = np.random.RandomState(0).randint(0, 256, (3, 40, 60, 3))
    >>> import warnings; warnings.simplefilter("ignore", fastfid.FastFIDWarning)  # 3 images, not 1,281,167
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = fastfid.prepare(images, f"{folder}/real", protocol="imagenet-64-edm")
    >>> made.n, made.size, made.crop
    (3, 64, 'square')
    """
    check_protocol(text("protocol", protocol))
    options, messages = Options.of({**locals(), "protocol": None}), Messages()
    followed, target = protocol_of(protocol), Path(out)
    if followed is None or not followed.crop or not followed.size:
        raise UsageError(f"no source states how the images of protocol {protocol} were cropped: use them as they are")
    check_target(target, overwrite=overwrite)
    images = _opened(source, options)
    limit, seed = _choice(followed, images, options)
    check_limit(images, limit, seed)
    for note in images.notes:
        messages.note(note)
    task = _Task(followed, images, limit, seed, options)
    with opened(target, task.plan(), messages, overwrite=overwrite) as into:
        made = _made(task, into)
        into.finish(made)
    _tell(made, followed, target, messages)
    return made


class _Task(NamedTuple):
    """What is to be done."""

    protocol: Protocol
    source: Source
    limit: int | None
    seed: int
    options: Options

    def indices(self) -> Any:
        chosen = choose(self.source, self.limit, self.seed)
        return endless() if chosen is None else chosen if isinstance(chosen, range) else chosen.tolist()

    def plan(self) -> dict[str, Any] | None:
        """Return what must be the same for a run to be continued by another; None if nothing tells whether it is."""
        import PIL
        from PIL import ImageFile

        from . import __version__

        source, keys = self.source, hashlib.sha256()
        if not source.exact or isinstance(source, Elements):
            return None
        if not (proof := proof_of_all(source, self.indices(), content=True)):
            return None
        for index in self.indices():
            keys.update(f"{source.key_of(index)}\n".encode(errors="surrogateescape"))
        reading = [self.options.value_range, self.options.quantise, self.options.image_key]
        return {
            "source": without_secrets(source.name),
            "images": [keys.hexdigest(), proof],
            "crop": [self.protocol.crop, self.protocol.size],
            "reading": [value if value is None else str(value) for value in reading],
            "truncated": bool(ImageFile.LOAD_TRUNCATED_IMAGES),  # Pillow then decodes what else is an error
            "versions": [__version__, PIL.__version__],
        }


class _Done(NamedTuple):
    name: str
    sha256: str = ""  # of the pixels
    digest: int = 0  # of the file
    png: bytes = b""
    rejected: str = ""


def _opened(source: Any, options: Options) -> Source:
    reading = ("recursive", "endings", "image_key", "value_range", "quantise", "storage_options")
    return open_source(source, **{name: getattr(options, name) for name in reading})


def _choice(protocol: Protocol, source: Source, options: Options) -> tuple[int | None, int]:
    """Return the limit and the seed: the caller's, or the protocol's if it says how to choose from more images."""
    wanted = protocol.n[1]
    if options.limit is None and wanted and protocol.seed is not None and (source.size or 0) > wanted:
        return wanted, protocol.seed
    return options.limit, options.seed


def _made(task: _Task, into: Folder | Zip) -> Prepared:
    """Make all images, in order."""
    import PIL

    from . import __version__

    options, source, listing, n, content = task.options, task.source, hashlib.sha256(), 0, 0
    threads = options.num_workers or max(1, min(MOST_WORKERS, num_threads()))
    rejected: list[str] = []
    work = partial(_one, task, into)
    with (
        progress_bar(options.progress, expected(source, task.limit), source.name) as show,
        closing(ahead(work, enumerate(read_checked(source, task.indices())), 2 * threads)) as results,
    ):
        for number, done in enumerate(results):
            if done.rejected:
                rejected.append(done.rejected)
            else:
                into.take(done.name, done.png)
                listing.update(f"{done.name} {done.sha256}\n".encode())
                n, content = n + 1, with_one_more(content, done.digest)
            show(number + 1)
    if n < 2:
        raise InputError(f"{source.name} gave {n} readable images; a covariance needs at least 2")
    of = source.size if source.size is not None else n + len(rejected)
    return Prepared(
        protocol=task.protocol.name,
        crop=task.protocol.crop,
        size=task.protocol.size or 0,
        source=printable(without_secrets(source.name)),
        n=n,
        of=of,
        seed=None if task.limit is None or task.limit >= of else task.seed,
        listing=listing.hexdigest(),
        files=hash_of_files(content),
        rejected=tuple(map(printable, rejected)),
        fastfid=__version__,
        pillow=PIL.__version__,
    )


def _one(task: _Task, into: Folder | Zip, numbered: tuple[int, Item]) -> _Done:
    """Make one image, in a thread, unless an earlier run has."""
    number, item = numbered
    name = f"{number // _IN_FOLDER:05}/img{number:08}.png"
    size, kept = task.protocol.size or 0, into.kept(name)
    if kept and kept.pixels.shape == (size, size, 3) and kept.digest is not None and not kept.damage:
        return _Done(name, hashlib.sha256(kept.pixels.tobytes()).hexdigest(), kept.digest)
    try:
        decoded = item.decode().pixels
        try:
            pixels = crop(decoded, size, task.protocol.crop)
        except ImageError as error:
            raise ImageError(f"{item.name}: {error}") from error
    except ImageError as error:
        if task.options.on_error == "raise":
            raise
        return _Done(name, rejected=str(error))
    png = png_of(pixels)
    into.make(name, png)
    return _Done(name, hashlib.sha256(pixels.tobytes()).hexdigest(), digest(png), png)


def _tell(made: Prepared, protocol: Protocol, target: Path, messages: Messages) -> None:
    if made.rejected:
        were = agreeing(len(made.rejected), "was", "were")
        messages.warn(f"{target}: {counted(len(made.rejected), 'image')} {were} left out; prepared.json lists them")
    wanted = protocol.n[1]
    if wanted is not None and made.n != wanted:
        messages.warn(
            f"protocol-n: {target}: {made.n} images; protocol {protocol.name} takes {wanted:,} real images; state the "
            "number beside the result"
        )
