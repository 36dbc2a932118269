"""Measurements: `avatar bench`, `make soak`, `make score`."""
