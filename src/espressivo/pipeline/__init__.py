"""The analysis pass over a recording or a stream: samples to report."""
