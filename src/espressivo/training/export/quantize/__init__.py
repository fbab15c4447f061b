"""Quantization of an fp32 graph to int8 (static QDQ) or fp16."""
