"""Checks of the machine and of a server's settings: one line per check, with a remedy."""
