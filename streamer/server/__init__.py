"""`avatar serve`."""
