"""Training, evaluation and export of models; requires the extra `train`."""
