"""Recordings of what a face did, with its sound."""
