"""Pictures and sound into a stream or a file, in a process of its own."""
