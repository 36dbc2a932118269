"""Parity: this project's networks against numbers of the reference implementation, on weights anyone can make."""
