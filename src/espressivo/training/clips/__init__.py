"""Utterances -> preprocessed, augmented clips -> batches of cached features."""
