"""Which operators to quantize: the least time for a bounded change."""
