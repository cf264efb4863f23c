"""Turns a stream of images into a stream of features, on one device."""
