"""Train the generator and the expression network."""
