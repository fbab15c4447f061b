"""Poor sound, and how it is told."""
