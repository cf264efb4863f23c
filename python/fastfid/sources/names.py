"""Tells from their names which files are images and which are archives."""

from collections.abc import Collection
from dataclasses import dataclass
from posixpath import splitext

from ..arguments import spelled
from ..checks import agreeing
from ..errors import InputError
from ..images.decode import ENDINGS

PYTORCH_FID = "pytorch-fid"
# Endings of readable formats that count as images only if the caller asks for them.
_OTHER_ENDINGS = frozenset({"avif", "gif", "jfif", "jpe", "mpo", "pbm", "pnm"})

READABLE_ARCHIVES = (".tar", ".zip")
COMPRESSED_TARS = (".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst")
_OTHER_ARCHIVES = (".7z", ".rar")


@dataclass(frozen=True)
class Endings:
    """Which file endings count as images.

    Attributes
    ----------
    names : frozenset of str
        Without the dot, in lower case.
    exact : bool
        True to select exactly the files that pytorch-fid reads: endings in lower case only, and no subfolders.
    """

    names: frozenset[str] = ENDINGS
    exact: bool = False

    @classmethod
    def of(cls, endings: str | Collection[str] | None) -> "Endings":
        """Read the option: None for the usual endings, "pytorch-fid", or endings as a list or separated by commas.

        Raises
        ------
        InputError
            If it is something else; the message names it.

        Examples
        --------
        >>> sorted(Endings.of("png, .JPG").names)
        ['jpg', 'png']
        """
        if endings is None:
            return cls()
        if isinstance(endings, str) and endings == PYTORCH_FID:
            return cls(exact=True)
        given = endings.split(",") if isinstance(endings, str) else endings
        if not isinstance(given, Collection) or not all(isinstance(ending, str) for ending in given):
            raise InputError(f"endings must be {PYTORCH_FID!r} or endings such as 'png,jpg', got {endings!r}")
        names = frozenset(ending.strip().removeprefix("*").removeprefix(".").lower() for ending in given)
        known = ENDINGS | _OTHER_ENDINGS
        unknown = sorted(names - known) if names else [""]
        if unknown:
            listed = ", ".join(sorted(known))
            raise InputError(
                f"{spelled('endings', endings)}: {unknown[0]!r} is none of {listed}, and not {PYTORCH_FID!r}"
            )
        return cls(names)

    def count(self, name: str) -> bool:
        """Return True if a file with this name or path counts as an image."""
        if self.exact:
            return name.rpartition(".")[2] in self.names and "." in name
        return splitext(name)[1][1:].lower() in self.names

    def __str__(self) -> str:
        """Return the endings as text for messages."""
        return ", ".join(f".{ending}" for ending in sorted(self.names))


def is_image(name: str) -> bool:
    """Return True if a file with this name or path counts as an image by default."""
    return _USUAL.count(name)


def is_archive(name: str) -> bool:
    """Return True if a file with this name is an archive, including archives that cannot be read."""
    return name.lower().endswith(READABLE_ARCHIVES + COMPRESSED_TARS + _OTHER_ARCHIVES)


def is_compressed_tar(name: str) -> bool:
    """Return True if a file with this name is a compressed tar."""
    return name.lower().endswith(COMPRESSED_TARS)


def is_npy(name: str) -> bool:
    """Return True if a file with this name holds an array."""
    return name.lower().endswith(".npy")


def has_upper_ending(name: str) -> bool:
    """Return True if the ending of a name has an upper-case letter."""
    ending = splitext(name)[1]
    return ending != ending.lower()


def foreign_note(total: int, nested: int, upper: int) -> tuple[str, ...]:
    """Return a note on the images that pytorch-fid would not find, in subfolders or with upper-case endings, if any."""
    inside = agreeing(nested, "is in a subfolder", "are in subfolders")
    end = agreeing(upper, "has an upper-case ending", "have upper-case endings")
    foreign = [f"{nested} of {total} images {inside}"] if nested else []
    foreign += [f"{upper} of {total} images {end}"] if upper else []
    return (
        (" and ".join(foreign) + f"; pytorch-fid would not count {agreeing(nested + upper, 'it', 'them')}",)
        if foreign
        else ()
    )


_USUAL = Endings()
