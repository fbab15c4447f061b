"""Model folders: lookup, verification, and inference with onnxruntime."""
