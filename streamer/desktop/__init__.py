"""`avatar camera` and `avatar mic`."""
