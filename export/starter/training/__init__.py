"""Training of the generator and the expression network."""
