"""Single images: reading files, converting to RGB, observing properties, and the preprocessing of each mode."""
