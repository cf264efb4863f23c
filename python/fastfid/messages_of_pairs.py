"""The messages of a run that compares one side with several: each is issued once."""

from dataclasses import dataclass, field

from .messages import Messages


@dataclass
class _OfPair(Messages):
    """The messages of one pair; those that another pair has issued already are only recorded."""

    issued: set[str] = field(default_factory=set)

    def warn(self, message: str) -> None:
        """Record a warning, and issue it if it is new."""
        if message in self.issued:
            self.warnings.append(message)
            return
        self.issued.add(message)
        super().warn(message)

    def note(self, message: str) -> None:
        """Record and log a note if it is new."""
        if message in self.issued:
            return
        self.issued.add(message)
        super().note(message)


class MessagesOfPairs:
    """The messages of a run in which one side is compared with several."""

    def __init__(self) -> None:
        self._pairs: dict[int, _OfPair] = {}
        self._issued: set[str] = set()

    def of(self, pair: int) -> Messages:
        """Return where the messages of one pair go."""
        return self._pairs.setdefault(pair, _OfPair(issued=self._issued))

    def texts(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the warnings and the notes, each once."""
        pairs = [self._pairs[i] for i in sorted(self._pairs)]
        warnings = dict.fromkeys(text for pair in pairs for text in pair.warnings)
        return tuple(warnings), tuple(dict.fromkeys(text for pair in pairs for text in pair.notes))
