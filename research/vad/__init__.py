"""Voice activity detection in long notes."""
