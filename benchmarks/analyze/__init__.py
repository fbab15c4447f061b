"""Speed and memory of `espressivo analyze`."""
