"""What was observed of images as plain data and an array of hashes, for files; and back, with checks of every value."""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .observed import MOST_DIGESTS, Tally

_MOST = 2**53 - 1  # the largest count that float64 holds exactly


def plain_tally(seen: Tally) -> dict[str, Any]:
    """Return a tally as plain data for JSON, without the digests."""
    counters = {name: [*value.items()] for name, value in vars(seen).items() if isinstance(value, Counter)}
    return {name: value for name, value in vars(seen).items() if name != "digests"} | counters


def digests_of(seen: Tally) -> NDArray[np.uint64]:
    """Return the digests of a tally, sorted."""
    return np.array(sorted(seen.digests), np.uint64)


def digest_of_images(seen: Tally | None) -> str:
    """Return the SHA-256 of the hashes of a set of images, in any order; "" if not all of them were hashed."""
    if seen is None or seen.sampled or not 0 < seen.accepted <= MOST_DIGESTS:
        return ""
    return hashlib.sha256(digests_of(seen).astype("<u8").tobytes()).hexdigest()


def tally_of(plain: Mapping[str, Any], digests: NDArray[np.uint64]) -> Tally:
    """Return the tally of plain data, every value of which is checked, since messages are made of them later.

    Any exception says that it is damaged.
    """
    seen = Tally()
    for name, usual in vars(Tally()).items():
        value: Any = set() if name == "digests" else plain[name]
        if isinstance(usual, Counter):
            value = Counter({tuple(key) if isinstance(key, list) else key: count for key, count in value})
        if not (_is_hash(value) if name == "content" else _is_like(usual, value, _HELD.get(name, _is_count))):
            raise TypeError(f"{name} is {value!r}")
        setattr(seen, name, value)
    if len(seen.gaps) != len(seen.rejected):
        raise ValueError(f"{len(seen.rejected)} images were left out, at {len(seen.gaps)} places")
    if seen.sizes.total() != seen.accepted:
        raise ValueError(f"{seen.accepted} images have {seen.sizes.total()} sizes")
    for name in ("encodings", "qualities"):
        if (count := vars(seen)[name].total()) > seen.accepted:
            raise ValueError(f"{seen.accepted} images have {count} {name}")
    if digests.dtype != np.uint64 or digests.ndim != 1 or len(digests) > seen.accepted:
        raise TypeError(f"digests are {digests.dtype} of shape {digests.shape}")
    seen.digests = set(digests.tolist())
    return seen


def _is_like(usual: Any, value: Any, held: Callable[[Any], bool]) -> bool:
    """Return whether a value has the type of the usual one, and its items are what they should be."""
    if type(usual) is int:
        return _is_count(value)
    if type(value) is not type(usual):
        return False
    counts = value.values() if isinstance(value, Counter) else ()
    return isinstance(value, bool) or (all(map(held, value)) and all(_is_count(count) and count for count in counts))


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _MOST


def _is_hash(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 127


def _is_text(value: Any) -> bool:
    return type(value) is str


def _is_size(value: Any) -> bool:
    return type(value) is tuple and len(value) == 2 and all(map(_is_count, value))


_HELD = {  # by the lists and counters of a tally; the others hold counts
    "rejected": _is_text,
    "damages": _is_text,
    "losses": _is_text,
    "encodings": _is_text,
    "sizes": _is_size,
}
