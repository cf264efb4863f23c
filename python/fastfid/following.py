"""What a run that follows a protocol checks at each of its stages; nothing, if it follows none."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from .fit import Facts, Side
from .messages import Messages
from .options import Options
from .protocols import protocol_of


class Following:
    """The protocol of a run, if there is one."""

    def __init__(self, options: Options, messages: Messages) -> None:
        self.protocol = protocol_of(options.protocol)
        self._options, self._messages = options, messages

    def choosing(self, generated: Side) -> Side:
        """Choose as many generated images as the protocol takes, if its tool chooses from more."""
        return self.protocol.choosing(generated, self._options, self._messages) if self.protocol else generated

    def opening(self, sides: Sequence[Side]) -> AbstractContextManager[None]:
        """Refuse the wrong kind of network while one is opened, and say how to get the right one."""
        if self.protocol is None or not any(side.source for side in sides):
            return nullcontext()
        return self.protocol.opening(self._options.model)

    def opened(self, facts: Facts, sides: Sequence[Side], others: Sequence[Side]) -> None:
        """Check the network, and what is saved of the two sides and of others."""
        if self.protocol:
            self.protocol.check(facts, [*sides, *others], self._messages, force=self._options.force)
            self.protocol.tell_of_n(sides, self._messages)

    def glanced(self, sides: Sequence[Side]) -> None:
        """Check the sizes of a few images."""
        if self.protocol:
            self.protocol.check_sizes(sides, self._messages, force=self._options.force)

    def read(self, sides: Sequence[Side]) -> None:
        """Say what does not fit now that all images have been read."""
        if self.protocol:
            self.protocol.tell_of_n(sides, self._messages)
            self.protocol.check_sizes(sides, self._messages, force=True)
