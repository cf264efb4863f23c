"""Published protocols by name: what each number depends on, in `registry.toml`, and the real sides."""

from .protocol import Line, Network, Protocol
from .registry import PROTOCOLS, check_protocol, protocol_of

__all__ = ["PROTOCOLS", "Line", "Network", "Protocol", "check_protocol", "protocol_of"]
