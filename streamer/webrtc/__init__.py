"""Building blocks of both ends of a WebRTC call."""
