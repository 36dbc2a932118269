"""Clients of the streamer; they import neither the streamer nor the engines."""
