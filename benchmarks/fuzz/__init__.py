"""Fuzzing of `analyze` with mutated recordings and model folders."""
