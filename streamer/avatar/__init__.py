"""Existing avatars: bundles, gallery, backgrounds and condition maps."""
