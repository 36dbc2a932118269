"""Assemble the trained networks into a family."""
