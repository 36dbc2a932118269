"""Draw a frame: the photo warped, painted windows over it, lids and teeth."""
