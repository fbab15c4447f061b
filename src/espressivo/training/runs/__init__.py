"""Run folders: one model trained, or every fold of a cross-validation, resumable."""
