"""Putting the trained networks together as a family."""
