"""From features to numbers; nothing here knows of images or networks."""
