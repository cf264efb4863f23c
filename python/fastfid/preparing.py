"""Where prepared images go: a folder that a second run continues, or a zip; neither is there before it is whole."""

import io
import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import FastFIDError, InputError
from .files.reading import cause, failures, read_regular
from .files.writing import atomic_write, check_writable, exclusive
from .images.decode import decode
from .messages import Messages
from .protocols.prepared import NAME, Prepared

_PLAN = "plan.json"
_MOST_PLAN = 1 << 20  # bytes
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the time of every member, so that equal images give equal zips

Pixels = NDArray[np.uint8]


def check_target(target: Path, *, overwrite: bool) -> None:
    """Raise `InputError` if nothing can be written to `target`, or something is there and must not be replaced."""
    with failures(f"cannot write {target}"):
        if is_zip(target):
            check_writable(target)
        elif not target.absolute().parent.is_dir():
            raise NotADirectoryError(f"the folder {target.absolute().parent} does not exist")
        if not target.exists() and not target.is_symlink():
            return
    if not overwrite:
        raise InputError(f"{target} exists already: give another name, or overwrite=True or --force to replace it")
    if not is_zip(target) and not (target / NAME).is_file():
        raise InputError(f"{target} was not made by fastfid prepare, and is not replaced: remove it yourself")


def is_zip(target: Path) -> bool:
    """Return True for the name of a zip."""
    return target.suffix.lower() == ".zip"


@contextmanager
def opened(target: Path, plan: dict[str, Any], messages: Messages, *, overwrite: bool) -> Iterator["Folder | Zip"]:
    """Yield what takes the images. They are at `target` once `finish` was called and the ``with`` ends well."""
    try:
        if is_zip(target):
            with atomic_write(target, replace=overwrite) as file, zipfile.ZipFile(file, "w") as archive:
                yield Zip(archive)
            return
        whole = Path(os.path.abspath(target))  # noqa: PTH100 - without "..", so that it has a name
        part = whole.with_name(f".{whole.name}.part")
        lock = part.with_name(f"{part.name}.lock")
        with exclusive(lock, lambda: messages.note(f"waiting for another process that makes {target}")):
            check_target(target, overwrite=overwrite)  # again: the other process may have made it
            yield _folder(part, whole, plan, messages, overwrite=overwrite)
    except OSError as error:
        raise InputError(f"cannot write {target}: {cause(error)}") from error


class Zip:
    """An uncompressed zip, written from its beginning to its end."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def kept(self, name: str) -> Pixels | None:
        """Return None: a zip is begun anew."""
        return None

    def make(self, name: str, png: bytes) -> None:
        """Do nothing: the members are written in order."""

    def take(self, name: str, png: bytes) -> None:
        """Write a member."""
        self._archive.writestr(zipfile.ZipInfo(name, _EPOCH), png)

    def finish(self, made: Prepared) -> None:
        """Write the record."""
        self.take(NAME, made.to_json().encode())


class Folder:
    """A folder beside the target, which is renamed at the end; what a run that ended early has made is kept."""

    def __init__(self, part: Path, target: Path, *, overwrite: bool) -> None:
        self._part, self._target, self._overwrite = part, target, overwrite

    def kept(self, name: str) -> Pixels | None:
        """Return an image that an earlier run made; None if it is missing or damaged."""
        path = self._part / name
        if not path.exists():
            return None
        try:
            return decode(path, name).pixels
        except FastFIDError:  # the machine stopped while it was written
            return None

    def make(self, name: str, png: bytes) -> None:
        """Write a file; a run that is killed leaves no half of it under its name."""
        path = self._part / name
        path.parent.mkdir(exist_ok=True)
        part = path.with_name(f".{path.name}")
        part.write_bytes(png)
        part.replace(path)

    def take(self, name: str, png: bytes) -> None:
        """Do nothing: the file is there."""

    def finish(self, made: Prepared) -> None:
        """Write the record, and rename the folder."""
        with atomic_write(self._part / NAME) as file:
            file.write(made.to_json().encode())
        (self._part / _PLAN).unlink()
        old = self._part.with_name(f".{self._target.name}.old")
        if self._overwrite and self._target.exists():
            shutil.rmtree(old, ignore_errors=True)
            self._target.rename(old)
        self._part.rename(self._target)
        shutil.rmtree(old, ignore_errors=True)


def _folder(part: Path, target: Path, plan: dict[str, Any], messages: Messages, *, overwrite: bool) -> Folder:
    """Open the folder that an earlier run with the same plan has begun, or begin it."""
    text = json.dumps(plan).encode()
    if part.exists():
        if _plan_of(part) == text:
            messages.note(f"continued from {part}, where an earlier run has ended")
            return Folder(part, target, overwrite=overwrite)
        shutil.rmtree(part)
    part.mkdir()
    with atomic_write(part / _PLAN) as file:
        file.write(text)
    return Folder(part, target, overwrite=overwrite)


def _plan_of(part: Path) -> bytes | None:
    try:
        return read_regular(part / _PLAN, _MOST_PLAN)
    except OSError:
        return None


def png_of(pixels: Pixels) -> bytes:
    """Return an image as a PNG file."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)  # a third of the time, and a tenth larger
    return file.getvalue()
