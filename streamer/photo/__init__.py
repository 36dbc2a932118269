"""Making an avatar from a photo: `avatar prepare`."""
