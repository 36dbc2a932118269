"""What moves a face beside its speech: head, blinks, gaze, moods, gestures."""
