"""One image: its file, its pixels, what is worth knowing about it, and the preprocessing of each mode."""
