"""What the operating system gives and takes: memory, priority, signals, other programs."""
