"""From a stream of images to a stream of features, on one device."""
