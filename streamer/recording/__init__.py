"""Recordings of an avatar's performance: coefficients and audio."""
