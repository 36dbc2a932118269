"""Synthetic voices and the mouth shapes of their phones."""
