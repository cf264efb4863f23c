"""Which files are images and which are archives, by their names; and what is said about names."""

from posixpath import splitext

from ..images import ENDINGS

READABLE_ARCHIVES = (".tar", ".zip")
COMPRESSED_TARS = (".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst")
_OTHER_ARCHIVES = (".7z", ".rar")


def is_image(name: str) -> bool:
    """Whether a file of this name, without or with its folders, counts as an image."""
    return splitext(name)[1][1:].lower() in ENDINGS


def is_archive(name: str) -> bool:
    """Whether a file of this name is an archive of files, if only to say that it cannot be read."""
    return name.lower().endswith(READABLE_ARCHIVES + COMPRESSED_TARS + _OTHER_ARCHIVES)


def has_upper_ending(name: str) -> bool:
    """Whether a name's ending is not all in lower case."""
    ending = splitext(name)[1]
    return ending != ending.lower()


def image_endings() -> str:
    """List the endings of images, for messages."""
    return ", ".join(f".{ending}" for ending in sorted(ENDINGS))


def foreign_note(total: int, nested: int, upper: int) -> tuple[str, ...]:
    """Say how many of `total` images pytorch-fid would not find: those in subfolders, and by upper-case endings."""
    foreign = [f"{nested} of {total} images are in subfolders"] if nested else []
    foreign += [f"{upper} of {total} images have upper-case endings"] if upper else []
    return (" and ".join(foreign) + "; pytorch-fid would not count them",) if foreign else ()
