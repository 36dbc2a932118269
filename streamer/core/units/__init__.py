"""The 52 face units and the head pose, as numbers for other programs."""
