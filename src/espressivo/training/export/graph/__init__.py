"""Conversion of a trained torch network to an ONNX graph of standard operators."""
