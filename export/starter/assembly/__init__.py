"""Assemble the trained networks to a family."""
