"""The stages from sound to keypoints and pictures, synchronous and without I/O."""
