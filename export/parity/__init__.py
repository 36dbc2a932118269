"""Parity tests: compare the networks with the reference implementation's outputs, on reproducible stand-in weights."""
