"""Where someone speaks, and the windows that the model takes of it."""
