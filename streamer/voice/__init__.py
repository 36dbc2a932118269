"""Text to speech by synthesisers of this machine."""
