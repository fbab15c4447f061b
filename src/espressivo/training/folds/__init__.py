"""Which utterances train, validate and test, and whether anything leaks."""
