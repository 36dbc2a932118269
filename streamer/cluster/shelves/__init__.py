"""Stores shared by all machines of a cluster: avatars and visitors' photos."""
