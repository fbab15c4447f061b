"""A trained torch network, written as an ONNX graph of plain operators."""
