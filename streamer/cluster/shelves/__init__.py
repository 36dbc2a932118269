"""What all machines of a cluster share: avatars and visitors' faces, in one store."""
