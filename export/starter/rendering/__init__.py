"""Render people for training: meshes, rig, scenes, data sets."""
