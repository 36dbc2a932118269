"""What both ends of a WebRTC call are made of."""
