"""Pictures and sound into a stream or a file, muxed in a child process."""
