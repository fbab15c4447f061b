"""Is the exported graph still the network that was trained? Measured."""
