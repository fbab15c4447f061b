"""Checks that the exported graph computes what the trained network computes."""
