"""`avatar render`."""
