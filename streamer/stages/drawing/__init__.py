"""Drawing of a frame: the warped photo, painted windows over it, eyelids and teeth."""
