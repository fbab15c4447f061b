"""Fitting a network: by gradients, or its last layer in closed form."""
