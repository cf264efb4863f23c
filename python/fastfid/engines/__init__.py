"""Where the network runs: engines turn pieces of a source into fits."""
