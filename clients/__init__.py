"""Clients of the streamer: they import neither it nor the engines."""
