"""The starter family: rendering, voices, training, assembly."""
