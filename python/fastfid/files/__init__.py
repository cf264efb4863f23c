"""Files from outside, read with every size bounded, and files of our own, written whole or not at all."""
