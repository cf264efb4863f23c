"""The record that `fastfid prepare` leaves beside the images it made: what was done, and a hash of the result."""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, get_type_hints

from ..files.reading import failures, open_regular, read_regular
from ..files.unzip import listing, read_member

NAME = "prepared.json"
_FORMAT = 2
_MOST = 1 << 24  # bytes
_HASHES = {"listing": re.compile("[0-9a-f]{64}"), "files": re.compile("[0-9a-f]{32}")}


@dataclass(frozen=True)
class Prepared:
    """A set of images that `prepare` made.

    Attributes
    ----------
    protocol : str
    crop : str
        How the images were brought to their size, a name in `images.crops.CROPS`.
    size : int
        Height and width.
    source : str
        Name of the source.
    n, of : int
        Number of images, and of those in the source.
    seed : int or None
        Seed of the choice; None if all were taken.
    listing : str
        SHA-256 of the listing: a line ``NAME SHA256`` for each image, where the hash is that of its RGB bytes. It does
        not depend on how well the PNG files are compressed.
    files : str
        Hash of the PNG files in the order of their names, in hexadecimal digits: `Tally.content`, which a comparison
        computes anyway. So it notices if one has changed, or two have changed places.
    rejected : tuple of str
        The images that were left out, with the reason.
    fastfid, pillow : str
        Versions.
    """

    protocol: str
    crop: str
    size: int
    source: str
    n: int
    of: int
    seed: int | None
    listing: str
    files: str
    rejected: tuple[str, ...]
    fastfid: str
    pillow: str

    def to_json(self) -> str:
        """Return the text of the record."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read the text that `to_json` wrote; raise any exception for another text."""
        data: dict[str, Any] = json.loads(text)
        if data.pop("format") != _FORMAT:
            raise ValueError("it was written by another version of fastfid")
        made = cls(**{**data, "rejected": tuple(data["rejected"])})
        for name, kind in get_type_hints(cls).items():
            if name != "rejected" and not isinstance(getattr(made, name), kind):
                raise TypeError(f"{name} is {getattr(made, name)!r:.80}")
        for name, value in (*vars(made).items(), *(("rejected", reason) for reason in made.rejected)):
            if isinstance(value, str) and not value.isprintable():  # it would be cited
                raise ValueError(f"{name} has characters that cannot be printed: {value!r:.80}")
        for name, pattern in _HASHES.items():
            if not pattern.fullmatch(getattr(made, name)):
                raise ValueError(f"{name} is {getattr(made, name)!r:.80}, not a hash in hexadecimal digits")
        return made


def hash_of_files(content: int) -> str:
    """Return `Prepared.files` of the `Tally.content` of the images."""
    return f"{content:032x}"


def prepared_of(path: Path) -> Prepared | None:
    """Return the record of a folder or a ``.zip``; None if there is none.

    Raises
    ------
    InputError
        If there is one and it cannot be read.
    """
    with failures(f"cannot read {NAME} of {path}"):
        if path.is_dir():
            if not (path / NAME).exists():
                return None
            return Prepared.from_json(read_regular(path / NAME, _MOST))
        if path.suffix.lower() != ".zip" or not path.is_file():
            return None
        with open_regular(path) as file:
            entry = next((entry for name, _, entry in listing(file) if name == NAME), None)
            return None if entry is None else Prepared.from_json(read_member(file, entry, _MOST))
