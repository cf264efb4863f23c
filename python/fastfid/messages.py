"""What a run has to tell besides its number: warnings, notes, images left out."""

import logging
import os
import sys
import warnings
from dataclasses import dataclass, field
from types import FrameType

from .errors import FastFIDWarning

log = logging.getLogger("fastfid")

_PACKAGE = os.path.dirname(__file__) + os.sep  # noqa: PTH120 - as frames spell it


def warn(message: str) -> None:
    """Issue a `FastFIDWarning` that points at the line which called this package, however deep we are in it."""
    frame: FrameType | None = sys._getframe(1)
    level = 2
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, FastFIDWarning, stacklevel=level)


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
        warn(message)

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
