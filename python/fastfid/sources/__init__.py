"""The inputs that can be scored: a folder, archives, arrays or an iterable, each one set of images."""

from .arrays import is_statistics_file
from .base import Item, Source
from .look import GLANCE, glance
from .open import open_source
from .pieces import Piece, check_limit, expected, pieces, read_batches, read_items, read_pieces

__all__ = [
    "GLANCE",
    "Item",
    "Piece",
    "Source",
    "check_limit",
    "expected",
    "glance",
    "is_statistics_file",
    "open_source",
    "pieces",
    "read_batches",
    "read_items",
    "read_pieces",
]
