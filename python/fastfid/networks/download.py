"""Downloads published files, one process at a time; continues partial downloads and checks hashes."""

from __future__ import annotations

import hashlib
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ..errors import ModelError
from ..files.reading import cause
from ..files.writing import exclusive, finish
from ..messages import log
from .cache import cache_folder, foreign_cache
from .registry import Entry

TIMEOUT = 30.0  # seconds without any data
_CHUNK = 1 << 18

Show = Callable[[int], object]  # called with the number of bytes so far


def download(entry: Entry, *, progress: bool = False) -> Path:
    """Download a model's file into the cache; check size and hash before it gets its final name.

    If a download ends early, the data is kept next to the target, and the next download continues from there. If
    another process or thread downloads the same file, this one waits and uses that file.

    Parameters
    ----------
    entry : Entry
        A model with a URL. If `$FASTFID_MIRROR` is set, the file is downloaded from there, under the same file name.
    progress : bool
        Whether to show a bar on stderr.

    Returns
    -------
    Path

    Raises
    ------
    ModelError
        If the network, the server or the disk fails, or the file is not the published one.
    """
    if entry.url is None:
        raise ModelError(f"{entry.name} is built in: there is no file to download")
    target = cache_folder() / entry.file_names[0]
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(part, lambda: log.info("waiting for another download of %s to end", entry.name)) as file:
            if not target.is_file():  # else another download has completed it
                with _bar(entry, progress) as show:
                    _complete(_url(entry), entry, file, show)
                finish(file, part, target)
    except urllib.error.HTTPError as error:
        error.close()
        raise _no_weights(entry, target, f"the server answered {error.code} {error.reason}") from error
    except Exception as error:  # the network, the disk or the URL of a mirror can raise anything
        raise _no_weights(entry, target, cause(error)) from error
    return target


def _url(entry: Entry) -> str:
    mirror = os.environ.get("FASTFID_MIRROR")
    return f"{mirror.rstrip('/')}/{entry.file_names[0]}" if mirror else str(entry.url)


def _no_weights(entry: Entry, target: Path, why: str) -> ModelError:
    cache, folder = foreign_cache(entry)
    mirror = f" (FASTFID_MIRROR: {_url(entry)})" if os.environ.get("FASTFID_MIRROR") else ""
    return ModelError(
        f"{entry.name} is in no cache and could not be downloaded: {why}{mirror}. Three ways out: "
        f"(1) get {entry.url} elsewhere and put it at {target}; "
        f"(2) name the file: --model PATH, or model=PATH in Python; "
        f"(3) put it into {cache}, {folder}, where it may already be on another of your machines."
    )


def _complete(url: str, entry: Entry, file: IO[bytes], show: Show) -> None:
    """Complete a part; if the result is wrong, empty it and raise."""
    resumed = _receive(url, entry, file, show)
    problem = _problem(entry, file)
    if problem is not None and resumed:  # the earlier data may have been damaged, so start again
        file.truncate(0)
        _receive(url, entry, file, show)
        problem = _problem(entry, file)
    if problem is not None:
        file.truncate(0)
        raise ModelError(problem)


def _problem(entry: Entry, file: IO[bytes]) -> str | None:
    if (size := file.seek(0, os.SEEK_END)) > entry.size:
        return f"the server sent at least {size:,} bytes instead of {entry.size:,}"
    file.seek(0)
    digest = hashlib.new(entry.algorithm, usedforsecurity=False)
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    if (found := digest.hexdigest()) != entry.published:
        return f"the file from the server has the {entry.label} {found} instead of {entry.published}"
    return None


def _receive(url: str, entry: Entry, file: IO[bytes], show: Show) -> bool:
    """Append the missing data; return True if data from an earlier download is still part of the file."""
    have = file.seek(0, os.SEEK_END)
    if have >= entry.size:
        return True
    response, start = _open(url, have)
    with response:
        file.truncate(start)
        size = file.seek(start)
        show(size)
        # Read at most one byte more than expected, so that an endless answer cannot fill the disk.
        while chunk := response.read(min(_CHUNK, entry.size + 1 - size)):
            file.write(chunk)
            size += len(chunk)
            show(size)
    if size < entry.size:
        raise ModelError(
            f"the server sent {size:,} bytes instead of {entry.size:,}; they are kept, and the next try continues"
        )
    return start > 0


def _open(url: str, have: int) -> tuple[Any, int]:
    """Request the missing data; return the response and its offset in the file, 0 if the server ignores ranges."""
    if have:
        try:
            response = _get(url, {"Range": f"bytes={have}-"})
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != 416:  # 416: the range is not in the server's file
                raise
        else:
            if response.status != 206:
                return response, 0
            if str(response.headers["Content-Range"]).startswith(f"bytes {have}-"):
                return response, have
            response.close()
    return _get(url, {}), 0


def _get(url: str, headers: dict[str, str]) -> Any:
    # urlopen would keep the proxy settings of its first call in this process.
    return urllib.request.build_opener().open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)


@contextmanager
def _bar(entry: Entry, show: bool) -> Iterator[Show]:
    if not show:
        yield lambda _: None
        return
    from tqdm import tqdm

    with tqdm(total=entry.size, desc=entry.name, unit="B", unit_scale=True, file=sys.stderr) as bar:
        yield lambda size: bar.update(size - bar.n)
