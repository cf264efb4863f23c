"""A look at a few files of a source, before the network runs."""

import numpy as np

from ..errors import FastFIDError
from ..images.decode import Decoded
from ..images.observed import Seen, Tally
from .base import Source
from .kept import Kept
from .pieces import choose, read_checked

GLANCE = 16  # images of each side
_MOST_KEPT = 1 << 26  # bytes of their pixels


def glance(source: Source, limit: int | None = None, seed: int = 0) -> tuple[Tally | None, Source]:
    """Look at a few images of a folder or an archive, of those that `limit` and `seed` choose.

    Returns
    -------
    seen : Tally or None
        None if there are no files to look at, or one cannot be read: the run will say so.
    source : Source
        The source to go on with: it keeps what was decoded here, as far as memory allows.
    """
    chosen = choose(source, limit, seed)
    if chosen is None or not source.files or source.ordered:
        return None, source
    places = np.sort(np.random.RandomState(0).permutation(len(chosen))[:GLANCE])
    indices = [int(chosen[place]) for place in places]
    tally, kept, room = Tally(), dict[int, Decoded](), _MOST_KEPT
    try:
        for index, item in zip(indices, read_checked(source, indices), strict=False):
            image = item.decode()
            tally.add([Seen.of(image)])
            if (room := room - image.pixels.nbytes) >= 0:
                kept[index] = image
    except FastFIDError:
        return None, Kept(source, kept)
    # Left to the later look: copies, which so few cannot show, and damage, of which the number is told.
    tally.repeated, tally.digests = 0, set()
    tally.damaged, tally.damages = 0, []
    tally.sampled = True
    return tally, Kept(source, kept)
