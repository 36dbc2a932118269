"""Operating-system helpers: memory, priority, signals, load of other programs."""
