"""Utterances -> trimmed, augmented clips -> batches of cached features."""
