"""Accuracy, size and speed of quantization variants."""
