"""Microphones, sound devices, virtual cameras, terminals."""
