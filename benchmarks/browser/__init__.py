"""Speed and download of the browser app."""
