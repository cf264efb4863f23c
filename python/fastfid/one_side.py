"""`statistics` and `fit`: what is kept of one side, to be compared later."""

import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from .arguments import default
from .engines.base import Engine
from .engines.choose import opened_engine
from .fit import Fit
from .images.preprocess import Preprocessing
from .messages import Messages
from .metrics.base import Metric
from .metrics.moments import MOMENTS, Statistics
from .metrics.registry import asked_for
from .metrics.saved import needs_to_keep
from .options import Model, Options
from .progress import ProgressOption
from .sides import moments_of, open_side, read


def statistics(
    source: Any,
    *,
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
    engine: str | Engine | None = None,
    engine_options: Mapping[str, Any] | None = None,
    resume: str | os.PathLike[str] | None = None,
    cache: bool = False,
) -> Statistics:
    """Mean and covariance of the features of a set of images, which can be saved, merged and compared.

    Takes the parameters of `score`. A statistics file is loaded unchanged.

    Returns
    -------
    Statistics
    """
    options, messages = Options.of(locals()), Messages()
    side = open_side(source, "the source", (MOMENTS,), options, messages)
    with opened_engine([side], options, messages) as (engine, facts):
        return moments_of(read(side, engine, facts, options, messages))


def fit(
    source: Any,
    *,
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
    features: bool = False,
    progress: ProgressOption = None,
    metrics: Sequence[str | Metric] = ("fid",),
    engine: str | Engine | None = None,
    engine_options: Mapping[str, Any] | None = None,
    resume: str | os.PathLike[str] | None = None,
    cache: bool = False,
) -> Fit:
    """Everything that some metrics need of one side, from one pass over its images.

    `compare` takes it as a side, as often as needed, and `save` writes it to a file. It always has the mean and
    covariance; for most metrics other than the FID it also has the rows, 8 KiB per image at 2048 dims.

    Takes the parameters of `score` and this:

    Parameters
    ----------
    metrics : sequence of str or Metric
        The metrics that are to be computed later.

    Returns
    -------
    Fit

    Examples
    --------
    >>> import numpy as np
    >>> import fastfid
    >>> rng = np.random.RandomState(0)
    >>> fits = [fastfid.fit(rng.randn(n, 4), features=True, metrics=["kid"]) for n in (50, 60)]
    >>> fastfid.compare(*fits, metrics=["fid", "kid"]).scores["kid"].n
    (50, 60)
    """
    options, messages = Options.of(locals()), Messages()
    needs = needs_to_keep(asked_for(options.metrics, options))
    side = open_side(source, "the source", needs, options, messages)
    with opened_engine([side], options, messages) as (opened, facts):
        side = read(side, opened, facts, options, messages)
    assert side.fit is not None
    return side.fit
