"""Whether images are still those from which something was made: one text for many images."""

from collections.abc import Iterable
from hashlib import blake2b

from .base import Source


def proof_of_all(source: Source, indices: Iterable[int], *, content: bool = False) -> str:
    """Return a text that is surely different once one of some images has changed; "" if that cannot be told of all.

    Parameters
    ----------
    source : Source
    indices : iterable of int
    content : bool
        As in `Source.proofs`.
    """
    hashed = blake2b(digest_size=16)
    for proof in source.proofs(indices, content=content):
        if not proof:
            return ""
        hashed.update(f"{proof}\0".encode("utf-8", "surrogateescape"))
    return hashed.hexdigest()
