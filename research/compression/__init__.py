"""How small a model can be before strangers suffer: the frontier of size and time."""
