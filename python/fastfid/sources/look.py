"""Decodes a few files of each source before the network runs, to warn early."""

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
    """Decode a few images of a folder or an archive, from those that `limit` and `seed` choose.

    Returns
    -------
    seen : Tally or None
        Observations about these images. None if the images are not files, or one cannot be read; the run itself reports
        that.
    source : Source
        The source to use from here on. It keeps the images decoded here, up to 64 MB of them.
    """
    chosen = choose(source, limit, seed)
    if chosen is None or not source.files or source.ordered:
        return None, source
    places = np.sort(np.random.RandomState(0).permutation(len(chosen))[:GLANCE])
    indices = [int(chosen[place]) for place in places]
    tally, kept, proofs, room = Tally(), dict[int, Decoded](), dict[int, str](), _MOST_KEPT
    try:
        proofs |= zip(indices, source.proofs(indices), strict=True)
        for index, item in zip(indices, read_checked(source, indices), strict=False):
            image = item.decode()
            tally.add([Seen.of(image)])
            if (room := room - image.pixels.nbytes) >= 0:
                kept[index] = image
    except FastFIDError:
        return None, Kept(source, kept, proofs)
    # Reported after the run only: copies, which so few images cannot show, and damage, which is reported as a number.
    tally.repeated, tally.digests = 0, set()
    tally.damaged, tally.damages = 0, []
    tally.sampled = True
    return tally, Kept(source, kept, proofs)
