"""From a photo to an avatar: `avatar prepare`."""
