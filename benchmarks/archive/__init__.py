"""Cost and robustness of `espressivo archive`."""
