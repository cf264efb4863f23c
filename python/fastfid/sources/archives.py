"""Opens archives as one set of images: by directory or headers, or as streams if they are compressed."""

from collections.abc import Sequence

from ..errors import InputError
from ..files.places import Place
from .base import Source
from .names import is_compressed_tar
from .shards import Shards
from .streams import Streams
from .terms import Terms


def open_archives(
    name: str, places: Sequence[Place], terms: Terms, *, labels: Sequence[str] = (), notes: tuple[str, ...] = ()
) -> Source:
    """Open the images of archives, archive by archive.

    Parameters
    ----------
    name : str
        How messages name the set.
    places : sequence of Place
    terms : Terms
    labels : sequence of str
        Names of the archives in their folder.
    notes : tuple of str

    Raises
    ------
    InputError
        If one cannot be read, there are no images, or there are compressed tars together with zips.
    """
    packed = [place for place in places if is_compressed_tar(place.tail)]
    if not packed:
        return Shards(name, places, terms, labels=labels, notes=notes)
    others = [place for place in places if not place.tail.lower().endswith(".tar") and place not in packed]
    if others:
        raise InputError(
            f"{name} has compressed tars, such as {packed[0].tail}, beside {others[0].tail}: put the tars into a "
            "folder of their own, or decompress them"
        )
    return Streams(name, places, terms, notes=notes)
