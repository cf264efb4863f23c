"""The statistics files of the field: which of their keys hold what, and the names of the sets in one file."""

import os
from collections.abc import Iterable
from typing import NamedTuple

PICKLES = (".pkl", ".pickle")


class Layout(NamedTuple):
    """The keys of one set of statistics; None for what this layout does not have."""

    mu: str | None
    sigma: str | None
    n: str | None = "n"
    rows: str | None = "rows"
    sums: bool = False  # mu and sigma are sums of rows and of their products, as StyleGAN keeps them


def layouts(keys: Iterable[str]) -> dict[str, Layout]:
    """Return the sets of statistics among the keys of a file, by entry; a file with one set has the entry "".

    Examples
    --------
    >>> layouts(["num_images", "fid.mu", "fid.sigma"])
    {'fid': Layout(mu='fid.mu', sigma='fid.sigma', n='num_images', rows=None, sums=False)}
    """
    have = set(keys := list(keys))
    if {"mu", "sigma"} <= have:  # pytorch-fid, TTUR, clean-fid, ADM, EDM and the fork of torch-fidelity
        return {"": Layout("mu", "sigma")}
    if {"ref_mu", "ref_sigma"} <= have:
        return {"": Layout("ref_mu", "ref_sigma")}
    if {"raw_mean", "raw_cov", "num_items"} <= have:
        return {"": Layout("raw_mean", "raw_cov", "num_items", "all_features", sums=True)}
    if "feats" in have and "arr_0" not in have:
        return {"": Layout(None, None, None, "feats")}
    found = {}
    for entry in (key.removesuffix(".mu") for key in keys if key.endswith(".mu")):
        if f"{entry}.sigma" in have:
            found[entry] = Layout(f"{entry}.mu", f"{entry}.sigma", "num_images", None)
        elif f"{entry}.cov" in have:
            found[entry] = Layout(f"{entry}.mu", f"{entry}.cov", None, None)
    return found


def split_entry(path: str | os.PathLike[str]) -> tuple[str, str | None]:
    """Split ``FILE#ENTRY``; a path that exists as it is has no entry.

    Examples
    --------
    >>> split_entry("no-such-file.pkl#fd_dinov2")
    ('no-such-file.pkl', 'fd_dinov2')
    """
    name = os.fsdecode(path)
    file, separator, entry = name.rpartition("#")
    if not separator or not file.lower().endswith((".npz", *PICKLES)) or os.path.lexists(name):
        return name, None
    return file, entry
