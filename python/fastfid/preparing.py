"""Where prepared images go: a folder that a second run continues, or a zip; neither is there before it is whole."""

import io
import json
import os
import shutil
import threading
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import FastFIDError, InputError
from .files.reading import cause, failures, read_regular
from .files.writing import atomic_write, check_writable, exclusive
from .images.decode import Decoded, decode
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
    if not is_zip(target) and target.is_symlink():
        raise InputError(f"{target} is a link, and is not replaced: give the folder that it leads to")
    if not is_zip(target) and not (target / NAME).is_file():
        raise InputError(f"{target} was not made by fastfid prepare, and is not replaced: remove it yourself")


def is_zip(target: Path) -> bool:
    """Return True for the name of a zip."""
    return target.suffix.lower() == ".zip"


@contextmanager
def opened(
    target: Path, plan: dict[str, Any] | None, messages: Messages, *, overwrite: bool
) -> Iterator["Folder | Zip"]:
    """Yield what takes the images. They are at `target` once `finish` was called and the ``with`` ends well.

    `plan` is what must be the same for a run to be continued; None for one that is begun anew.
    """
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
            with closing(_folder(part, whole, plan, messages)) as folder:
                yield folder
    except OSError as error:
        raise InputError(f"cannot write {target}: {cause(error)}") from error


class Zip:
    """An uncompressed zip, written from its beginning to its end."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def kept(self, name: str) -> Decoded | None:
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

    def __init__(self, part: Path, target: Path) -> None:
        self._part, self._target = part, target
        self._names = {NAME, _PLAN}  # of all that belongs into the folder
        self._open, self._writing, self._changed = True, 0, threading.Condition()

    def kept(self, name: str) -> Decoded | None:
        """Return an image that an earlier run made; None if it is missing or damaged."""
        path = self._part / name
        if not path.exists():
            return None
        try:
            return decode(path, name)
        except FastFIDError:  # the machine stopped while it was written
            return None

    def make(self, name: str, png: bytes) -> None:
        """Write a file, unless the run has ended; one that is killed leaves no half of it under its name."""
        with self._changed:
            if not self._open:
                return
            self._writing += 1
        try:
            path = self._part / name
            path.parent.mkdir(exist_ok=True)
            part = path.with_name(f".{path.name}")
            part.write_bytes(png)
            part.replace(path)
        finally:
            with self._changed:
                self._writing -= 1
                self._changed.notify_all()

    def close(self) -> None:
        """End the run: a thread that still makes an image writes nothing into what the next run may have begun."""
        with self._changed:
            self._open = False
            self._changed.wait_for(lambda: not self._writing)

    def take(self, name: str, png: bytes) -> None:
        """Count the file in, which is there."""
        self._names.add(name)

    def finish(self, made: Prepared) -> None:
        """Write the record, remove what is left of earlier runs, and rename the folder.

        The plan goes last: a run that ends before is continued, even between the renames.
        """
        with atomic_write(self._part / NAME) as file:
            file.write(made.to_json().encode())
        self._clean()
        old = self._part.with_name(f".{self._target.name}.old")
        if self._target.exists():  # and may be replaced, as `check_target` has found
            _remove(old)
            self._target.rename(old)
        try:
            self._part.rename(self._target)
        except OSError:
            if old.exists():
                old.rename(self._target)
            raise
        (self._target / _PLAN).unlink()
        with suppress(OSError):
            _remove(old)

    def _clean(self) -> None:
        """Remove what this run did not make, and check that all it made is there."""
        found = 0
        for folder, _, names in os.walk(self._part):
            for path in (Path(folder, name) for name in names):
                if path.relative_to(self._part).as_posix() in self._names:
                    found += 1
                else:
                    path.unlink()
        if found != len(self._names):
            raise InputError(f"{len(self._names) - found} files of {self._part} were removed meanwhile: start again")


def _folder(part: Path, target: Path, plan: dict[str, Any] | None, messages: Messages) -> Folder:
    """Open the folder that an earlier run with the same plan has begun, or begin it."""
    text = json.dumps(plan).encode()
    if os.path.lexists(part):
        if plan is not None and not part.is_symlink() and _plan_of(part) == text:
            messages.note(f"continued from {part}, where an earlier run has ended")
            return Folder(part, target)
        why = "the source does not tell whether it has changed" if plan is None else "it was of other images or options"
        messages.note(f"begun anew, not continued from {part}: {why}")
        _remove(part)
    part.mkdir()
    with atomic_write(part / _PLAN) as file:
        file.write(text)
    return Folder(part, target)


def _remove(path: Path) -> None:
    """Remove a folder, a file or a link, if it is there."""
    if path.is_dir() and not path.is_symlink():
        (path / _PLAN).unlink(missing_ok=True)  # first, so that what is left is not continued
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


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
