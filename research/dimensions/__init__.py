"""Arousal and valence, learned from the order of emotions, on corpora never met."""
