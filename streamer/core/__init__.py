"""Foundations of all packages: rates, options, errors, files, console."""
