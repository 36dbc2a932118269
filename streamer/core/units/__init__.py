"""The 52 face units and the head pose, for programs that draw the face themselves."""
