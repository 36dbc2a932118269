"""Checks of a machine and of what a server is asked for: each a line, with the way out."""
