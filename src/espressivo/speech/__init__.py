"""Voice activity detection, speech segments, and the windows inside them."""
