"""Engines run the network and turn pieces of a source into fits."""
