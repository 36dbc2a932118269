"""The routes of the server and their handlers."""
