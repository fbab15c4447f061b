"""Smaller networks: pruning, distillation, and the search for a student's shape."""
