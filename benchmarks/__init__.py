"""Benchmarks, one folder per subject; README.md has a command for each."""
