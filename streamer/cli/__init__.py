"""The `avatar` command: one file a command."""
