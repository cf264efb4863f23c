"""The fits of whole sets in fastfid's cache folder, so that a later run need not read the images again.

The name of a file is a digest of everything that its content depends on: the names, sizes and times of the images, the
options that say how they are read, the model, and the versions. So a change of any of them is a miss. Each file is
written as a whole, and a damaged one counts as missing. Together they take at most 4 GiB, or as many MiB as the
environment variable ``FASTFID_CACHE_SIZE`` says; then those are removed that were not used for longest.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import FastFIDError, InputError
from ..files.reading import cause, open_regular
from ..files.writing import atomic_write
from ..fit import Facts, Fit, Side
from ..messages import Messages
from ..metrics.base import Need
from ..networks.cache import cache_folder
from ..sources import Piece
from ..sources.iterable import Elements
from ..sources.proofs import proof_of_all
from .packed import MOST_BYTES, DamagedError, opened, pack, unpacked
from .run_facts import digest_of, facts_of_names, text_of

_FORMAT = 2
_VARIABLE, _DEFAULT = "FASTFID_CACHE_SIZE", 4096  # MiB
_OURS = "fastfid."


def uncached(side: Side, engine: object) -> str | None:
    """Return why the fit of a side cannot be kept, without reading anything; None if it can."""
    source = side.source
    assert source is not None
    if side.shelf:
        return "per_class keeps the classes one by one"
    if not source.exact:
        return "how many images there are shows only when they are read"
    if isinstance(source, Elements):
        return "give a folder, an archive, a table, an array or a file that lists paths"
    for thing in (*map(_kind, (source, engine)), *map(text_of, side.needs)):
        if not thing.startswith(_OURS):
            return f"{thing} is from outside fastfid, and changes of its code cannot be noticed"
    return None


def _kind(thing: object) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}"


@dataclass(frozen=True)
class Entry:
    """The place of a fit in the cache.

    Attributes
    ----------
    fit : Fit or None
        What is there; None if nothing is.
    """

    pieces: Sequence[Piece]
    needs: Sequence[Need]
    facts: Mapping[str, Any]
    fit: Fit | None

    def write(self, fit: Fit, messages: Messages) -> None:
        """Keep a fit that was not there; a failure is a warning, since the score does not depend on it."""
        if fit is self.fit or _stamps(self.pieces) != self.facts["stamps"]:  # changed while they were read
            return
        try:
            most, path = most_bytes(), _path(self.facts)
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as file:
                pack(file, fit, self.needs, self.facts)
                if file.tell() > most:
                    raise InputError(f"it has {file.tell() >> 20} MiB; {_VARIABLE} allows {most >> 20}")
            make_room(most, path)
        except (FastFIDError, OSError) as error:
            name = self.facts["source"]
            messages.warn(f"the cache cannot keep {name}: {cause(error)}; the score does not depend on it")


def entry_of(
    pieces: Sequence[Piece], needs: Sequence[Need], facts: Facts, reading: Mapping[str, Any], messages: Messages
) -> Entry | None:
    """Look for the fit of a source; None if it cannot be kept, which a note says.

    Parameters
    ----------
    pieces : sequence of Piece
        All pieces of the source.
    needs : sequence of Need
    facts : Facts
        What the engine says of the network.
    reading : mapping
        How the images are read, as plain data.
    messages : Messages
    """
    from PIL import Image, ImageFile

    name, made = pieces[0].source.name, facts.provenance
    assert made is not None
    stamps = _stamps(pieces)
    if not stamps:
        messages.note(f"the cache does not keep {name}: changes of it cannot be noticed")
        return None
    known = {
        **facts_of_names(pieces, needs, facts, made, reading),
        "format": _FORMAT,
        "device": sorted({device.partition(":")[0] for device in made.device.split(" + ")}),
        "place": os.path.abspath(name) if os.path.exists(name) else name,  # noqa: PTH100, PTH110 - may be an address
        "stamps": stamps,
        "truncated": bool(ImageFile.LOAD_TRUNCATED_IMAGES),  # Pillow then decodes what else is an error
        "most_pixels": Image.MAX_IMAGE_PIXELS,  # images with more than twice as many are errors
    }
    fit = None
    try:
        path = _path(known)
        with opened(partial(open_regular, path, most=MOST_BYTES), str(path)) as (there, npz):
            if any(there.get(key) != value for key, value in known.items() if key != "source"):  # the path as typed
                raise ValueError("it is of other images")
            fit = unpacked(there, npz, needs, facts.roles, path.name)
        with suppress(OSError):
            os.utime(path)  # now used last
        messages.note(f"{name} is in the cache and not read again ({path})")
    except FileNotFoundError:
        pass
    except (DamagedError, FastFIDError) as error:
        messages.note(f"{error}: {name} is read again")
    return Entry(pieces, needs, known, fit)


@dataclass(frozen=True)
class Kept:
    """A file of the cache: its size, the time of its last use, and what it says of its content."""

    path: Path
    size: int
    used: float

    def facts(self) -> dict[str, Any]:
        """Return what the file says of its content; nothing if it is damaged."""
        try:
            with opened(partial(open_regular, self.path, most=MOST_BYTES), str(self.path)) as (facts, _):
                return facts
        except (DamagedError, FileNotFoundError):
            return {}


def kept() -> list[Kept]:
    """Return the files of the cache, the one used last first."""
    found = []
    for path in _folder().glob("*.npz"):
        with suppress(OSError):  # removed meanwhile
            status = path.stat()
            found.append(Kept(path, status.st_size, status.st_mtime))
    return sorted(found, key=lambda file: -file.used)


def make_room(most: int, but: Path | None = None) -> int:
    """Remove the files that were not used for longest until the rest have at most so many bytes; return their number.

    The file `but` stays.
    """
    left, removed = most, 0
    for file in sorted(kept(), key=lambda file: file.path != but):
        left -= file.size
        if left < 0:
            with suppress(OSError):
                file.path.unlink()
                removed += 1
    return removed


def most_bytes() -> int:
    """Return how many bytes the files of the cache may have together."""
    text = os.environ.get(_VARIABLE, "") or str(_DEFAULT)
    if not (text.isdecimal() and len(text) < 10):
        raise InputError(f"{_VARIABLE} must be a whole number of MiB, got {text!r}")
    return int(text) << 20


def _folder() -> Path:
    return cache_folder() / "fits"


def _path(facts: Mapping[str, Any]) -> Path:
    return _folder() / f"{digest_of(facts)}.npz"


def _stamps(pieces: Sequence[Piece]) -> str:
    """Return what is surely different once the images have changed; "" if that cannot be told of all."""
    return proof_of_all(pieces[0].source, (int(index) for piece in pieces for index in piece.indices), content=True)
