"""Voice activity detection, segments of speech, and the windows inside them."""
