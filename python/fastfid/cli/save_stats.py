"""`fastfid --save-stats A B.npz`: saves the statistics of one side. `fastfid merge` uses the same functions."""

import argparse
import json
import os
from pathlib import Path
from typing import cast

from ..files.writing import check_writable
from ..fit import Fit
from ..metrics.moments import MOMENTS, Statistics
from ..metrics.saved import save
from ..metrics.statistics_file import exists_already, statistics_path
from ..terminal import check_stdout, say, show
from .parser import given_options


def save_stats(typed: argparse.Namespace) -> None:
    """Save the statistics of the first path as the second."""
    from .. import fit

    source, target = typed.path
    form = typed.format or "fastfid"
    force = given_options(typed, "compare").get("force", False)  # here it only allows overwriting the file
    check_target(target, force, form)
    if typed.json:
        check_stdout()
    options = given_options(typed, "fit")
    metrics = ("fid", *options.get("metrics", ()), *(typed.with_metrics or ()))
    result = fit(source, **{**options, "metrics": tuple(dict.fromkeys(metrics))})
    saved = save(result, target, overwrite=force, format=form)
    if typed.json:
        show(json.dumps({"saved": str(saved), "n": result.n, "dims": cast(Statistics, result[MOMENTS]).dims}))
    else:
        say_saved(result, saved)


def check_target(target: str, force: bool, form: str = "fastfid") -> None:
    """Raise `InputError` or `OSError` if statistics could not be saved to `target`, before they are computed."""
    path = statistics_path(target, form)
    if os.path.lexists(path) and not force:
        raise exists_already(path)
    check_writable(path)


def say_saved(fit: Fit, path: Path) -> None:
    """Print on stderr what was saved, and the file."""
    images = "an unknown number of images" if fit.n is None else f"{fit.n} images"
    say(f"saved the statistics of {images} to {path}")
