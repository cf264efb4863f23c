"""`shard` and `merge`: one side, computed by several independent processes, and put together afterwards."""

import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

from .arguments import default
from .checks import whole_number
from .engines.base import Engine
from .engines.choose import opened_engine
from .engines.packed import DamagedError
from .engines.piece_files import READERS, PieceFiles
from .engines.run_facts import FORMAT, RUN, digest_of, facts_in, text_of
from .errors import InputError
from .extraction.workers import ahead
from .files.store import Store
from .fit import Fit, fold
from .images.observed import Tally
from .images.preprocess import Preprocessing
from .messages import Messages, tell_of_run
from .metrics.base import Metric, Need
from .metrics.moments import Statistics
from .metrics.registry import asked_for
from .metrics.rows import Rows
from .metrics.saved import give_facts, needs_to_keep
from .options import Model, Options
from .progress import ProgressOption
from .sides import fits_of, glanced, open_side, resumable
from .sources import pieces

_MOST_NAMED = 5


def shard(
    source: Any,
    folder: str | os.PathLike[str],
    *,
    index: int,
    of: int,
    model: Model = "inception-v3",
    mode: str | Preprocessing = default("pytorch"),
    dims: int = default(2048),
    batch_size: int | None = None,
    device: str = default("auto"),
    precision: str = default("fp32"),
    num_workers: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    on_error: str = "raise",
    recursive: bool = True,
    endings: str | Collection[str] | None = None,
    image_key: str | None = None,
    value_range: tuple[float, float] | None = None,
    quantise: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
    progress: ProgressOption = None,
    metrics: Sequence[str | Metric] = ("fid",),
    engine: str | Engine | None = None,
    engine_options: Mapping[str, Any] | None = None,
) -> int:
    """Compute one of several parts of a set of images, and keep the results of its pieces in a folder.

    Every process of a job calls this with its own `index`, in any order and on any machine that sees the images and the
    folder; `merge` puts the results together. Pieces that are there already are not computed again. The result has the
    same bits as that of `fit` with the same images and options.

    Takes the parameters of `score` that make features, and these:

    Parameters
    ----------
    folder : path
        A folder, or an address such as ``s3://bucket/folder``.
    index : int
        Which part, 0 to ``of - 1``. It has every piece whose number is `index` modulo `of`; a piece is 8192 images, or
        a shard.
    of : int
        Number of parts.
    metrics : sequence of str or Metric
        The metrics that the merged result is to serve.

    Returns
    -------
    int
        Number of images in this part, without those that were left out.

    Raises
    ------
    InputError
        If the folder keeps the pieces of another run, or images have changed since.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import fastfid
    >>> images = np.random.RandomState(0).randint(0, 256, (70, 32, 32, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for index in (1, 0):
    ...         _ = fastfid.shard(images, folder, index=index, of=2, model="inception-v3-random", dims=64)
    ...     fastfid.merge(folder)
    Fit(n=70, Statistics of features, inception-v3-random, pytorch)
    """
    of = whole_number("of", of, 1)
    index = whole_number("index", index, 0, of - 1)
    options, messages = Options.of({**locals(), "resume": folder}), Messages()
    needs = needs_to_keep(asked_for(options.metrics, options))
    side = open_side(source, "the source", needs, options, messages)
    if side.source is None:
        raise InputError(f"{side.name} holds statistics; parts are computed of images")
    numbers = {piece.number: len(piece.indices) for piece in pieces(side.source, *side.selection)}
    mine = {number: images for number, images in numbers.items() if number % of == index}
    seen, n = Tally(), 0
    with opened_engine([side], options, messages) as (opened, facts):
        assert opened is not None
        side = replace(glanced(resumable(side, facts, options, messages)), n=sum(mine.values()))
        with closing(fits_of(side, opened, facts, options, messages, among=mine.__contains__)) as fits:
            for _, fit in fits:
                n += fit.n or 0
                seen.merge(fit.seen)
    tell_of_run(side.name, seen, facts.provenance, messages)
    return n


def merge(folder: str | os.PathLike[str], *, storage_options: Mapping[str, Any] | None = None) -> Fit:
    """Put the pieces together that `shard` or a run with `resume` left in a folder.

    Parameters
    ----------
    folder : path
        A folder, or an address.
    storage_options : mapping, optional
        What the file system of an address needs.

    Returns
    -------
    Fit
        What `fit` returns for the whole set, with the same bits.

    Raises
    ------
    InputError
        If pieces are missing or damaged, or the folder holds none.
    """
    messages, store = Messages(), Store(folder, storage_options)
    names = store.names()
    if not names:
        raise InputError(f"{store} holds no pieces; fastfid shard writes them")
    if RUN not in names and names >= {"a", "b"}:
        raise InputError(f"{store} is of a comparison: merge {store}/a or {store}/b, the pieces of one side")
    facts = facts_in(store)
    if facts["format"] < FORMAT:
        raise InputError(f"{store} was written by an earlier version of fastfid: run its parts again")
    try:
        needs = tuple(_need_of(text) for text in facts["needs"])
        roles = {str(role): whole_number(role, dims, 1) for role, dims in facts["roles"].items()}
        count, name = whole_number("pieces", facts["pieces"], 1), str(facts["source"])
    except (KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{store}/run.json is damaged: {error}") from error
    files = PieceFiles(store, needs, roles, digest_of(facts), None)
    there = {number for number in files.numbers() if number < count}
    if len(there) < count:
        missing = islice((number for number in range(count) if number not in there), _MOST_NAMED)
        some = ", ".join(map(str, missing)) + ("…" if count - len(there) > _MOST_NAMED else "")
        raise InputError(f"{store} lacks {count - len(there)} of {count} pieces: {some}; run their parts again")
    with closing(ahead(partial(_read, files), range(count), READERS)) as fits:
        whole = fold(((None, fit) for fit in fits), Fit.empty(needs, roles))
    if (whole.n or 0) < 2:
        raise InputError(f"{name} gave {whole.n} readable images; a covariance needs at least 2")
    give_facts(whole, whole.provenance)
    tell_of_run(name, whole.seen, whole.provenance, messages)
    return whole


def _read(files: PieceFiles, number: int) -> Fit:
    try:
        return files.read_number(number)
    except (DamagedError, FileNotFoundError) as error:
        raise InputError(f"{error}: remove it, and run its part again") from error


def _need_of(text: object) -> Need:
    """Return the need that a text of `text_of` names, if files of statistics can hold it."""
    role = str(text).rpartition(" of ")[2]
    for kind in (Statistics, Rows):
        if text_of(need := Need(role, kind)) == text:
            return need
    raise InputError(f"the pieces hold {text}, which a file of statistics cannot; compare with resume= uses them")
