"""Servers of this machine: the browser app and the HTTP/WebSocket API."""
