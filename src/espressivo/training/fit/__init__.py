"""Fitting of a network by gradients, or of its last layer in closed form."""
