"""Text to speech with local synthesisers."""
