"""The browser app and the API, served from this machine."""
