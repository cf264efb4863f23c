"""Where published weights are found, and how they get there: this cache, torch's or Keras' cache, then a download.

A file is never left half-written: it is written under another name in the same folder, checked, then renamed.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NoReturn

from ..errors import ModelError
from ..files import atomic_write
from .registry import Entry

TIMEOUT = 30.0  # seconds without a byte
_CHUNK = 1 << 18


def _home(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ModelError(f"{path}: no home folder is known; set FASTFID_HOME to a folder for models") from error


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or _home("~/.cache"))


def cache_folder() -> Path:
    """Folder of this package's downloads: `$FASTFID_HOME`, else `fastfid` in `$XDG_CACHE_HOME` or `~/.cache`."""
    home = os.environ.get("FASTFID_HOME")
    return _home(home) if home else _user_cache() / "fastfid"


def hub_folder() -> Path:
    """Folder where torch's hub, and so pytorch-fid and torch-fidelity, keep their downloads."""
    home = os.environ.get("TORCH_HOME")
    return (_home(home) if home else _user_cache() / "torch") / "hub" / "checkpoints"


def keras_folder() -> Path:
    """Folder where Keras keeps its downloads."""
    home = os.environ.get("KERAS_HOME")
    return _home(home or "~/.keras") / "models"


def _foreign_cache(entry: Entry) -> tuple[str, Path]:
    """Whose cache may have the file already, and where that is."""
    if any(name.endswith(".h5") for name in entry.file_names):
        return "Keras' cache", keras_folder()
    return "torch's hub cache", hub_folder()


def locate(entry: Entry) -> Path | None:
    """Path of a model's file in this cache or in torch's or Keras', unread; None where it is in neither."""
    folders = (cache_folder(), _foreign_cache(entry)[1])
    candidates = (folder / name for folder in folders for name in entry.file_names)
    return next((path for path in candidates if path.is_file()), None)


def read_verified(path: Path, entry: Entry) -> bytes:
    """Read a cached file, once, and check its hash.

    Raises
    ------
    ModelError
        Where the file is not the published one; the message has both hashes and the way out.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    found = hashlib.new(entry.algorithm, data, usedforsecurity=False).hexdigest()
    if found != entry.published:
        raise ModelError(
            f"{path} is not {entry.name}: its {entry.label} is {found} ({len(data):,} bytes) instead of "
            f"{entry.published} ({entry.size:,} bytes). Delete the file, and it is downloaded again."
        )
    return data


@contextmanager
def _bar(entry: Entry, show: bool) -> Iterator[Callable[[int], object]]:
    if not show:
        yield lambda _: None
        return
    from tqdm import tqdm

    with tqdm(total=entry.size, desc=entry.name, unit="B", unit_scale=True, file=sys.stderr) as bar:
        yield bar.update


def _transfer(url: str, entry: Entry, file: IO[bytes], advance: Callable[[int], object]) -> None:
    digest, size = hashlib.new(entry.algorithm, usedforsecurity=False), 0
    # urlopen would keep the proxy settings of its first call in this process.
    with urllib.request.build_opener().open(url, timeout=TIMEOUT) as response:
        # One byte more than expected is enough to know: an endless answer must not fill the disk.
        while chunk := response.read(min(_CHUNK, entry.size + 1 - size)):
            file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
            advance(len(chunk))
    if size != entry.size:
        more = "at least " if size > entry.size else ""
        raise ModelError(f"the server sent {more}{size:,} bytes instead of {entry.size:,}")
    if digest.hexdigest() != entry.published:
        raise ModelError(
            f"what the server sent has the {entry.label} {digest.hexdigest()} instead of {entry.published}"
        )


def _no_weights(entry: Entry, target: Path, why: str) -> NoReturn:
    cache, folder = _foreign_cache(entry)
    raise ModelError(
        f"{entry.name} is in no cache and could not be downloaded: {why}. Three ways out: "
        f"(1) get {entry.url} elsewhere and put it at {target}; "
        f"(2) name the file: --model PATH, or model=PATH in Python; "
        f"(3) put it into {cache}, {folder}, where it may already be on another machine of yours."
    )


def download(entry: Entry, *, progress: bool = False) -> Path:
    """Download a model's file into the cache, checking size and hash before it gets its name.

    Parameters
    ----------
    entry : Entry
        A model that has a URL.
    progress : bool
        Whether to show a bar on stderr.

    Returns
    -------
    Path

    Raises
    ------
    ModelError
        Where the network, the server or the disk fails, or the file is not the published one.
    """
    if entry.url is None:
        raise ModelError(f"{entry.name} is built in: there is no file to download")
    target = cache_folder() / entry.file_names[0]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(target) as file, _bar(entry, progress) as advance:
            _transfer(entry.url, entry, file, advance)
    except urllib.error.HTTPError as error:
        error.close()
        _no_weights(entry, target, f"the server answered {error.code} {error.reason}")
    except (OSError, http.client.HTTPException, ModelError) as error:
        _no_weights(entry, target, str(error) or type(error).__name__)
    return target
