"""Finds the real side of a protocol, and knows it again by its hash.

A published file whose hash no source states is known by the hash that it had when it was used first. That is recorded
in the cache, in the form of `sha256sum`.
"""

import contextlib
import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..arguments import spelled
from ..checks import type_of
from ..errors import InputError
from ..files.layouts import PICKLES, split_entry
from ..files.reading import failures, open_regular, read_regular
from ..files.remote import without_secrets
from ..files.writing import atomic_write
from ..fit import Side
from ..messages import Messages
from ..networks.cache import cache_folder
from .prepared import Prepared, prepared_of
from .protocol import Protocol, Reference

_CHUNK = 1 << 20
_MOST_RECORD = 4096  # bytes


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
    """

    name: str
    sha256: str = ""
    standing: str = "own"
    n: int | None = None

    def __str__(self) -> str:
        kind = "SHA-256 of its listing" if self.n is not None else "SHA-256"
        known = f"{kind} {self.sha256[:12]}" if self.sha256 else "no hash"
        other = ", not known to be the published file" if self.standing == "other" else ""
        return f"reference {self.name} ({known}){other}"


def folder() -> Path:
    """Return the folder in the cache where references are looked for."""
    return cache_folder() / "references"


def given(
    protocol: Protocol | None, b: Any, reference: Any, messages: Messages, *, force: bool
) -> tuple[Any, Used | None]:
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
        raise InputError(f"{what}, and {own}: give it as the second side")
    if reference is not None and b is not None:
        raise InputError(f"the real side is given twice: leave out the second side, or {spelled('reference')}")
    if protocol is None or wanted is None:
        return b, None
    real = next((each for each in (b, reference) if each is not None), None)
    if real is None:
        real = _in_cache(protocol, wanted)
    used = _identify(protocol, wanted, real, messages, force=force)
    if wanted.entry and isinstance(real, str | os.PathLike) and os.fsdecode(real).lower().endswith(PICKLES):
        real = f"{os.fsdecode(real)}#{wanted.entry}"
    return real, used


def confirmed(used: Used, real: Side, messages: Messages) -> Used:
    """Compare a prepared folder with what it was when it was made, once it has been listed."""
    if used.n is None or used.n == real.n or real.n is None:
        return used
    messages.warn(
        f"protocol-reference: {real.name} has {real.n} images, and had {used.n} when it was prepared: it is cited "
        "without its hash"
    )
    return replace(used, sha256="", n=None)


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


def _identify(protocol: Protocol, wanted: Reference, real: Any, messages: Messages, *, force: bool) -> Used:
    path = Path(split_entry(real)[0]) if isinstance(real, str | os.PathLike) else None
    made = prepared_of(path) if path is not None and path.exists() else None
    if made is not None and path is not None:
        _tell_of_preparation(protocol, path.name, made, messages)
        used = Used(path.name, made.listing, "own", made.n)
    elif path is not None and path.is_file():
        sha256, git = hashes(path)
        used = Used(path.name, sha256, "own")
        if wanted.url:
            return _checked(protocol, wanted, used, git, messages, force=force)
    else:
        used = Used(type_of(real) if path is None else Path(without_secrets(str(path)).partition("?")[0]).name)
    if wanted.url:
        messages.warn(
            f"protocol-reference: protocol {protocol.name} compares with the published file {wanted.file}, and "
            f"{used.name} is not that file; state it beside the result"
        )
        return replace(used, standing="other")
    return used


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
    record = folder() / f"{wanted.file}.sha256"
    earlier = _recorded(record)
    if earlier is None and used.name != wanted.file:
        messages.warn(
            f"protocol-reference: {used.name} is not called {wanted.file}, and no source states that one's SHA-256: it "
            "is not known to be the reference"
        )
        return replace(used, standing="other")
    if earlier is None:
        _record(record, used.sha256, wanted.file, messages)
        messages.note(
            f"{used.name}: no source states the SHA-256 of {wanted.file}; {used.sha256} is recorded in {record} as "
            "that of its first use"
        )
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
        digest = text.decode("ascii").split()[0]
        if len(bytes.fromhex(digest)) != hashlib.sha256().digest_size:
            raise ValueError("it holds no SHA-256; remove it, and the next run records one")
    return digest


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
