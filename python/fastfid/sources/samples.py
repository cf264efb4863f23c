"""Which members of an archive are images: those with an image's ending, or with one key of a WebDataset.

There the files of a sample have one name up to its first dot, and what follows is their key: ``0000.input.png``.
"""

from ..checks import shown
from .terms import Terms

_MOST_SHOWN = 20


def sample_and_key(name: str) -> tuple[str, str]:
    """Divide the name of a member at the first dot of its last part; the key is in lower case, "" if there is none.

    Examples
    --------
    >>> [sample_and_key(name) for name in ("a.b/0000.input.PNG", "a.b/0000", ".x.png")]
    [('a.b/0000', 'input.png'), ('a.b/0000', ''), ('.x.png', '')]
    """
    folder, slash, last = name.rpartition("/")
    sample, _, key = last.partition(".")
    return (f"{folder}{slash}{sample}", key.lower()) if sample else (name, "")


def is_sidecar(name: str) -> bool:
    """Return True for a file that macOS adds to an archive."""
    return name.startswith("__MACOSX/") or name.rpartition("/")[2].startswith("._")


class Chooser:
    """Chooses the images of an archive by the names of its members, and keeps what the others are called."""

    def __init__(self, terms: Terms) -> None:
        self._terms, self._key = terms, None if terms.image_key is None else terms.image_key.lower()
        self.keys: set[str] = set()
        self._samples: set[int] = set()  # hashes of those without the key
        self._whole: set[int] = set()

    def counts(self, name: str) -> bool:
        """Return True if a member counts as an image, unless it is a sidecar."""
        if "/" in name and not self._terms.recursive:
            return False
        if self._key is None:
            return self._terms.endings.count(name)
        sample, key = sample_and_key(name)
        if key and not is_sidecar(name):
            (self._whole if key == self._key else self._samples).add(hash(sample))
            if len(self.keys) <= _MOST_SHOWN:
                self.keys.add(key)
        return key == self._key

    @property
    def lacking(self) -> int:
        """How many samples have no file with the key."""
        return len(self._samples - self._whole)


def sought(terms: Terms, keys: set[str]) -> str:
    """Return what was looked for where there are no images; `keys` are those of all members."""
    if terms.image_key is None:
        return f"looked for members ending in {terms.endings}"
    known = ", ".join(map(shown, sorted(keys)[:_MOST_SHOWN])) + (" and more" if len(keys) > _MOST_SHOWN else "")
    return f"no member has {terms.image_key!r} after the first dot of its name, as image_key asks for; " + (
        f"it is one of {known}" if keys else "none has a dot"
    )
