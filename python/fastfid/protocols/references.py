"""Finds the real side of a protocol, and knows it again by its hash.

A published file whose hash no source states is known by the hash that it had when it was used first. That is recorded
in the cache once the run has its scores, in the form of `sha256sum`.
"""

import contextlib
import hashlib
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from ..arguments import spelled
from ..checks import type_of
from ..errors import InputError, UsageError
from ..files.layouts import PICKLES, split_entry
from ..files.reading import failures, open_regular, read_regular
from ..files.remote import without_secrets
from ..files.writing import atomic_write
from ..fit import Side
from ..messages import Messages
from ..networks.cache import cache_folder
from ..terminal import printable
from .prepared import Prepared, hash_of_files, prepared_of
from .protocol import Protocol, Reference

_CHUNK = 1 << 20
_MOST_RECORD = 4096  # bytes
_SHA256 = re.compile(r"[0-9a-fA-F]{64}\b")


@dataclass(frozen=True)
class Used:
    """The real side that was used, and how surely it is the protocol's.

    Attributes
    ----------
    name : str
        Name of the file or folder.
    sha256 : str
        SHA-256 of the file, or of the listing of a prepared folder; "" if there is none.
    standing : str
        "published" if a source states its hash; "recorded" if it has the hash that it had when it was used first;
        "first use" if that is now; "own" if everyone makes it; "other" if it is not known to be the published file.
    n : int or None
        Number of images that the prepared folder had when it was made.
    compared : bool
        Whether the files of the prepared folder were compared with its record.
    """

    name: str
    sha256: str = ""
    standing: str = "own"
    n: int | None = None
    compared: bool = False

    def __str__(self) -> str:
        kind = "SHA-256 of its listing" if self.n is not None else "SHA-256"
        made = " when it was made, not compared" if self.n is not None and not self.compared else ""
        known = f"{kind} {self.sha256[:12]}{made}" if self.sha256 else "no hash"
        other = ", not known to be the published file" if self.standing == "other" else ""
        return f"reference {printable(self.name)} ({known}){other}"


class Real(NamedTuple):
    """The real side before the run: what it is as far as is known, and what is still to be done."""

    used: Used
    made: Prepared | None = None  # the record of a prepared folder
    first: tuple[Path, str] | None = None  # a file that is used for the first time, and its published name


def folder() -> Path:
    """Return the folder in the cache where references are looked for."""
    return cache_folder() / "references"


def given(
    protocol: Protocol | None, b: Any, reference: Any, messages: Messages, *, force: bool
) -> tuple[Any, Real | None]:
    """Return the real side of a comparison, and what it is to the protocol.

    Parameters
    ----------
    protocol : Protocol or None
    b, reference : object
        The real side as the caller gave it, in one of two ways, or in none if it is in the cache.

    Raises
    ------
    InputError
        If it is given twice, is not found, or is another file than the protocol's and `force` is False.
    """
    wanted = protocol.reference if protocol else None
    if reference is not None and (protocol is None or wanted is None):
        own = f"protocol {protocol.name} has none" if protocol else "there is no protocol"
        what = f"{spelled('reference')} is the real side of a protocol of one data set"
        raise UsageError(f"{what}, and {own}: give it as the second side")
    if reference is not None and b is not None:
        raise UsageError(f"the real side is given twice: leave out the second side, or {spelled('reference')}")
    if protocol is None or wanted is None:
        return b, None
    real = next((each for each in (b, reference) if each is not None), None)
    if real is None:
        real = _in_cache(protocol, wanted)
    found = _identify(protocol, wanted, real, messages, force=force)
    if wanted.entry and isinstance(real, str | os.PathLike) and os.fsdecode(real).lower().endswith(PICKLES):
        real = f"{os.fsdecode(real)}#{wanted.entry}"
    return real, found


def confirmed(real: Real, side: Side, messages: Messages) -> Used:
    """Return what was used, once there are scores: a first use is recorded, a prepared folder compared with its record.

    The run has hashed the files of the folder.
    """
    used, made = real.used, real.made
    if real.first:
        return _first_use(*real.first, used, messages)
    if made is None or side.n is None:
        return used
    seen, why = side.seen, ""
    if side.n != made.n:
        why = f"{side.name} has {side.n} images, and had {made.n} when it was prepared"
    elif seen and seen.accepted == made.n:
        used = replace(used, compared=True)
        if hash_of_files(seen.content) != made.files:
            why = f"{side.name} has other files than when it was prepared"
    if not why:
        return used
    messages.warn(f"protocol-reference: {why}: it is cited without its hash")
    return replace(used, sha256="", n=None, compared=False)


def _in_cache(protocol: Protocol, wanted: Reference) -> Path:
    names = [wanted.file] if wanted.url else [wanted.file, protocol.name]
    places = [folder() / name for name in names]
    found = next((place for place in places if place.exists()), None)
    if found is not None:
        return found
    with contextlib.suppress(OSError):  # so that the file can be put there
        folder().mkdir(parents=True, exist_ok=True)
    if wanted.url:
        way = f"get {wanted.file} from {wanted.url}, and put it there, or give its path"
    else:
        prepare = f"`fastfid prepare IMAGES OUT --protocol {protocol.name}`, " if protocol.crop else ""
        mode = protocol.settings["mode"]
        save = f"`fastfid --save-stats OUT {places[0]} --mode {mode}`"
        way = f"make it once from {protocol.data}: {prepare}{save}; or give the prepared images"
    raise InputError(f"the reference of protocol {protocol.name} is not in {folder()}: {way} as {spelled('reference')}")


def _identify(protocol: Protocol, wanted: Reference, real: Any, messages: Messages, *, force: bool) -> Real:
    file, entry = split_entry(real) if isinstance(real, str | os.PathLike) else (None, None)
    path = None if file is None else Path(file)
    made = prepared_of(path) if path is not None and path.exists() else None
    if path is None or file is None:
        used = Used(type_of(real))
    elif made is not None:
        used = Used(_name(path), made.listing, "own", made.n)
        _tell_of_preparation(protocol, used.name, made, messages)
    elif path.is_file():
        sha256, git = hashes(path)
        used = Used(_name(path), sha256, "own")
        if wanted.url:
            used = _checked(protocol, wanted, used, git, messages, force=force)
            used = _of_entry(protocol, wanted, used, entry, messages, force=force)
            return Real(used, first=(path, wanted.file) if used.standing == "first use" else None)
    else:
        used = Used(_name(path if path.exists() else Path(without_secrets(file).partition("?")[0])))
    if wanted.url:
        messages.warn(
            f"protocol-reference: protocol {protocol.name} compares with the published file {wanted.file}, and "
            f"{used.name} is not that file; state it beside the result"
        )
        used = replace(used, standing="other")
    return Real(used, made)


def _name(path: Path) -> str:
    return Path(os.path.abspath(path)).name or str(path)  # noqa: PTH100 - of "." as well


def _of_entry(
    protocol: Protocol, wanted: Reference, used: Used, entry: str | None, messages: Messages, *, force: bool
) -> Used:
    """Refuse another entry of the published file than the protocol's."""
    if entry in (None, wanted.entry) or used.standing == "other":
        return used
    own = f"entry {wanted.entry!r}" if wanted.entry else "its only set"
    _refuse(f"protocol {protocol.name} uses {own} of {wanted.file}, not entry {entry!r}", messages, force=force)
    return replace(used, standing="other")


def _tell_of_preparation(protocol: Protocol, name: str, made: Prepared, messages: Messages) -> None:
    if (made.crop, made.size) != (protocol.crop, protocol.size):
        messages.warn(
            f"protocol-reference: {name} was prepared for {made.protocol} ({made.crop}, {made.size} pixels), not "
            f"for {protocol.name} ({protocol.crop}, {protocol.size} pixels); state it beside the result"
        )


def _checked(protocol: Protocol, wanted: Reference, used: Used, git: str, messages: Messages, *, force: bool) -> Used:
    """Compare the hash of a published file with the one that a source states, or with that of its first use."""
    stated = [(wanted.sha256, used.sha256, "SHA-256"), (wanted.git, git, "identity in git")]
    known = [each for each in stated if each[0]]
    for right, found, kind in known:
        if right != found:
            _refuse(
                f"{used.name} is not {wanted.file} of protocol {protocol.name}: its {kind} is {found} instead of "
                f"{right}. Get it from {wanted.url}",
                messages,
                force=force,
            )
            return replace(used, standing="other")
    if known:
        return replace(used, standing="published")
    record = _record_of(wanted.file)
    earlier = _recorded(record)
    if earlier is None and used.name != wanted.file:
        messages.warn(
            f"protocol-reference: {used.name} is not called {wanted.file}, and no source states that one's SHA-256: it "
            "is not known to be the reference"
        )
        return replace(used, standing="other")
    if earlier is None:
        return replace(used, standing="first use")
    if earlier != used.sha256:
        _refuse(
            f"{used.name} is not the {wanted.file} that protocol {protocol.name} was used with first: its SHA-256 is "
            f"{used.sha256} instead of {earlier}. If this is the right one, remove {record}",
            messages,
            force=force,
        )
        return replace(used, standing="other")
    return replace(used, standing="recorded")


def _refuse(text: str, messages: Messages, *, force: bool) -> None:
    if not force:
        raise InputError(f"{text} ({spelled('force', True)} overrides)")
    messages.warn(f"protocol-reference: compared because of force although {text}")


def hashes(path: Path) -> tuple[str, str]:
    """Return the SHA-256 of a file, and the SHA-1 by which git knows a file of these bytes."""
    with failures(f"cannot read {path}"), open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        sha256, git = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        while chunk := file.read(_CHUNK):
            sha256.update(chunk)
            git.update(chunk)
    return sha256.hexdigest(), git.hexdigest()


def _recorded(record: Path) -> str | None:
    with failures(f"cannot read {record}"):
        try:
            text = read_regular(record, _MOST_RECORD)
        except (FileNotFoundError, NotADirectoryError):
            return None
        found = _SHA256.match(text.decode("ascii", "replace"))
        if found is None:
            raise ValueError("it holds no SHA-256; remove it, and the next run records one")
    return found[0].lower()


def _record_of(name: str) -> Path:
    return folder() / f"{name}.sha256"


def _first_use(path: Path, name: str, used: Used, messages: Messages) -> Used:
    """Record the hash of a file that gave scores, if it still is the file that was there before."""
    if hashes(path)[0] != used.sha256:
        messages.warn(f"protocol-reference: {used.name} has changed while it was used: its SHA-256 is not recorded")
        return replace(used, sha256="", standing="other")
    record = _record_of(name)
    _record(record, used.sha256, name, messages)
    messages.note(
        f"{used.name}: no source states the SHA-256 of {name}; {used.sha256} is recorded in {record} as that of its "
        "first use"
    )
    return used


def _record(record: Path, sha256: str, name: str, messages: Messages) -> None:
    """Write down the hash of the first use; where the cache cannot be written, say so and go on."""
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(record, replace=False) as file:
            file.write(f"{sha256}  {name}\n".encode())
    except FileExistsError:  # another process was first; the next run compares with what it wrote
        pass
    except OSError as error:
        messages.warn(f"protocol-reference: the SHA-256 of {name} could not be recorded: {error}")
