"""What a run has to tell besides its number: warnings, notes, images left out."""

import logging
import warnings
from dataclasses import dataclass, field

from .errors import FastFIDWarning

log = logging.getLogger("fastfid")


@dataclass
class Report:
    """Collects what is said during one run; the library itself never prints.

    Attributes
    ----------
    warnings : list of str
        What the reader of the number should know; each is also issued as a `FastFIDWarning`.
    notes : list of str
        What is worth a line and no alarm; each is also logged to the logger ``fastfid``.
    """

    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _told: dict[object, int] = field(default_factory=dict, repr=False)

    def warn(self, message: str) -> None:
        """Record a warning and issue it."""
        self.warnings.append(message)
        warnings.warn(message, FastFIDWarning, stacklevel=2)

    def warn_once(self, about: object, message: str) -> None:
        """Warn, unless this report has warned about the same before: then only the record takes the new message."""
        if about in self._told:
            self.warnings[self._told[about]] = message
        else:
            self._told[about] = len(self.warnings)
            self.warn(message)

    def note(self, message: str) -> None:
        """Record a note and log it."""
        self.notes.append(message)
        log.info(message)
