"""Rendered people: meshes, rig, scenes, data sets."""
