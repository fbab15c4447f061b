"""Byte identity of all outputs between two checkouts."""
