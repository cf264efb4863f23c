"""Reads files from outside with limits on every size, and writes files atomically."""
