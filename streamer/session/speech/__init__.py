"""Pushed speech: its protocol, formats, queue, and the line that plays it."""
