"""Training, evaluation and export; needs the extra `train`."""
