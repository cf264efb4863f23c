"""All readers, by name."""

from . import archives, arrays, images, networks, records, statistics, tables, words
from .reader import Reader

_MODULES = (images, archives, arrays, statistics, networks, tables, records, words)

#: Everything that parses bytes or texts from outside.
EVERY: dict[str, Reader] = {reader.name: reader for module in _MODULES for reader in module.READERS}
