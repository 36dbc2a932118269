"""Face motion besides speech: head, blinks, gaze, moods, gestures."""
