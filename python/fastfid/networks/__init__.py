"""Finds networks by name or file, checks them, and converts them to ONNX."""

from .catalogue import Row, fetch, find, table
from .exporting import export
from .loading import Network, load
from .registry import names

__all__ = ["Network", "Row", "export", "fetch", "find", "load", "names", "table"]
