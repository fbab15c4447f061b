"""Mutated recordings and models."""
