"""Sound as numbers and files."""
