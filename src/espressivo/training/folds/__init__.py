"""Folds: train, validation and test parts of a corpus, and an audit for leaks."""
