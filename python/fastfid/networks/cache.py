"""Finds published weights in fastfid's cache, torch's or Keras'."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from ..errors import ModelError
from ..files.reading import failures, read_regular
from .registry import MOST_BYTES, Entry


def _home(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ModelError(f"{path}: no home folder is known; set FASTFID_HOME to a folder for models") from error


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or _home("~/.cache"))


def cache_folder() -> Path:
    """Return the folder of downloads: `$FASTFID_HOME`, else `fastfid` in `$XDG_CACHE_HOME` or `~/.cache`."""
    home = os.environ.get("FASTFID_HOME")
    return _home(home) if home else _user_cache() / "fastfid"


def hub_folder() -> Path:
    """Return the folder where torch's hub, and so pytorch-fid and torch-fidelity, keep their downloads."""
    home = os.environ.get("TORCH_HOME")
    return (_home(home) if home else _user_cache() / "torch") / "hub" / "checkpoints"


def keras_folder() -> Path:
    """Return the folder where Keras keeps its downloads."""
    home = os.environ.get("KERAS_HOME")
    return _home(home or "~/.keras") / "models"


def foreign_cache(entry: Entry) -> tuple[str, Path]:
    """Return name and folder of another tool's cache that may have the file."""
    if any(name.endswith(".h5") for name in entry.file_names):
        return "Keras' cache", keras_folder()
    return "torch's hub cache", hub_folder()


def locate(entry: Entry) -> Path | None:
    """Return the path of a model's file in fastfid's, torch's or Keras' cache; None if it is in none."""
    folders = (cache_folder(), foreign_cache(entry)[1])
    candidates = (folder / name for folder in folders for name in entry.file_names)
    return next((path for path in candidates if _is_file(path)), None)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # no permission to search the folder, or a path that is too long
        return False


def read_verified(path: Path, entry: Entry) -> bytes:
    """Read a cached file and check its hash.

    Raises
    ------
    ModelError
        If the file is not the published one; the message has both hashes and says what to do.
    """
    with failures(f"{path} cannot be read", ModelError):
        data = read_regular(path, MOST_BYTES)
    found = hashlib.new(entry.algorithm, data, usedforsecurity=False).hexdigest()
    if found != entry.published:
        raise ModelError(
            f"{path} is not {entry.name}: its {entry.label} is {found} ({len(data):,} bytes) instead of "
            f"{entry.published} ({entry.size:,} bytes). Delete the file, and it will be downloaded again."
        )
    return data
