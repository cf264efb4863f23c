"""What a statistics file says of the images themselves, so that a side without images gets the warnings of one with.

fastfid_images      text    number, formats, sizes, JPEG qualities, damage, copies and left-out files, as JSON
fastfid_digests     (m,)    uint64, hashes of the files (or of the pixels, if there is no file), each once
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files.reading import failures
from ..images.observed import MOST_DIGESTS, Tally, known
from ..images.observed_data import digests_of, plain_tally, tally_of

FORMAT = 1  # of the JSON
TEXT, DIGESTS = "fastfid_images", "fastfid_digests"
#: The largest number of bytes of each array. A text has 4 for each character.
MOST_BYTES = {TEXT: 1 << 24, DIGESTS: 8 * MOST_DIGESTS}
_OF_THE_RUN = {"chunk": 0, "sampled": False}  # no facts about the images


def arrays_of(seen: Tally | None, n: int | None) -> dict[str, NDArray[Any]]:
    """Return what to write of the images; nothing if it is not of all n of them, or too long for a file."""
    if (whole := known(seen, n)) is None:
        return {}
    text = np.array(json.dumps({"format": FORMAT, **plain_tally(whole), **_OF_THE_RUN}))
    return {TEXT: text, DIGESTS: digests_of(whole)} if text.nbytes <= MOST_BYTES[TEXT] else {}


def seen_in(arrays: Mapping[str, NDArray[Any]], n: int | None) -> tuple[Tally | None, str | None]:
    """Return what a file says of its n images, None if it says nothing; and a note if a newer fastfid has said it.

    Raises
    ------
    InputError
        If a value is damaged, or it is of another number of images.
    """
    if TEXT not in arrays:
        return None, None
    with failures("what it says of its images cannot be read"):
        plain = json.loads(str(arrays[TEXT]))
        written = plain.pop("format")
        if type(written) is not int or written < 1:
            raise TypeError(f"format is {written!r}")
        if written > FORMAT:
            return None, "what it says of its images was written by a newer fastfid: upgrade for warnings about them"
        seen = tally_of({**plain, **_OF_THE_RUN}, arrays[DIGESTS])
        if seen.accepted != n:
            raise InputError(f"it is of {seen.accepted} images, and the statistics are of {n}")
    return seen, None
