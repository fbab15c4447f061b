"""The one analysis pass over a recording or a stream: samples -> report."""
