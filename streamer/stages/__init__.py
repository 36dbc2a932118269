"""Stages from audio to keypoints and pictures, synchronous and without I/O."""
