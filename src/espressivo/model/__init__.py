"""A model folder, found, verified and run with onnxruntime."""
