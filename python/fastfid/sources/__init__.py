"""What can be scored: a folder, archives, arrays, an iterable; each is one set of images."""

from .arrays import is_statistics_file
from .base import Item, Source
from .open import open_source

__all__ = ["Item", "Source", "is_statistics_file", "open_source"]
